"""A variation of a part of a shape: what lies outside of its box is put back into what was made."""

from __future__ import annotations

from api.messages import Order
from models.joining import Box, joined
from models.shape import Voxels


def is_part(order: Order) -> bool:
    """Whether an order changes what lies in a box, and nothing else."""
    return order.variation is not None and order.variation.box is not None


def with_coarse(order: Order, made: bytes) -> bytes:
    """The packed coarse voxels of an order that `is_part`, from those that were made for it."""
    assert order.variation is not None
    return _with(order, order.variation.coarse, made)


def with_fine(order: Order, made: bytes) -> bytes:
    """The same with the fine voxels, of any order; those that were made where nothing has to be put back."""
    if order.variation is None or not order.variation.fine or not made:
        return made
    return _with(order, order.variation.fine, made)


def _with(order: Order, kept: bytes, made: bytes) -> bytes:
    assert order.variation is not None
    assert order.variation.box is not None
    box = Box(*order.variation.box)
    return joined(Voxels.from_bytes(kept), Voxels.from_bytes(made), box).to_bytes()
