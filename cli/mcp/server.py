"""The server's tools: make_shape, refine_shape, get_file and list_kinds."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from cli.mcp.service import AskError, Made, Service
from formats import FORMATS
from models.version import service_version

FileFormat = Literal[
    "glb",
    "glb-blocks",
    "glb-points",
    "usdz",
    "obj",
    "stl",
    "3mf",
    "ply",
    "vox",
    "schem",
    "litematic",
    "nbt",
    "npz",
    "png",
]
GIVEN = ("npz", "vox", "ply", "glb", "obj", "stl", "off", "3mf")
"""Endings of files that the service reads."""
INSTRUCTIONS = (
    "Makes 3-D shapes of voxels from text. The models know some kinds of things only: list_kinds tells which. A shape "
    "is the same again for the same prompt, seed and steps; make_shape writes its file and shows a picture of it."
)
Prompt = Annotated[str, Field(min_length=1, max_length=1000, description="what to make, such as 'a tall wooden chair'")]
Seed = Annotated[int | None, Field(description="the same seed gives the same shape; none draws one")]
Steps = Annotated[int, Field(ge=1, le=1000, description="denoising steps; fewer are faster and rougher")]
Kind = Annotated[
    FileFormat,
    Field(description="glb for viewers, usdz for phones, stl or 3mf for printing, vox and schem for voxel games"),
]
Size = Annotated[int | None, Field(ge=1, le=1024, description="voxels along the longest side; none leaves it as made")]


def server(url: str, key: str | None, folder: Path) -> MCPServer[None]:
    """The server, whose tools ask the service at an address and write into a folder."""
    tools = _Tools(Service(url, key), folder)
    made: MCPServer[None] = MCPServer(
        "xcube", instructions=INSTRUCTIONS, version=service_version(), log_level="WARNING"
    )
    for tool in (tools.make_shape, tools.refine_shape, tools.get_file, tools.list_kinds):
        made.tool(structured_output=False)(tool)
    return made


class _Tools:
    """Their docstrings and annotations are what an assistant reads."""

    def __init__(self, service: Service, folder: Path) -> None:
        self._service = service
        self._folder = folder

    async def make_shape(
        self, prompt: Prompt, seed: Seed = None, steps: Steps = 100, format: Kind = "glb", size: Size = None
    ) -> list[Any]:
        """Makes a 3-D shape from a text, writes its file, and shows a picture of it. Takes seconds to a minute."""
        body = {"prompt": prompt, "seed": seed, "ddim_steps": steps}
        return await self._written("/generate", body, format, size, picture=True)

    async def refine_shape(
        self,
        file: Annotated[str, Field(description=f"name of a file in the folder that ends in one of {', '.join(GIVEN)}")],
        prompt: Prompt,
        seed: Seed = None,
        steps: Steps = 100,
        format: Kind = "glb",
        size: Size = None,
    ) -> list[Any]:
        """Makes a fine shape of a coarse one in a file, such as a mesh or a few voxels, and shows a picture of it."""
        path = (self._folder / file).resolve()
        ending = path.suffix.lower().removeprefix(".")
        if not path.is_relative_to(self._folder.resolve()) or not path.is_file() or ending not in GIVEN:
            raise ToolError(f"{file} is no file in {self._folder} that ends in one of {', '.join(GIVEN)}.")
        content = base64.b64encode(await asyncio.to_thread(path.read_bytes)).decode()
        shape = {"file": content, "format": ending}
        body = {"prompt": prompt, "seed": seed, "ddim_steps": steps, "shape": shape}
        return await self._written("/refine", body, format, size, picture=True)

    async def get_file(
        self,
        prompt: Prompt,
        seed: Annotated[int, Field(description="the seed that make_shape told")],
        steps: Steps = 100,
        format: Kind = "glb",
        size: Size = None,
    ) -> list[Any]:
        """Writes another file of a shape that make_shape has made: in another format, or resampled to another size."""
        body = {"prompt": prompt, "seed": seed, "ddim_steps": steps}
        return await self._written("/generate", body, format, size, picture=False)

    async def list_kinds(self) -> list[Any]:
        """Lists the kinds of things that the models know, with their other names, and the formats of files."""
        try:
            kinds = await self._service.kinds()
        except AskError as error:
            raise ToolError(str(error)) from None
        known = [f"- {names[0]}" + (f" ({', '.join(names[1:])})" if names[1:] else "") for names in kinds]
        described = {format_.name: format_.description for format_ in FORMATS}
        files = [f"- {name}: {described[name]}" for name in get_args(FileFormat)]
        told = known or ["- anything in words: these models do not tell what they know"]
        return ["\n".join(["Kinds that the models know:", *told, "Formats of files:", *files])]

    async def _written(
        self, path: str, body: dict[str, Any], format_: str, size: int | None, *, picture: bool
    ) -> list[Any]:
        try:
            made = await self._service.file(path, body, format_, size=size)
            again = {**body, "seed": made.seed}
            shown = [await self._service.file(path, again, "png")] if picture else []
        except AskError as error:
            raise ToolError(str(error)) from None
        place = self._folder / made.name
        try:
            await asyncio.to_thread(_write, place, made.content)
        except OSError as error:
            raise ToolError(f"{place} cannot be written ({error.strerror}): start the server with --folder.") from None
        return [_told(place, made), *(Image(data=one.content, format="png") for one in shown)]


def _told(place: Path, made: Made) -> str:
    facts = "".join(f"\n{name}: {text}" for name, text in made.about.items())
    return f"file: {place}\nseed: {made.seed}\nbytes: {len(made.content)}{facts}"


def _write(place: Path, content: bytes) -> None:
    """All or nothing: an interrupted write leaves no half file under the name."""
    part = place.with_name(f".{place.name}.part")
    part.write_bytes(content)
    os.replace(part, place)
