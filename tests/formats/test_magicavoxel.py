from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import pytest

from formats import FORMATS, Options, file_of
from models.shape import Shape, Voxels

(VOX,) = (format_ for format_ in FORMATS if format_.name == "vox")


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    while data:
        kind, content, children = struct.unpack("<4sii", data[:12])
        yield kind, data[12 : 12 + content]
        yield from chunks(data[12 + content : 12 + content + children])
        data = data[12 + content + children :]


class Reader:
    """Fields of a scene node: 32-bit integers and dictionaries."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def integer(self) -> int:
        (value,) = struct.unpack("<i", self.data[:4])
        self.data = self.data[4:]
        return int(value)

    def text(self) -> str:
        length = self.integer()
        value, self.data = self.data[:length], self.data[length:]
        return value.decode()

    def dictionary(self) -> dict[str, str]:
        return {self.text(): self.text() for _ in range(self.integer())}


def read(data: bytes) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Sizes of the models, and the voxels [N, 3] of each where the scene puts it, as the specification says."""
    magic, _ = struct.unpack("<4si", data[:8])
    assert magic == b"VOX "
    sizes, models, moved, shown = [], [], {}, {}
    for kind, content in chunks(data[8:]):
        reader = Reader(content)
        if kind == b"SIZE":
            sizes.append(np.array(struct.unpack("<3i", content)))
        elif kind == b"XYZI":
            rows = np.frombuffer(content[4:], np.uint8).reshape(-1, 4)
            assert len(rows) == reader.integer()
            assert (rows[:, 3] > 0).all()
            models.append(rows[:, :3].astype(int))
        elif kind == b"nTRN":
            reader.integer()
            reader.dictionary()
            child = reader.integer()
            _, _, frames = reader.integer(), reader.integer(), reader.integer()
            assert frames == 1
            moved[child] = np.array(reader.dictionary().get("_t", "0 0 0").split(), int)
        elif kind == b"nSHP":
            node = reader.integer()
            reader.dictionary()
            assert reader.integer() == 1
            shown[node] = reader.integer()
    placed = [models[model] - sizes[model] // 2 + moved[node] for node, model in shown.items()]
    assert len(placed) == len(models)
    return sizes, placed


def random_voxels(low: int, high: int, count: int) -> Voxels:
    generator = np.random.default_rng(0)
    ijk = np.unique(generator.integers(low, high, (count, 3)), axis=0).astype(np.int16)
    return Voxels(ijk, np.tile(np.array([[0, 1, 0]], np.float32), (len(ijk), 1)), 1 / (high - low))


@pytest.mark.parametrize(("side", "models"), [(32, 1), (128, 1), (256, 1), (512, 8)])
def test_every_voxel_is_where_it_was_with_z_up(side: int, models: int) -> None:
    voxels = random_voxels(-side // 2, side // 2, 20_000)
    sizes, parts = read(file_of(VOX, Shape(voxels, None, 1), "1", Options(origin="centre")).content)
    assert len(sizes) == models
    assert all((size <= 256).all() for size in sizes)
    position = np.concatenate(parts)
    ijk = np.stack([position[:, 0], position[:, 2], -position[:, 1] - 1], axis=1)
    np.testing.assert_array_equal(np.unique(ijk, axis=0), voxels.ijk)


def test_a_scene_has_the_shape_s_name_and_every_colour_of_the_palette() -> None:
    voxels = random_voxels(-16, 16, 2000)
    content = file_of(VOX, Shape(voxels, None, 1, prompt="a stone\nwell, very old"), "1").content
    assert b"_name" + struct.pack("<i", 22) + b"a stone well, very old" in content
    named = dict(chunks(content[8:]))
    colours = np.frombuffer(named[b"RGBA"], np.uint8).reshape(256, 4)
    used = np.unique(np.frombuffer(named[b"XYZI"][4:], np.uint8).reshape(-1, 4)[:, 3]) - 1
    assert len(used) > 5
    assert (colours[used, 3] == 255).all()
    assert len(np.unique(colours[used], axis=0)) == len(used)
    assert not colours[len(used) :].any()


def test_a_shape_above_256_keeps_its_colours_in_every_part() -> None:
    voxels = random_voxels(-256, 256, 20_000)
    options = Options(palette="a=ff0000,b=00ff00,c=0000ff,d=ffffff", origin="centre")
    content = file_of(VOX, Shape(voxels, None, 1), "1", options).content
    parts = [np.frombuffer(body[4:], np.uint8).reshape(-1, 4) for kind, body in chunks(content[8:]) if kind == b"XYZI"]
    below, above = set(), set()
    for part, position in zip(parts, read(content)[1], strict=True):
        for colours, half in ((below, position[:, 2] < 0), (above, position[:, 2] >= 0)):
            colours |= set(part[half, 3].tolist())
    assert (below, above) == ({1, 2}, {3, 4})
