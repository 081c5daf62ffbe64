"""The shapes of a job as a store keeps them: one piece of bytes for each kind."""

from __future__ import annotations

from collections.abc import Callable

from api.jobs.record import Record
from models.shape import Shape, Voxels


def packed(shape: Shape) -> dict[str, bytes]:
    """A result by kind: coarse, and fine and latent if there are such."""
    shapes = {"coarse": shape.coarse.to_bytes()}
    if shape.fine is not None:
        shapes["fine"] = shape.fine.to_bytes()
    if shape.latent:
        shapes["latent"] = shape.latent
    return shapes


def unpacked(record: Record, read: Callable[[str], bytes]) -> Shape:
    """The inverse of `packed`; `read` gives what was kept of a kind, and whatever it raises is raised."""
    kept = {kind: read(kind) for kind in record.kinds or ()}
    coarse, fine = Voxels.from_bytes(kept["coarse"]), kept.get("fine")
    return Shape(
        coarse, None if fine is None else Voxels.from_bytes(fine), record.seed, record.warnings,
        latent=kept.get("latent", b""),
    )  # fmt: skip
