"""The latents that both denoisers learn, made of all shapes by trained encoders."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional

from training.cubes import Cubes
from training.dataset import Shapes, balanced, unit
from training.engine import progress_bar
from training.leftovers import write_bytes
from training.loading import Batch, in_order
from training.rows import AnyRows, MappedRows, Rows, place_for
from training.vae import Autoencoder

LARGER_ON_GPU = 4
"""How much larger batches are on a GPU, which one for a CPU keeps busy for a moment only."""
WITH_COPY = 3
"""Times the room of coarse latents that their float32 copy takes as well, by which their deviation is measured."""


@torch.no_grad()
def encode_coarse(model: Autoencoder, coarse: AnyRows, folder: Path, size: int = 128) -> Cubes:
    """The mean latents of all shapes as cubes [8, 8, 8, C], for use on the model's device.

    What neither the device nor memory holds goes into files in `folder`.
    """
    config, device, parts = model.config.vae, device_of(model), list[Tensor]()
    side, chosen = config.latent_resolution, balanced(range(len(coarse)), _suited(size, device))
    whole = len(coarse) * config.latent_channels * side**3 * torch.finfo(torch.float16).bits // 8
    place = place_for(WITH_COPY * whole, device)
    with progress_bar("coarse latents", len(chosen)) as bar:
        for done, (part, batch) in enumerate(zip(chosen, in_order(coarse, chosen, device), strict=True), 1):
            _, mean, _ = model.encode(batch.grid, unit(batch.values))
            cubes = mean.view(len(part), side, side, side, -1).half()
            if place is None:
                (cubes,) = _mapped({"cubes": cubes}, folder / f"{done:06d}.safetensors")
            parts.append(cubes if place is None else cubes.to(place))
            bar.advance(done, fraction=done / len(chosen))
    return Cubes(parts, device, mapped=True) if place is None else Cubes([torch.cat(parts)], device)


@torch.no_grad()
def encode_fine(model: Autoencoder, shapes: Shapes, folder: Path, size: int = 16) -> AnyRows:
    """What the fine denoiser learns from, on all voxels the encoder makes, for use on the model's device.

    Values are float16 [K, C + 4]: the mean latent, the coarse normal (beside the surface: the mean of those around),
    and 1 for a coarse voxel or 0 for one beside the surface. What neither the device nor memory holds goes into files
    in `folder`, from which batches are read.
    """
    assert shapes.fine is not None
    device, tables = device_of(model), list[Rows]()
    parts = balanced(range(len(shapes.fine)), _suited(size, device))
    place: torch.device | None = None
    with progress_bar("fine latents", len(parts)) as bar:
        read = zip(in_order(shapes.fine, parts, device), in_order(shapes.coarse, parts, device), strict=True)
        for done, (fine, coarse) in enumerate(read, start=1):
            table = _encoded(model, fine, coarse)
            if not tables:
                whole = (table.ijk.nbytes + table.values.nbytes) * len(parts)
                place = place_for(whole, device)
            tables.append(_kept(table, folder / f"{done:06d}.safetensors") if place is None else table.to(place))
            bar.advance(done, fraction=done / len(parts))
    if place is not None:
        return Rows.join(tables).to(device)
    table_of = [torch.full((len(table),), number) for number, table in enumerate(tables)]
    return MappedRows(tables, torch.cat(table_of), torch.cat([torch.arange(len(t)) for t in tables]), device)


def _suited(size: int, device: torch.device) -> int:
    return LARGER_ON_GPU * size if device.type == "cuda" else size


def _encoded(model: Autoencoder, fine: Batch, coarse: Batch) -> Rows:
    grid, mean, _ = model.encode(fine.grid, unit(fine.values))
    normals = unit(coarse.values)
    rows = coarse.grid.rows_of(grid.ijk, grid.batch)
    there = (rows < len(coarse.grid))[:, None]
    own = functional.pad(normals, (0, 0, 0, 1))[rows]
    around = grid.conv3(own, torch.eye(3, device=own.device)[:, :, None, None, None].expand(3, 3, 3, 3, 3))
    normal = functional.normalize(torch.where(there, own, around), dim=1)
    values = torch.cat((mean, normal, there), dim=1).half()
    return Rows(grid.ijk.to(torch.int8), values, torch.tensor([0, *grid.counts]).cumsum(0))


def _kept(table: Rows, path: Path) -> Rows:
    ijk, values, offset = _mapped({"ijk": table.ijk, "values": table.values, "offset": table.offset}, path)
    return Rows(ijk, values, offset)


def _mapped(tensors: dict[str, Tensor], path: Path) -> list[Tensor]:
    """Tensors as they lie in a file, of which the operating system reads what is looked at."""
    write_bytes(path, save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}))
    with safe_open(path, "pt") as file:
        return [file.get_tensor(name) for name in tensors]


def device_of(model: Autoencoder) -> torch.device:
    """Where a model's weights are."""
    return next(model.parameters()).device
