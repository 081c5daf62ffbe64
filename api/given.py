"""Requests that come with a shape: what clients send, and what becomes of it before a generation starts."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from api.given_shape import GivenShape
from api.schemas import Corners, GenerateRequest, Origin, OrNull, Strength
from models.strength import DEFAULT_STRENGTH, FIT_STEPS, steps_taken


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
    """An earlier or a given shape and a prompt, from which another shape is made that resembles it."""

    of: Origin | None = Field(
        default=None, description="an earlier shape", examples=[{"request": {"prompt": "a tall chair", "seed": 7}}]
    )
    shape: GivenShape | None = Field(default=None, description="a coarse shape, as POST /refine takes it, instead")
    strength: Annotated[Strength, OrNull()] = Field(
        default=DEFAULT_STRENGTH,
        description="how much noise it gets, and which part of the steps is taken; 1 leaves nothing of it",
    )
    box: Corners | None = Field(
        default=None, description="low and high corner, in world units, of all that may change; null is everything"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.of is None) == (self.shape is None):
            raise ValueError("should have either of or shape")
        return self


class Variation(BaseModel):
    """A shape as a variation starts from it.

    Attributes:
        latent: The finished state of its coarse stage; empty where it has to be found, as for a given shape.
        strength: Above 0 to 1.
        box: Low and high corner of what may change; None where all may.
        coarse: Its packed coarse voxels, where there is a box or no latent.
        fine: Its packed fine voxels, where there is a box and it has some.
    """

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    latent: bytes = b""
    strength: float
    box: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    coarse: bytes = b""
    fine: bytes = b""

    @property
    def fit_steps(self) -> int:
        """Steps that look for its latent."""
        return 0 if self.latent else FIT_STEPS


class VariedRequest(GenerateRequest):
    """A request to vary a shape that has been found."""

    variation: Variation

    @property
    def coarse_steps(self) -> int:
        """The part of the coarse run that is taken."""
        return steps_taken(self.ddim_steps, self.variation.strength)

    @property
    def fit_steps(self) -> int:
        """See `Variation.fit_steps`."""
        return self.variation.fit_steps


def kept_request(text: str) -> GenerateRequest:
    """A request that was kept as JSON, with the shape that it came with, if it did.

    Raises:
        pydantic.ValidationError: it makes no sense.
    """
    return TypeAdapter[GenerateRequest](GivenRequest | VariedRequest | GenerateRequest).validate_json(text)
