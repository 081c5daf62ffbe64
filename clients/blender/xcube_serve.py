"""Blender add-on: a prompt becomes an object, made by a running xcube-serve.

Install it with Edit > Preferences > Add-ons > Install from Disk. Its panel is in the sidebar of the 3-D view (N), under
the tab xcube. The address of the service and its key are in the preferences of the add-on.
"""

import http.client
import io
import json
import os
import re
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator
from typing import ClassVar

import addon_utils
import bpy

bl_info = {
    "name": "xcube-serve",
    "description": "A prompt becomes an object",
    "version": (0, 1, 0),
    "blender": (4, 2, 0),
    "location": "3D View > Sidebar > xcube",
    "category": "Import-Export",
}

SECONDS = 300
KINDS = (
    ("glb", "Surface", "A closed, smooth surface"),
    ("glb-blocks", "Blocks", "One mesh of coloured blocks"),
)
PRESETS = (
    ("none", "None", "As many steps as the next field says"),
    ("draft", "Draft", "To look at soon"),
    ("standard", "Standard", "What the service does where nothing is said"),
    ("best", "Best", "The most quality, whatever it takes"),
    ("turbo", "Turbo", "The soonest, where the service's models have a turbo pair"),
)
FIELDS = ("prompt", "kind", "n", "seed", "preset", "steps", "guidance", "fine")
HERE = ("localhost", "127.0.0.1", "::1")


class ServiceError(Exception):
    """The text is for the user: what is wrong and what to do."""


def fetch(url: str, key: str, kind: str, fields: dict) -> list[tuple[bytes, str]]:
    """The file of each shape, and the seed that was used.

    Raises:
        ServiceError: the service does not answer, or refuses.
    """
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        request = urllib.request.Request(f"{url}/generate?format={kind}", json.dumps(fields).encode(), headers)
        # Proxies that the environment names are for other machines than this one.
        here = urllib.parse.urlsplit(url).hostname in HERE
        opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if here else []))
        with opener.open(request, timeout=SECONDS) as answer:
            content, seed = answer.read(), answer.headers.get("X-Seed", "")
        return [(content, seed)] if fields["n"] == 1 else list(unpacked(content))
    except urllib.error.HTTPError as error:
        raise ServiceError(sentence(error)) from None
    except (OSError, ValueError, http.client.HTTPException, zipfile.BadZipFile) as error:
        raise ServiceError(f"{url} does not answer: start the service, or change the address ({error})") from None


def unpacked(content: bytes) -> Iterator[tuple[bytes, str]]:
    """The files of a ZIP with variants, and the seeds that their names tell."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            yield archive.read(name), re.search(r"-(-?\d+)(-[a-z]+)?\.glb$", name)[1]


def sentence(error: urllib.error.HTTPError) -> str:
    """What the service says, or that something else has answered."""
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"{error.url} does not come from the service: check the address"


def add_object(context: bpy.types.Context, content: bytes, prompt: str, seed: str) -> bpy.types.Object:
    """The object of a glTF file, selected alone, with the prompt as its name and prompt and seed as properties."""
    addon_utils.enable("io_scene_gltf2")
    before = set(bpy.data.objects)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "shape.glb")
        with open(path, "wb") as file:
            file.write(content)
        bpy.ops.import_scene.gltf(filepath=path)
    new = [each for each in bpy.data.objects if each not in before]
    (made,) = [each for each in new if each.type == "MESH"]
    made.name = made.data.name = prompt[:60]
    made["xcube_prompt"], made["xcube_seed"] = prompt, seed
    for each in context.selected_objects:
        each.select_set(False)
    made.select_set(True)
    context.view_layer.objects.active = made
    return made


class XcubePreferences(bpy.types.AddonPreferences):
    """Where the service is."""

    bl_idname = __name__

    url: bpy.props.StringProperty(name="Address", default=os.environ.get("XCUBE_URL", "http://localhost:8000"))
    key: bpy.props.StringProperty(name="Key", subtype="PASSWORD", default=os.environ.get("XCUBE_API_KEY", ""))

    def draw(self, context):
        """Two fields."""
        self.layout.prop(self, "url")
        self.layout.prop(self, "key")


class XcubeGenerate(bpy.types.Operator):
    """Asks the service for a shape and adds it to the scene."""

    bl_idname = "xcube.generate"
    bl_label = "Generate"
    bl_description = "Ask the service for a shape of this prompt"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    prompt: bpy.props.StringProperty(name="Prompt", default="a round table")
    kind: bpy.props.EnumProperty(name="Kind", items=KINDS)
    n: bpy.props.IntProperty(
        name="Variants", description="Objects to make, in a row; each has the next seed", default=1, min=1, max=8
    )
    seed: bpy.props.StringProperty(name="Seed", description="A whole number; empty for a random one")
    preset: bpy.props.EnumProperty(name="Preset", items=PRESETS)
    steps: bpy.props.IntProperty(name="Steps", default=100, min=1, max=1000)
    guidance: bpy.props.FloatProperty(name="Guidance", default=7.5, min=1.0, max=20.0)
    fine: bpy.props.BoolProperty(name="Fine", default=True)

    def invoke(self, context, event):
        """From the panel: the service works in a thread, and Blender does not wait."""
        try:
            arguments = self.arguments(context)
        except ServiceError as error:
            return self.refuse(error)
        self.answer = None
        self.thread = threading.Thread(target=self.work, args=arguments, daemon=True)
        self.thread.start()
        self.timer = context.window_manager.event_timer_add(0.2, window=context.window)
        context.window_manager.modal_handler_add(self)
        context.workspace.status_text_set(f"xcube-serve makes {self.prompt}. Esc stops waiting.")
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        """Waits for the thread; Esc waits no longer."""
        if event.type == "ESC":
            self.leave(context)
            return {"CANCELLED"}
        if event.type != "TIMER" or self.thread.is_alive():
            return {"PASS_THROUGH"}
        self.leave(context)
        return self.finish(context)

    def execute(self, context):
        """From a script: returns when the object is there."""
        try:
            self.work(*self.arguments(context))
        except ServiceError as error:
            return self.refuse(error)
        return self.finish(context)

    def arguments(self, context: bpy.types.Context) -> tuple[str, str, str, dict]:
        """What `fetch` takes.

        Raises:
            ServiceError: the seed is none.
        """
        preferences = context.preferences.addons[__name__].preferences
        fields = {"prompt": self.prompt, "n": self.n, "guidance_scale": self.guidance, "use_fine": self.fine}
        fields |= {"ddim_steps": self.steps} if self.preset == "none" else {"preset": self.preset}
        if self.seed.strip():
            try:
                fields["seed"] = int(self.seed)
            except ValueError:
                raise ServiceError(f"{self.seed!r} is no seed: write a whole number, or nothing") from None
        return preferences.url.rstrip("/"), preferences.key, self.kind, fields

    def work(self, *arguments) -> None:
        """In a thread of its own, which must not touch Blender's data."""
        try:
            self.answer = fetch(*arguments)
        except ServiceError as error:
            self.answer = error

    def finish(self, context: bpy.types.Context) -> set[str]:
        """Adds the object that has come, or tells why there is none."""
        if isinstance(self.answer, ServiceError):
            return self.refuse(self.answer)
        for place, (content, seed) in enumerate(self.answer):
            made = add_object(context, content, self.prompt, seed)
            made.location.x += 1.2 * place  # a shape is no longer than 1
            self.report({"INFO"}, f"{made.name}, seed {seed}")
        return {"FINISHED"}

    def refuse(self, error: ServiceError) -> set[str]:
        """Shows a sentence at the place of the mouse and in the status bar."""
        self.report({"ERROR"}, str(error))
        return {"CANCELLED"}

    def leave(self, context: bpy.types.Context) -> None:
        """Puts the status bar back."""
        context.window_manager.event_timer_remove(self.timer)
        context.workspace.status_text_set(None)


class XcubePanel(bpy.types.Panel):
    """The form in the sidebar."""

    bl_idname = "VIEW3D_PT_xcube"
    bl_label = "xcube-serve"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "xcube"

    def draw(self, context):
        """The fields of the operator as they were last, and its button."""
        settings = context.window_manager.operator_properties_last("xcube.generate")
        for name in FIELDS:
            self.layout.prop(settings, name)
        asked = self.layout.operator("xcube.generate", icon="MESH_CUBE")
        for name in FIELDS:
            setattr(asked, name, getattr(settings, name))


CLASSES = (XcubePreferences, XcubeGenerate, XcubePanel)


def register():
    """Switches the add-on on."""
    for each in CLASSES:
        bpy.utils.register_class(each)


def unregister():
    """Switches the add-on off."""
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
