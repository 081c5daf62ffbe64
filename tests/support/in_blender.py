"""Runs in Blender's Python: installs the add-on, asks the service as a script does, and prints as JSON what came."""

from __future__ import annotations

import json
import sys

import bpy

# isort: split
import addon_utils  # which Blender has only once bpy is there

bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.preferences.addon_install(filepath=sys.argv[1])
bpy.ops.preferences.addon_enable(module="xcube_serve")
assert addon_utils.check("xcube_serve") == (True, True)
preferences = bpy.context.preferences.addons["xcube_serve"].preferences
told: dict[str, object] = {"url": preferences.url, "panel": hasattr(bpy.types, "VIEW3D_PT_xcube")}


def ask(**fields: object) -> object:
    """What became of a call: the object that came, or the sentence that the user sees."""
    try:
        assert bpy.ops.xcube.generate(**fields) == {"FINISHED"}
    except RuntimeError as error:
        return str(error)
    made = bpy.context.view_layer.objects.active
    assert bpy.context.selected_objects == [made]
    corners = [list(made.matrix_world @ vertex.co) for vertex in made.data.vertices]
    return {
        "name": made.name,
        "seed": made["xcube_seed"],
        "low": [min(corner[axis] for corner in corners) for axis in range(3)],
        "high": [max(corner[axis] for corner in corners) for axis in range(3)],
        "faces": len(made.data.polygons),
        "colours": list(made.data.color_attributes.keys()),
    }


for kind in ("glb", "glb-blocks"):
    told[kind] = ask(prompt="a tall chair", seed="7", steps=4, kind=kind, fine=False)
before = set(bpy.data.objects)
told["second of two"] = ask(prompt="a tall chair", seed="7", preset="draft", n=2, kind="glb-blocks", fine=False)
told["two"] = sorted([each["xcube_seed"], each.location.x] for each in set(bpy.data.objects) - before)
told["wrong seed"] = ask(seed="seven")
told["refused"] = ask(prompt=" ", seed="7")
preferences.url = "http://127.0.0.1:9"
told["nobody"] = ask()
bpy.ops.preferences.addon_disable(module="xcube_serve")
told["off"] = not hasattr(bpy.types, "VIEW3D_PT_xcube")
print(json.dumps(told))
