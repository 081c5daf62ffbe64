"""What crosses between the HTTP process and the Sampler: plain values, and tensors as one bytes field.

The same messages work over the private socket and over a URL, where BentoML speaks JSON: bytes then go as base64.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.errors import error_of_code, rule_of
from api.given import Given, Variation
from api.schemas import GenerateRequest, Health, Seed
from models.config import Stage
from models.presets import Network
from models.strength import steps_taken

MODELS = ("text", "coarse", "fine", "turbo_coarse", "turbo_fine")
"""Names of the models, in the order in which a prompt meets them."""
MOST_SAMPLES = 64
"""Samples of one call at most."""
MOST_BYTES = 256 << 20
"""Bytes of all states of one call at most: a shape that fills the cube of 128 voxels has 172 MB."""
_FOLDERS = re.compile(r"(?<![\w.:/])(?:/[\w.@+-]+)+/(?=[\w.@+-]+/[\w.@+-]+)")


class Message(BaseModel):
    """Base of every message."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


State = Annotated[bytes, Field(max_length=MOST_BYTES)]


class Order(GenerateRequest):
    """A generation to start. The seed is drawn already: a retry must not draw another one.

    Attributes:
        weights: `Status.weights` of the only models that may begin it; empty where any may.
        given: The coarse shape that it refines, if it does.
        variation: The shape that it varies, if it does.
    """

    seed: Seed
    given: Given | None = None
    variation: Variation | None = None
    weights: str = Field(default="", max_length=1000)

    @property
    def coarse_steps(self) -> int:
        """Denoising steps of the coarse stage; none where the coarse shape is there."""
        if self.given is not None:
            return 0
        return self.ddim_steps if self.variation is None else steps_taken(self.ddim_steps, self.variation.strength)

    @property
    def fit_steps(self) -> int:
        """Steps that look for the latent of a given shape."""
        return 0 if self.variation is None else self.variation.fit_steps

    def with_latent(self, latent: bytes) -> Order:
        """The order once the latent of the shape that it varies has been found."""
        assert self.variation is not None
        return self.model_copy(update={"variation": self.variation.model_copy(update={"latent": latent})})

    def without_voxels(self) -> Order:
        """The order as a Sampler needs it: of a shape to vary the latent alone."""
        if self.variation is None:
            return self
        return self.model_copy(update={"variation": self.variation.model_copy(update={"coarse": b"", "fine": b""})})

    def refining(self, coarse: bytes) -> Order:
        """The order for the fine stage alone, on packed coarse voxels."""
        return self.model_copy(update={"variation": None, "given": Given(coarse=coarse)})

    @classmethod
    def of(cls, request: GenerateRequest, seed: int, weights: str = "") -> Order:
        """The order for a client's request."""
        return cls(**request.model_dump() | {"seed": seed, "weights": weights})


class Slice(Message):
    """A state to advance by as many steps as the Sampler finds to fit a time slice.

    Attributes:
        state: The state.
        batch_key: The same for all states that a Sampler computes together; empty for one that it computes alone.
    """

    state: State
    batch_key: str = Field(default="", max_length=100)

    @classmethod
    def after(cls, progress: Progress) -> Slice:
        """The slice that follows."""
        return cls(state=progress.state, batch_key=progress.batch_key)


class Finished(Message):
    """A state to decode; with `fine_steps`, also into the first state of the fine stage, which takes so many."""

    state: State
    fine_steps: int = 0


class Unfitted(Message):
    """A given shape whose latent is looked for: its packed coarse voxels, and how far that is; empty at the begin."""

    coarse: State
    fit: State = b""


class Outcome(Message):
    """One item's answer: a failure of one item is data, so that it does not fail the others of its batch."""

    code: str | None = None
    error: str = ""
    warnings: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises the exception that this outcome carries, if any."""
        if self.code is not None:
            raise error_of_code(self.code, self.error)


class Progress(Outcome):
    """A state after a slice, how far it is, with whom it goes on (see `Slice`), and `Status.bits` of who made it."""

    state: bytes = b""
    batch_key: str = ""
    made_by: str = ""
    stage: Stage = "coarse"
    network: Network = "standard"
    step: int = 0
    steps: int = 0

    @property
    def done(self) -> bool:
        """Whether the state can be decoded."""
        return self.step >= self.steps


class Decoded(Outcome):
    """A decoded state, and the start of the fine stage on it where that was asked for and is possible."""

    voxels: bytes = b""
    fine: Progress | None = None


class Fitted(Outcome):
    """A fit after a slice, how far it is, and at its end the finished state of the coarse stage that was found."""

    fit: bytes = b""
    step: int = 0
    latent: bytes = b""


class Recognised(Outcome):
    """What is known of a prompt, as `models.kinds.Recognition` has it; its warnings are what the prompt deserves."""

    known: bool | None = None
    kinds: tuple[str, ...] = ()
    nearest: tuple[str, ...] = ()


class ModelStatus(Message):
    """One model.

    Attributes:
        version: Names its weights; empty until they are found.
        usable: Whether it is there and nothing is wrong with it.
        fault: What is wrong with it, by its file, and what to do; empty where nothing is.
    """

    version: str = ""
    usable: bool = False
    fault: str = ""


class Status(Message):
    """What a Sampler says about itself: health, and seconds of one denoising step by stage, as measured.

    Attributes:
        health: What GET /health answers.
        sampler: Which Sampler process says so.
        model_set: the name of the set, or "own" where XCUBE_CONFIG names the models; empty until they are found.
        models: The models that there are, or should be, by name; empty until they have been looked for.
        step_seconds: Seconds of one denoising step of one sample by `models.presets.model_of`.
        arithmetic: What changes the last bits of results besides the weights.
        lanes: Calls of `denoise` that each Sampler process works on at a time.
        kinds: The kinds of shapes that the models know, with other names of each; empty where nobody can list them.
        coarse_resolution: Voxels along each axis of the grid of coarse shapes; 0 until the models are found.
    """

    health: Health
    sampler: str = ""
    model_set: str = ""
    models: dict[str, ModelStatus] = {}
    step_seconds: dict[str, float] = {}
    arithmetic: str = ""
    lanes: int = 1
    kinds: dict[str, tuple[str, ...]] = {}
    coarse_resolution: int = 0

    @property
    def versions(self) -> dict[str, str]:
        """What names the weights of each model that there is; empty until they are found."""
        return {name: self.models[name].version for name in MODELS if name in self.models and self.models[name].version}

    @property
    def weights(self) -> str:
        """Names the weights of all models, as the states of generations do."""
        return weights_of(self.versions)

    @property
    def bits(self) -> str:
        """What the bytes of a result depend on besides the request; empty while that is not known."""
        return bits_of(self.arithmetic, self.weights)

    @property
    def fine_model(self) -> bool:
        """Whether there is a fine model, loaded or not."""
        return "fine" in self.models

    @property
    def fine_fault(self) -> str:
        """Why the fine model cannot be used; empty where it can."""
        return self.models["fine"].fault if self.fine_model else ""

    @property
    def turbo_fault(self) -> str:
        """Why the turbo pair cannot be used, although there is one; empty where it can."""
        faults = (model.fault for name, model in self.models.items() if name.startswith("turbo"))
        return next(filter(None, faults), "")


def weights_of(versions: Mapping[str, str]) -> str:
    """One name for the weights of several models, from the names of each."""
    return " ".join(versions[name] for name in MODELS if name in versions)


def bits_of(arithmetic: str, weights: str) -> str:
    """What the bytes of a result depend on besides the request: `Status.arithmetic` and `Status.weights` together."""
    return f"{arithmetic}; {weights}" if weights else ""


def failure(error: Exception) -> tuple[str, str]:
    """Code and text of an exception for an outcome; one that is not in the table of errors becomes `internal`."""
    rule = rule_of(error)
    return (rule.code, for_strangers(str(error))) if rule else ("internal", "")


def for_strangers(text: str) -> str:
    """A text without the folders of this machine: of a long path the file and its folder stay, of a shorter one all."""
    return _FOLDERS.sub("", text)


def authorization(token: str) -> str:
    """The header's value by which an HTTP process shows the token that it shares with Samplers elsewhere."""
    return f"Bearer {token}"
