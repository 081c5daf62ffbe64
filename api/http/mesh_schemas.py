"""What clients of OpenAI's API send to POST /v1/meshes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from api.presets import check_fixed
from api.schemas import MAX_PROMPT, GuidanceScale, Prompt, Seed, Steps, whole
from formats import FORMATS
from formats.options import MOST_SIZE
from models.presets import PresetName

MAX_MESHES = 10
_FORMATS = tuple(format_.name for format_ in FORMATS)


def _known_format(value: str) -> str:
    if value not in _FORMATS:
        raise ValueError(f"should be one of {', '.join(_FORMATS)}")
    return value


FileFormat = Annotated[str, AfterValidator(_known_format), WithJsonSchema({"enum": list(_FORMATS)})]


class MeshRequest(BaseModel):
    """Shapes as files, in the words of OpenAI's API. A field that is null means the same as one that is left out."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    prompt: Prompt = Field(description="what to make", examples=["a tall chair"])
    model: Annotated[str, Field(max_length=MAX_PROMPT)] | None = Field(
        default=None, description="a name from GET /v1/models; null takes what is served"
    )
    n: Annotated[int, Field(ge=1, le=MAX_MESHES), BeforeValidator(whole)] | None = Field(
        default=None, description="how many shapes to make, each with a seed of its own; 1 if null"
    )
    response_format: Literal["url", "b64_json"] | None = Field(
        default=None,
        description="b64_json waits for the files and sends them in Base64; url, the default, answers at once with an "
        "object to ask again about, as for videos, and takes no n above 1",
    )
    output_format: FileFormat | None = Field(default=None, description="format of the files; glb if null")
    size: Annotated[int, Field(ge=1, le=MOST_SIZE), BeforeValidator(whole)] | None = Field(
        default=None, description="voxels along the longest side: the shape is resampled, up or down"
    )
    seed: Seed | None = Field(default=None, description="that of the first shape; null draws one")
    num_inference_steps: Steps | None = Field(default=None, description="denoising steps in each stage; 100 if null")
    guidance_scale: GuidanceScale | None = Field(default=None, description="as in /generate; 7.5 if null")
    preset: PresetName | None = Field(default=None, description="as in /generate; GET /v1/models tells which there are")
    user: Annotated[str, Field(max_length=MAX_PROMPT)] | None = Field(
        default=None, description="whom the client asks for; nothing depends on it"
    )

    @model_validator(mode="after")
    def _preset_takes_the_rest(self) -> Self:
        check_fixed(self.parameters())
        return self

    def parameters(self) -> dict[str, Any]:
        """What it says, in the words of GenerateRequest."""
        words = {
            "prompt": self.prompt,
            "seed": self.seed,
            "ddim_steps": self.num_inference_steps,
            "guidance_scale": self.guidance_scale,
            "preset": self.preset,
        }
        return {name: value for name, value in words.items() if value is not None}
