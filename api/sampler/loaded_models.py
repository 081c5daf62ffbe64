"""The models of one Sampler process: where they run, where they come from, and what is loaded of them."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from api.errors import ModelsUnavailable
from api.messages import MODELS, ModelStatus, weights_of
from api.model_set import read_model_set
from api.sampler.turbo_pair import STAGES, TurboPair, name_of
from api.settings import Settings
from api.telemetry import metrics
from models import threads
from models.cache import LRUCache
from models.config import Stage, StageConfig
from models.errors import CheckpointError, ConfigError, XCubeError
from models.importer import ensure_imported
from models.kinds import Recognition
from models.loading import check_fine, load_coarse, load_fine, load_text
from models.presets import Network
from models.recognition import Recogniser
from models.runtime import Runtime
from models.stages import CoarseStage, FineStage
from models.store import ModelSet, find, name_of_weights
from models.text import TextEmbedding, TextEncoder

log = logging.getLogger("xcube.models")
EMBEDDINGS_KEPT = 256


class LoadedModels:
    """Text tower and coarse stage, loaded together, and the fine stage, loaded on first use.

    Args:
        settings: Where the models come from and where they run.
        index: Number of this Sampler process, from 0; each takes a GPU of its own where there are enough.
    """

    def __init__(self, settings: Settings, index: int = 0) -> None:
        self.settings = settings
        self._index = index
        self.model_set = ""
        """Which set of models this is, see `Status.model_set`."""
        self.gpu_name: str | None = None
        self.runtime = Runtime()
        self._text: TextEncoder | None = None
        self._recogniser: Recogniser | None = None
        self._coarse: CoarseStage | None = None
        self._coarse_folder: Path | None = None
        self._fine: FineStage | None = None
        self._fine_folder: Path | None = None
        self.faults: list[str] = []
        """Models that are not served because they could not be imported, one sentence each."""
        self.turbo = TurboPair()
        self._broken: dict[str, str] = {}
        """What is wrong with a model that cannot be used, by its name."""
        self._versions: dict[str, str] = {}
        """Names the weights of each model."""
        self.coarse_resolution = 0
        """Voxels along each axis of the grid of coarse shapes; 0 as long as the coarse model has not been loaded."""
        self._lock = threading.RLock()
        self._embeddings: LRUCache[TextEmbedding] = LRUCache(EMBEDDINGS_KEPT)
        self._recognitions: LRUCache[Recognition] = LRUCache(EMBEDDINGS_KEPT)

    @property
    def has_fine(self) -> bool:
        """Whether there is a fine model, loaded or not."""
        return self._fine_folder is not None

    @property
    def fine_fault(self) -> str | None:
        """Why the fine model cannot be used, although there is one."""
        return self._broken.get("fine")

    @property
    def tags(self) -> str:
        """Names the weights of all models."""
        return weights_of(self._versions)

    @property
    def statuses(self) -> dict[str, ModelStatus]:
        """Each model that there is, or should be: whether it can be used by itself, and why not."""
        usable = {"text": self._text is not None, "coarse": self._coarse_folder is not None, "fine": self.has_fine}
        own = {
            name: ModelStatus(
                version=self._versions.get(name, ""), usable=there and name not in self._broken,
                fault=self._broken.get(name, ""),
            )
            for name, there in usable.items() if name != "fine" or there or name in self._broken
        }  # fmt: skip
        return own | {name: self.turbo.status(name, self._versions.get(name, "")) for name in self.turbo.names}

    def load(self) -> None:
        """Finds the device, loads text tower and coarse stage, and reads the fine model to know whether it can be used.

        Raises:
            ModelsUnavailable: a model or the GPU that was asked for is missing, or the GPU has less memory than the
            Sampler may take; the text says what to do.
            CheckpointError, ConfigError: a model cannot be read.
        """
        threads.use(self.settings.threads)
        self.runtime = Runtime(self._find_device())
        faults = ensure_imported(self.settings.checkpoint_dir)
        found = find(self.settings.model)
        lacking = {each.kind: told for each, told in faults if each.model_set == found.name}
        if self.settings.config is not None:
            folders: dict[str, Any] = {**read_model_set(self.settings.config)}
            if folders.keys() & {"coarse", "fine"}:  # the store's students are those of the store's models
                folders = {name_of(stage): None for stage in STAGES} | folders
            found = replace(found, **folders)
            lacking = {kind: told for kind, told in lacking.items() if kind not in folders}
        needed = ("text", "coarse", "fine")
        self._broken = {kind: lacking[kind] for kind in needed if getattr(found, kind) is None and kind in lacking}
        self._coarse_folder, self._fine_folder = found.coarse, found.fine
        if found.text is None or found.coarse is None:
            raise ModelsUnavailable(" ".join([*(told for _, told in faults), _missing(found)]))
        self.turbo = TurboPair(found, lacking)
        shown = {self._broken.get("fine"), *(lacking.get(name) for name in self.turbo.names)}
        self.faults = [told for _, told in faults if told not in shown]
        if "fine" in self._broken:
            self._note(self._broken["fine"])
        self.model_set = found.name if self.settings.config is None else "own"
        with self._loading("text"):
            self._text = load_text(found.text).to(self.runtime.device)
            self._recogniser = Recogniser(self._text)
        self.runtime = Runtime.choose(self.runtime.device, self.settings.dtype, self.settings.backend)
        used = {name: getattr(found, name) for name in needed} | self.turbo.folders
        self._versions = {name: name_of_weights(used[name]) for name in MODELS if used.get(name) is not None}
        coarse = self.coarse()
        self.coarse_resolution = coarse.config.vae.latent_resolution * coarse.config.vae.factor
        self._check_fine(coarse.config)
        metrics.build(torch.__version__, torch.version.cuda, backend=self.runtime.backend)
        log.info(
            "models of the %s set on %s in %s, sparse grids by %s",
            found.name, self.gpu_name or "the CPU", self.runtime.dtype_name, self.runtime.backend,
        )  # fmt: skip

    def embed(self, prompt: str) -> TextEmbedding:
        """The embedding of a prompt, remembered for the prompts used last."""
        text = self._text
        if text is None:
            raise ModelsUnavailable("The text model is not loaded.")
        return self._embeddings.get(prompt, lambda: text.encode([prompt])[0])

    @property
    def kinds(self) -> dict[str, tuple[str, ...]]:
        """The kinds of shapes that the models know, as far as anybody can list them."""
        return {} if self._recogniser is None else self._recogniser.kinds

    def recognise(self, prompt: str) -> Recognition:
        """What is known of a prompt, remembered for the prompts used last.

        Raises:
            ModelsUnavailable: There is no text model.
        """
        if self._recogniser is None:
            raise ModelsUnavailable("The text model is not loaded.")
        return self._recognitions.get(prompt, partial(self._recogniser.recognise, prompt))

    @property
    def arithmetic(self) -> str:
        """What changes the last bits of results besides the weights: device, number format, grids, threads."""
        runtime, count = self.runtime, torch.get_num_threads()
        return f"{self.gpu_name or 'cpu'}, {runtime.dtype_name}, {runtime.backend}, {count} threads"

    def coarse(self) -> CoarseStage:
        """The coarse stage, loaded again now if it had to make room."""
        with self._lock:
            if self._coarse is None:
                if self._text is None or self._coarse_folder is None:
                    raise ModelsUnavailable("The coarse model is not loaded.")
                with self._loading("coarse"):
                    self._coarse = load_coarse(self._coarse_folder, self._text.null, self.runtime)
            return self._coarse

    def fine(self) -> FineStage | None:
        """The fine stage, loaded now if it is not yet; None if there is none."""
        with self._lock:
            if self._fine is None and self._fine_folder is not None:
                with self._loading("fine"):
                    try:
                        self._fine = load_fine(self._fine_folder, self.runtime)
                    except (CheckpointError, ConfigError) as error:
                        self._note(str(error))
                        raise
            return self._fine

    def stage(self, name: Stage, network: Network) -> CoarseStage | FineStage | None:
        """A stage with one of its denoisers, loaded now if it is not yet.

        Returns:
            None where there is no such model, which cannot be of the coarse stage's own.

        Raises:
            ModelsUnavailable: It cannot be loaded again.
            CheckpointError, ConfigError: It cannot be read any more.
        """
        own = self.coarse() if name == "coarse" else self.fine()
        if network == "standard" or own is None:
            return own
        return self.turbo.stage(own) if name_of(name) in self.turbo.folders else None

    def _check_fine(self, coarse: StageConfig) -> None:
        """Reads the fine model, if there is one, and keeps only what is wrong with it."""
        if self._fine_folder is not None:
            try:
                check_fine(self._fine_folder, coarse)
            except (CheckpointError, ConfigError) as error:
                self._note(str(error))

    def _note(self, fault: str) -> None:
        log.error("the fine model cannot be used: %s", fault)
        told = f"The fine model cannot be used, so set use_fine to false until it is repaired: {fault}"
        self._broken["fine"] = told

    def empty_caches(self) -> None:
        """Frees what can be made again: grids, keys and values of texts, graphs, and memory that PyTorch holds."""
        with self._lock:
            for stage in (self._coarse, self._fine):
                if stage is not None:
                    stage.release()
            self.turbo.release()

    def unload_idle(self, needed: str) -> None:
        """Unloads the fine model, or, where it or its student is `needed`, the coarse one, and all other students.

        Each is loaded again on its next use.
        """
        self.empty_caches()
        idle = "coarse" if needed.endswith("fine") else "fine"
        with self._lock:
            students = self.turbo.unload_except(needed)
            if getattr(self, f"_{idle}") is not None:
                log.warning("unloading the %s model to make room; it is loaded again when it is needed", idle)
                setattr(self, f"_{idle}", None)
            elif not students:
                return
        gc.collect()
        if self.runtime.device.type == "cuda":
            torch.cuda.empty_cache()

    @contextmanager
    def _loading(self, model: str) -> Iterator[None]:
        log.info("loading the %s model", model)
        try:
            with metrics.loading(model):
                yield
        except XCubeError as error:
            self._broken.setdefault(model, str(error))
            raise
        self._broken.pop(model, None)

    def show_memory(self) -> None:
        """Puts the GPU's memory into the metrics."""
        if self.runtime.device.type == "cuda":
            _, total = torch.cuda.mem_get_info(self.runtime.device)
            allocated, reserved = (
                torch.cuda.memory_allocated(self.runtime.device),
                torch.cuda.memory_reserved(self.runtime.device),
            )
            metrics.gpu_memory(allocated, reserved, total)

    def _find_device(self) -> torch.device:
        index = self._index % max(1, torch.cuda.device_count())
        self.gpu_name = None if self.settings.device == "cpu" else working_gpu(index)
        if self.gpu_name is None and self.settings.device == "cuda":
            raise ModelsUnavailable(
                "XCUBE_DEVICE is cuda but no CUDA kernel ran: check the driver with nvidia-smi, or unset XCUBE_DEVICE."
            )
        if self.gpu_name is None:
            return torch.device("cpu")
        torch.cuda.set_device(index)
        device = torch.device("cuda", index)
        if self.settings.gpu_memory_gib is not None:
            limit_memory(device, self.settings.gpu_memory_gib)
        return device

    def lost(self) -> bool:
        """Whether the GPU answers this process no more, as after an illegal access to its memory."""
        if self.runtime.device.type != "cuda":
            return False
        try:
            torch.cuda.synchronize(self.runtime.device)
        except RuntimeError:
            return True
        return False


def _missing(found: ModelSet) -> str:
    names = " and no ".join(name for name in ("text", "coarse") if getattr(found, name) is None)
    return (
        f"There is no {names} model of the {found.name} set: put demo_text and demo_coarse (config.yaml, "
        "model.safetensors) or objaverse_coarse (config.yaml, last.ckpt) and a text tower into the folder of "
        "XCUBE_CHECKPOINT_DIR (checkpoints) and start again."
    )


def limit_memory(device: torch.device, gib: float) -> None:
    """Lets this process take at most so much of a GPU's memory, in GiB.

    Raises:
        ModelsUnavailable: The GPU has less.
    """
    total = torch.cuda.get_device_properties(device).total_memory / 2**30
    if gib > total:
        raise ModelsUnavailable(
            f"XCUBE_GPU_MEMORY_GIB is {gib:g}, but the GPU has {total:.1f} GiB: set it lower or leave it out."
        )
    torch.cuda.set_per_process_memory_fraction(gib / total, device)


def working_gpu(index: int = 0) -> str | None:
    """The name of a GPU if a CUDA kernel really ran on it and gave the right result, else None."""
    if not torch.cuda.is_available():
        return None
    try:
        if int(torch.arange(4, device=torch.device("cuda", index)).sum()) != 6:
            return None
        return torch.cuda.get_device_name(index)
    except RuntimeError as error:
        log.warning("the GPU is not used: %s", str(error).splitlines()[0])
        return None
