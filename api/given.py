"""Requests that come with a shape: what clients send, and what becomes of it before a generation starts."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from api.given_shape import GivenShape
from api.schemas import Corners, GenerateRequest, Origin, OrNull, Strength
from models.strength import DEFAULT_STRENGTH, steps_taken


class RefineRequest(GenerateRequest):
    """A coarse shape and a prompt, from which the fine stage makes a fine shape.

    What is for the coarse stage alone has no effect.
    """

    shape: GivenShape = Field(
        description="the coarse shape",
        examples=[{"xyz": [[0.015625, 0.015625, 0.015625], [0.046875, 0.015625, 0.015625]]}],
    )

    @property
    def coarse_steps(self) -> int:
        """None: the coarse shape is there."""
        return 0


class Given(BaseModel):
    """A shape as a generation starts from it.

    Attributes:
        coarse: Its packed voxels, on the grid of the coarse stage.
    """

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    coarse: bytes


class GivenRequest(GenerateRequest):
    """A request whose shape has been read."""

    given: Given

    @property
    def coarse_steps(self) -> int:
        """None: the coarse shape is there."""
        return 0


class VariationRequest(GenerateRequest):
    """An earlier shape and a prompt, from which another shape is made that resembles it."""

    of: Origin = Field(description="the earlier shape", examples=[{"request": {"prompt": "a tall chair", "seed": 7}}])
    strength: Annotated[Strength, OrNull()] = Field(
        default=DEFAULT_STRENGTH,
        description="how much noise it gets, and which part of the steps is taken; 1 leaves nothing of it",
    )
    box: Corners | None = Field(
        default=None, description="low and high corner, in world units, of all that may change; null is everything"
    )


class Variation(BaseModel):
    """An earlier shape as a variation starts from it.

    Attributes:
        latent: The finished state of its coarse stage.
        strength: Above 0 to 1.
        box: Low and high corner of what may change; None where all may.
        coarse: Its packed coarse voxels, where there is a box.
        fine: Its packed fine voxels, where there is a box and it has some.
    """

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    latent: bytes
    strength: float
    box: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    coarse: bytes = b""
    fine: bytes = b""


class VariedRequest(GenerateRequest):
    """A request to vary a shape that has been found."""

    variation: Variation

    @property
    def coarse_steps(self) -> int:
        """The part of the coarse run that is taken."""
        return steps_taken(self.ddim_steps, self.variation.strength)


def kept_request(text: str) -> GenerateRequest:
    """A request that was kept as JSON, with the shape that it came with, if it did.

    Raises:
        pydantic.ValidationError: it makes no sense.
    """
    return TypeAdapter[GenerateRequest](GivenRequest | VariedRequest | GenerateRequest).validate_json(text)
