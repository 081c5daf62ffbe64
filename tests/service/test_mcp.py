"""An assistant makes, refines and gets shapes: the SDK's own client over standard input and output, a real service."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trimesh
from mcp import Client, StdioServerParameters
from PIL import Image

from tests.support.paths import ROOT
from tests.support.service import Server

pytestmark = pytest.mark.shared("server")


def talk(url: str, folder: Path, does: Callable[[Client], Awaitable[Any]], **environment: str) -> Any:
    """What an assistant's program does with the server that it has started."""
    command = StdioServerParameters(
        command=str(ROOT / "scripts" / "mcp"), args=["--folder", str(folder)], env={"XCUBE_URL": url, **environment}
    )

    async def run() -> Any:
        async with Client(command, read_timeout_seconds=120) as client:
            return await does(client)

    return asyncio.run(run())


def text(result: Any) -> str:
    return str(result.content[0].text)


def told(result: Any) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text(result).splitlines())


def test_a_shape_is_made_shown_and_had_again_in_another_format(server: Server, tmp_path: Path) -> None:
    async def does(client: Client) -> Any:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        made = await client.call_tool("make_shape", {"prompt": "a chair", "steps": 3})
        seed = int(told(made)["seed"])
        again = await client.call_tool(
            "get_file", {"prompt": "a chair", "steps": 3, "seed": seed, "format": "vox", "size": 20}
        )
        return tools, made, again

    tools, made, again = talk(server.url, tmp_path, does)
    assert set(tools) == {"make_shape", "refine_shape", "get_file", "list_kinds"}
    assert all(tool.description for tool in tools.values())
    facts = told(made)
    assert facts["file"] == str(tmp_path / f"a-chair-{facts['seed']}.glb")
    assert trimesh.load_mesh(facts["file"]).is_watertight
    with Image.open(io.BytesIO(base64.b64decode(made.content[1].data))) as picture:
        assert picture.format == "PNG"
        assert len(picture.getcolors(1 << 20) or []) > 10
    other = told(again)
    assert (other["seed"], Path(other["file"]).suffix) == (facts["seed"], ".vox")
    assert "20" in other["size"].split("x")
    assert len(again.content) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        Path(one["file"]).name for one in (facts, other)
    ), "no half file is left"


def test_a_mesh_in_a_file_becomes_a_fine_shape(server: Server, tmp_path: Path) -> None:
    trimesh.creation.box((0.6, 0.9, 0.5)).export(tmp_path / "box.stl")
    asked = {"file": "box.stl", "prompt": "a house", "steps": 2, "seed": 3, "format": "ply"}
    made = talk(server.url, tmp_path, lambda client: client.call_tool("refine_shape", asked))
    assert told(made)["file"] == str(tmp_path / "a-house-3.ply")
    assert len(trimesh.load(told(made)["file"]).vertices) > 100
    assert made.content[1].mime_type == "image/png"


def test_kinds_and_formats_are_listed(server: Server, tmp_path: Path) -> None:
    listed = text(talk(server.url, tmp_path, lambda client: client.call_tool("list_kinds", {})))
    known = server.get("/kinds").json()["kinds"]
    assert all(f"- {kind['name']}" in listed for kind in known)
    assert "- glb: binary glTF" in listed


def test_what_goes_wrong_is_one_sentence_for_the_assistant(server: Server, tmp_path: Path) -> None:
    async def does(client: Client) -> Any:
        blank = await client.call_tool("make_shape", {"prompt": "  "})
        outside = await client.call_tool("refine_shape", {"file": "../secret.glb", "prompt": "a chair"})
        steps = await client.call_tool("make_shape", {"prompt": "a chair", "steps": 0})
        return blank, outside, steps

    blank, outside, steps = talk(server.url, tmp_path, does)
    assert all(each.is_error for each in (blank, outside, steps))
    assert "prompt should not be blank" in text(blank)
    assert "is no file in" in text(outside)
    assert "steps" in text(steps)
    nothing = talk("http://127.0.0.1:9", tmp_path, lambda client: client.call_tool("list_kinds", {}))
    assert nothing.is_error
    assert "No service answers at http://127.0.0.1:9: start scripts/serve, or set XCUBE_URL." in text(nothing)
    assert list(tmp_path.iterdir()) == []
