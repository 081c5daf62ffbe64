"""What clients send and get as JSON: fields, types and ranges."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue

from api.given_shape import GivenShape
from api.presets import MAX_GUIDANCE, described, item_without_preset, without_preset
from models.presets import OF_ANY_MODELS, PRESETS, Network, PresetName
from models.variants import variant_seeds

MAX_PROMPT = 1000
MAX_STEPS = 1000
MAX_ITEMS = 1024
MAX_VARIANTS = 64
MAX_URL = 2000


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("should not be blank")
    return value


def whole(value: object) -> object:
    """An integer that is written with a fraction or an exponent, as JSON and JSON Schema allow: ``5.0``, ``1e2``.

    Beyond 2**53 such a number may be another one than the client wrote, and is left as it is.
    """
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53 else value


def _pair(value: object) -> object:
    """Two numbers as JSON writes them."""
    return tuple(value) if isinstance(value, list) else value


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError("should be two numbers in ascending order")
    return value


class OrNull:
    """Adds null to a field's published schema: the field means its default then."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [handler(schema), {"type": "null"}]}


Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT), AfterValidator(_not_blank)]
Steps = Annotated[int, Field(ge=1, le=MAX_STEPS), BeforeValidator(whole)]
GuidanceScale = Annotated[float, Field(ge=1.0, le=MAX_GUIDANCE)]
SchedulerName = Literal["ddim", "dpm++"]
_Share = Annotated[float, Field(ge=0.0, le=1.0)]
Interval = Annotated[
    tuple[_Share, _Share],
    BeforeValidator(_pair),
    AfterValidator(_ascending),
    WithJsonSchema(
        {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 2, "maxItems": 2}
    ),
]
Variants = Annotated[int, Field(ge=1, le=MAX_VARIANTS), BeforeValidator(whole)]
Seed = Annotated[int, Field(ge=-(2**63), le=2**64 - 1), BeforeValidator(whole)]


class _Strict(BaseModel):
    """Types are strict: ``"5"``, ``5.5`` and ``true`` are no integers. Fields that nobody knows are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Parameters(_Strict):
    """How a shape is generated, whatever it shows. A field that is null means the same as one that is left out."""

    ddim_steps: Annotated[Steps, OrNull()] = Field(default=100, description="denoising steps in each stage")
    guidance_scale: Annotated[GuidanceScale, OrNull()] = Field(
        default=7.5, description="s in pred + s * (pred - null), coarse stage only; 1.0 switches guidance off"
    )
    seed: Seed | None = Field(
        default=None, description="any signed or unsigned 64-bit integer; null draws one, and X-Seed tells which"
    )
    use_fine: Annotated[bool, OrNull()] = Field(default=True, description="refine the coarse shape with the fine model")

    scheduler: Annotated[SchedulerName, OrNull()] = Field(
        default="ddim", description="of both stages; dpm++ is deterministic and needs fewer steps"
    )
    fine_steps: Steps | None = Field(
        default=None, description="denoising steps of the fine stage; null takes as many as the coarse stage"
    )
    guidance_interval: Annotated[Interval, OrNull()] = Field(
        default=(0.0, 1.0), description="the part of the coarse run in which guidance is applied, 0 at pure noise to 1",
        json_schema_extra={"default": [0.0, 1.0]},
    )  # fmt: skip
    preset: PresetName | None = Field(default=None, description=described())
    n: Annotated[Variants, OrNull()] = Field(
        default=1, description="variants: shapes of the prompt, with its seed and the following ones"
    )

    @model_validator(mode="before")
    @classmethod
    def _nulls_and_presets_are_resolved(cls, values: Any) -> Any:
        return without_preset(_without_nulls(values)) if isinstance(values, dict) else values


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a body; a parameter that is null means the same as one that is left out."""
    return {name: value for name, value in values.items() if value is not None or name not in Parameters.model_fields}


class _OnePrompt(_Strict):
    prompt: Prompt = Field(description="what to make", examples=["a tall chair"])


class PromptRequest(_OnePrompt):
    """A prompt to look at before anything is generated."""


class GenerateRequest(Parameters, _OnePrompt):  # pydantic puts the fields of the last base first
    """What to generate. Types are strict: ``"5"``, ``5.5`` and ``true`` are no integers."""

    def variants(self) -> list[Self]:
        """One request for each of the `n` shapes; where there are several, each names its seed."""
        if self.n == 1:
            return [self]
        seeds = variant_seeds(random_seed(self.n) if self.seed is None else self.seed, self.n)
        return [self.model_copy(update={"seed": seed, "n": 1}) for seed in seeds]

    @property
    def network(self) -> Network:
        """Which denoisers take the steps."""
        return "standard" if self.preset is None else PRESETS[self.preset].network

    @property
    def coarse_steps(self) -> int:
        """Denoising steps of the coarse stage."""
        return self.ddim_steps

    @property
    def fit_steps(self) -> int:
        """Steps that look for the latent of a given shape; none where there is nothing to look for."""
        return 0


class Origin(_Strict):
    """An earlier shape: that of a job, or of a request that was answered a moment ago."""

    job: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="id of a finished job"
    )
    request: GenerateRequest | None = Field(
        default=None, description="a request as it was sent to /generate, with the seed of the answer"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.job is None) == (self.request is None):
            raise ValueError("should have either job or request")
        if self.request is not None and (self.request.seed is None or self.request.n != 1):
            raise ValueError("should have a request with a seed, and for one shape: X-Seed tells the seed of an answer")
        return self


Corner = Annotated[list[Annotated[float, Field(ge=-1.0, le=1.0)]], Field(min_length=3, max_length=3)]


def _box(value: list[list[float]]) -> list[list[float]]:
    if any(low > high for low, high in zip(*value, strict=True)):
        raise ValueError("should be the low corner, then the high one")
    return value


Strength = Annotated[float, Field(gt=0.0, le=1.0)]
Corners = Annotated[list[Corner], Field(min_length=2, max_length=2), AfterValidator(_box)]


class JobRequest(GenerateRequest):
    """What to generate as a job."""

    webhook: Annotated[str, Field(min_length=1, max_length=MAX_URL)] | None = Field(
        default=None, description="where the end of the job is told, such as https://example.org/hooks"
    )
    shape: GivenShape | None = Field(
        default=None,
        description="a coarse shape to refine, as POST /refine does; with strength or box, to vary; null makes one",
    )
    of: Origin | None = Field(default=None, description="an earlier shape to vary, as POST /variations does")
    strength: Strength | None = Field(default=None, description="see POST /variations; 0.5 where it is null")
    box: Corners | None = Field(default=None, description="see POST /variations")

    @property
    def is_varied(self) -> bool:
        """Whether a given shape is to be varied and not refined."""
        return self.strength is not None or self.box is not None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.of is None and self.shape is None and (self.strength is not None or self.box is not None):
            raise ValueError("strength and box should go with of or shape")
        if self.of is not None and self.shape is not None:
            raise ValueError("shape and of should not go together")
        return self


class BatchItem(_Strict):
    """A prompt with parameters of its own; what it leaves out, or is null, is shared with the others."""

    prompt: Prompt
    ddim_steps: Steps | None = None
    guidance_scale: GuidanceScale | None = None
    seed: Seed | None = None
    use_fine: bool | None = None
    scheduler: SchedulerName | None = None
    fine_steps: Steps | None = None
    guidance_interval: Interval | None = None
    preset: PresetName | None = None
    n: Variants | None = None


class _Prompts(_Strict):
    prompts: list[Prompt | BatchItem] = Field(min_length=1, max_length=MAX_ITEMS, examples=[["a tall chair", "a boat"]])


class BatchRequest(Parameters, _Prompts):
    """Several shapes to generate: prompts, or objects with a prompt, and parameters that they share."""

    seed: Seed | None = Field(default=None, description="used for every prompt; null draws one for each")

    @model_validator(mode="before")
    @classmethod
    def _presets_of_items_are_resolved(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("prompts"), list):
            return values
        shared = _without_nulls(values)
        items = (
            item_without_preset(_without_nulls(item), shared) if isinstance(item, dict) else item
            for item in values["prompts"]
        )
        return {**values, "prompts": list(items)}

    def requests(self) -> list[GenerateRequest]:
        """One request for each shape: the variants of each prompt, one prompt after the other."""
        shared = self.model_dump(exclude={"prompts"})
        requests = (
            GenerateRequest(
                **shared | ({"prompt": item} if isinstance(item, str) else item.model_dump(exclude_none=True))
            )
            for item in self.prompts
        )
        return [variant for request in requests for variant in request.variants()]


class NoParameters(BaseModel):
    """The body of a call without parameters: ``{}``."""

    model_config = ConfigDict(extra="forbid")


KINDS_IN_HEALTH = 100
"""Kinds of a set that the health names: probes ask for it all the time."""


class Health(BaseModel):
    """What GET /health answers, always with status 200."""

    status: Literal["ready", "loading", "error"]
    xcube_available: bool = Field(description="the models and a sparse backend can be imported")
    gpu_available: bool = Field(description="a CUDA kernel has run at start-up")
    gpu_name: str | None = None
    model_loaded: bool = Field(description="the text and coarse models are ready")
    error: str | None = Field(
        default=None, description="which model cannot be served, why, and what to do; `status` tells whether others can"
    )
    model_set: str | None = Field(default=None, description="name of the set of models; null until they are found")
    kinds: list[str] = Field(
        default=[],
        max_length=KINDS_IN_HEALTH,
        description="kinds of shapes that the set knows, from the data it was trained on; empty where nobody can list "
        f"them, as with the official models; at most {KINDS_IN_HEALTH}, GET /kinds lists all with their other names",
    )
    presets: list[PresetName] = Field(
        default=OF_ANY_MODELS, description="presets that these models have; turbo needs a turbo pair"
    )


LOADING = Health(status="loading", xcube_available=False, gpu_available=False, model_loaded=False)
"""The health as long as nothing is known about the models."""


class ErrorBody(BaseModel):
    """The body of every answer with a status of 400 or above."""

    error: str = Field(description="one sentence: what is wrong and what to do")
    code: str = Field(description="stable name of the error, snake_case")
    retryable: bool = Field(description="whether the same request may succeed later")


def steps_of(request: GenerateRequest) -> int:
    """Steps that a request asks for, of both stages and to find a latent."""
    return request.fit_steps + request.coarse_steps + fine_steps_of(request)


def fine_steps_of(request: GenerateRequest) -> int:
    """Denoising steps that a request asks for in the fine stage; 0 where it wants none."""
    return (request.fine_steps or request.ddim_steps) if request.use_fine else 0


def random_seed(count: int = 1) -> int:
    """The first of so many seeds of 0 ... 2**31 - 1, so that a client of any integer type can send each again."""
    return secrets.randbelow(2**31 + 1 - count)
