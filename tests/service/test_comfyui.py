"""The ComfyUI node, called as ComfyUI calls one, with the one module of ComfyUI that it uses stood in for."""

from __future__ import annotations

import importlib.util
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import pytest
import trimesh

from formats import FORMATS
from tests.support.paths import ROOT
from tests.support.service import Server

pytestmark = [pytest.mark.shared("server"), pytest.mark.timeout(300)]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The file as ComfyUI loads it, with an output folder."""
    folder_paths = ModuleType("folder_paths")
    folder_paths.get_output_directory = lambda: str(tmp_path)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "folder_paths", folder_paths)
    path = ROOT / "clients" / "comfyui" / "xcube_serve.py"
    spec = importlib.util.spec_from_file_location("xcube_node", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def call(module: ModuleType, **given: Any) -> dict[str, Any]:
    """What ComfyUI does with a node: an instance, its function by name, an input for each widget."""
    (node,) = module.NODE_CLASS_MAPPINGS.values()
    inputs = {
        name: rest[0].get("default") if rest else None
        for part in node.INPUT_TYPES().values()
        for name, (_, *rest) in part.items()
    }
    result: dict[str, Any] = getattr(node(), node.FUNCTION)(**inputs | given)
    return result


def test_the_node_declares_what_comfyui_asks_for(module: ModuleType) -> None:
    assert module.NODE_CLASS_MAPPINGS.keys() == module.NODE_DISPLAY_NAME_MAPPINGS.keys()
    (node,) = module.NODE_CLASS_MAPPINGS.values()
    types = node.INPUT_TYPES()
    assert types.keys() <= {"required", "optional", "hidden"}
    assert len(node.RETURN_TYPES) == len(node.RETURN_NAMES) == 2
    assert node.CATEGORY == "3d"
    for name, (kind, options) in (types["required"] | types["optional"]).items():
        if isinstance(kind, list):
            assert options["default"] in kind, name
        else:
            assert kind in ("STRING", "INT", "FLOAT", "BOOLEAN"), name
        if "min" in options:
            assert options["min"] <= options["default"] <= options["max"], name
    assert set(types["required"]["format"][0]) <= {format_.name for format_ in FORMATS}


def test_a_prompt_becomes_a_file_in_the_output_folder(module: ModuleType, server: Server, tmp_path: Path) -> None:
    made = call(module, prompt="A round table!", seed=2**64 - 1, steps=4, format="glb-blocks", url=f"{server.url}/")
    file, path = made["result"]
    assert file == f"xcube/a-round-table-{2**64 - 1}-blocks.glb"
    assert Path(path) == tmp_path / file
    assert made["ui"] == {"3d": [{"filename": Path(path).name, "subfolder": "xcube", "type": "output"}]}
    fields = {"prompt": "A round table!", "seed": 2**64 - 1, "ddim_steps": 4}
    assert Path(path).read_bytes() == server.post("/generate", params={"format": "glb-blocks"}, json=fields).content
    assert len(trimesh.load(path, force="mesh").faces) > 100


def test_a_preset_chooses_the_steps(module: ModuleType, server: Server) -> None:
    made = call(module, prompt="a table", seed=7, steps=1, preset="draft", fine=False, format="ply", url=server.url)
    fields = {"prompt": "a table", "seed": 7, "preset": "draft", "use_fine": False}
    content = Path(made["result"][1]).read_bytes()
    assert content == server.post("/generate", params={"format": "ply"}, json=fields).content
    assert content != server.post("/generate?format=ply", json={**fields, "ddim_steps": 1}).content


def test_what_goes_wrong_is_a_sentence_and_no_file(module: ModuleType, server: Server, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"^prompt [^\n]+$"):
        call(module, prompt=" ", url=server.url)
    with pytest.raises(RuntimeError, match=r"^http://127\.0\.0\.1:9 does not answer: start the service, or change"):
        call(module, url="http://127.0.0.1:9")
    with pytest.raises(RuntimeError, match=r"^localhost:8000 does not answer"):
        call(module, url="localhost:8000")
    assert list(tmp_path.iterdir()) == []


def test_an_answer_of_something_else_is_told(module: ModuleType) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:  # which knows no POST
        Thread(target=other.serve_forever, daemon=True).start()
        with pytest.raises(RuntimeError, match=r"does not come from the service: check the address$"):
            call(module, url=f"http://127.0.0.1:{other.server_port}")
        other.shutdown()
