"""A shape as clients send it: points, a file in Base64, or the id of a job."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

MOST_POINTS = 500_000
"""Points of a shape that is sent as arrays; a file may have more."""
Point = Annotated[list[float], Field(min_length=3, max_length=3)]
Points = Annotated[list[Point], Field(min_length=1, max_length=MOST_POINTS)]
FileKind = Literal["npz", "vox", "ply", "glb", "obj", "stl", "off", "3mf"]
"""Those of `formats.given.KINDS`, which the Sampler's process does not load."""
Base64 = Annotated[str, StringConstraints(min_length=1)]


class GivenShape(BaseModel):
    """A coarse shape: points, a file, or the result of a job."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    xyz: Points | None = Field(
        default=None, description="points in world units, within [-0.5, 0.5], such as coarse_xyz of an answer"
    )
    normal: Points | None = Field(
        default=None, description="a normal for each point, such as coarse_normal; estimated where it is left out"
    )
    file: Base64 | None = Field(default=None, description="a file of voxels, points or a mesh, in Base64")
    format: FileKind | None = Field(default=None, description="format of the file")
    up: Literal["y", "z"] | None = Field(
        default=None, description="the axis that is up in the file; null: z in vox, stl, 3mf and points in ply, else y"
    )
    job: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="id of a finished job, whose coarse shape it is"
    )

    @model_validator(mode="after")
    def _one_source(self) -> GivenShape:
        if sum(source is not None for source in (self.xyz, self.file, self.job)) != 1:
            raise ValueError("should have one of xyz, file and job")
        if (self.file is None) != (self.format is None):
            raise ValueError("should have file and format together")
        if (self.normal is not None and self.xyz is None) or (self.up is not None and self.file is None):
            raise ValueError("should have normal with xyz alone, and up with file alone")
        return self
