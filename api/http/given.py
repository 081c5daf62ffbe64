"""From a shape as a client sends it to coarse voxels, off the event loop."""

from __future__ import annotations

import asyncio
import base64
import binascii

import numpy as np

from api.errors import InvalidRequest, NotFound
from api.generation.generator import Generator
from api.given import Given, GivenRequest, RefineRequest, Variation, VariationRequest, VariedRequest
from api.given_shape import GivenShape
from api.http.job_answers import find
from api.http.job_results import check_made
from api.jobs.service import Jobs
from api.schemas import GenerateRequest, JobRequest, Origin
from models.errors import MeshError
from models.shape import Shape, Voxels
from models.strength import DEFAULT_STRENGTH

_READERS = 2
"""Shapes that are read at a time: a mesh may take half a GB while it becomes voxels."""


class ShapeReader:
    """Reads what clients send for the tasks of one event loop."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_READERS)

    async def request(
        self, asked: RefineRequest | VariationRequest | JobRequest, generator: Generator, jobs: Jobs
    ) -> GenerateRequest:
        """The request to generate from, with the shape that came with it, if one did.

        Raises:
            InvalidRequest: the shape cannot be used; one sentence says why.
            NotFound, JobNotFinished, JobCanceled, ResultGone: it is that of a job, which has none.
            Draining, StillLoading, ModelsUnavailable: the grid of coarse shapes is not known now.
        """
        fields = asked.model_dump(exclude={"shape", "of", "strength", "box", "webhook"})
        if not isinstance(asked, RefineRequest) and asked.of is not None:
            await generator.opened()
            origin = await _origin(asked.of, generator, jobs)
            return VariedRequest(**fields, variation=_variation(origin, asked.strength, asked.box))
        if asked.shape is None:
            return GenerateRequest(**fields)
        if isinstance(asked, VariationRequest) or (isinstance(asked, JobRequest) and asked.is_varied):
            coarse = await self._coarse(asked.shape, generator, jobs)
            return VariedRequest(**fields, variation=_variation(Shape(coarse, None, 0), asked.strength, asked.box))
        if not asked.use_fine:
            raise InvalidRequest("use_fine is false, but a given shape is for the fine stage: leave it out.")
        coarse = await self._coarse(asked.shape, generator, jobs)
        return GivenRequest(**fields, given=Given(coarse=coarse.to_bytes()))

    async def _coarse(self, shape: GivenShape, generator: Generator, jobs: Jobs) -> Voxels:
        await generator.opened()
        resolution = generator.status().coarse_resolution
        if shape.job is not None:
            record = await find(jobs, shape.job)
            check_made(record)
            found = (await jobs.store.result(record)).coarse
            _check_grid(found, resolution)
            return found
        try:
            async with self._places:
                return await asyncio.to_thread(_read, shape, resolution)
        except MeshError as error:
            raise InvalidRequest(f"The shape {error}.") from None


async def _origin(of: Origin, generator: Generator, jobs: Jobs) -> Shape:
    """An earlier shape, with its latent if it has one."""
    if of.job is not None:
        record = await find(jobs, of.job)
        check_made(record)
        found = await jobs.store.result(record)
    else:
        assert of.request is not None
        recent = generator.recent.get(generator.status().bits, of.request)
        if recent is None:
            raise NotFound("The shape of this request is not in memory: send the request again, or name a job.")
        found = recent
    if not found.latent:  # that of a refined shape is looked for, as that of a given one
        _check_grid(found.coarse, generator.status().coarse_resolution)
    return found


def _check_grid(coarse: Voxels, resolution: int) -> None:
    """Lets pass the shape of a job on the grid of the coarse stage. Raises InvalidRequest."""
    if round(1 / coarse.voxel_size) != resolution:
        raise InvalidRequest("The shape of this job is that of other models: send its points as xyz.")


def _variation(origin: Shape, strength: float | None, box: list[list[float]] | None) -> Variation:
    low_and_high = None if box is None else tuple(tuple(corner) for corner in box)
    fields: dict[str, bytes] = {}
    if box is not None or not origin.latent:
        fields["coarse"] = origin.coarse.to_bytes()
        if origin.fine:
            fields["fine"] = origin.fine.to_bytes()
    return Variation.model_validate(
        {"latent": origin.latent, "strength": strength or DEFAULT_STRENGTH, "box": low_and_high, **fields}
    )


def _read(shape: GivenShape, resolution: int) -> Voxels:
    from formats.given import from_file, from_points

    if shape.xyz is not None:
        normal = None if shape.normal is None else np.array(shape.normal, np.float32)
        return from_points(np.array(shape.xyz, np.float32), normal, resolution)
    assert shape.file is not None
    assert shape.format is not None
    try:
        content = base64.b64decode(shape.file, validate=True)
    except binascii.Error:
        raise MeshError("is not in Base64: encode the bytes of the file, without line breaks") from None
    return from_file(content, shape.format, resolution, shape.up)
