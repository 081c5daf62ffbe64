"""Requests that come with a shape: what clients send, and what becomes of it before a generation starts."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from api.given_shape import GivenShape
from api.schemas import GenerateRequest


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


def kept_request(text: str) -> GenerateRequest:
    """A request that was kept as JSON, with the shape that it came with, if it did.

    Raises:
        pydantic.ValidationError: it makes no sense.
    """
    return TypeAdapter[GenerateRequest](GivenRequest | GenerateRequest).validate_json(text)
