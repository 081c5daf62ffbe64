"""What options may be: every wrong one is named, in one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from formats import FORMATS, OptionError, Options, file_of
from formats.options import RULES
from models.errors import ShapeError
from models.shape import Shape, Voxels

BY_NAME = {format_.name: format_ for format_ in FORMATS}
GOOD = {
    "size": "64", "fill": "hollow", "thickness": "3", "up": "Z", "origin": "corner", "mirror": "x", "clean": "true",
    "levels": "2", "length_mm": "12.5", "faces": "1000", "palette": "minecraft:dirt=866043,minecraft:stone",
}  # fmt: skip


def test_a_query_becomes_options_and_other_names_mean_nothing() -> None:
    assert set(GOOD) == set(RULES)
    options = Options.of({**GOOD, "format": "stl", "sizes": "7"})
    assert (options.size, options.up, options.clean, options.length_mm) == (64, "z", True, 12.5)
    assert Options.of({"clean": "false", "levels": "1"}) == Options()
    assert Options().given() == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("size", "0"), ("size", "1025"), ("size", "6.5"), ("size", "-3"), ("size", "9" * 5000), ("size", "٣"),
        ("size", ""), ("fill", "half"), ("thickness", "0"), ("up", "x"), ("origin", "middle"), ("mirror", "xy"),
        ("clean", "yes"), ("levels", "9"), ("length_mm", "nan"), ("length_mm", "inf"), ("length_mm", "0"),
        ("faces", "99"), ("palette", "nothing"), ("palette", "a=12345"), ("palette", ""), ("palette", "a b=123456"),
        ("palette", ",".join(["stone"] * 65)),
    ],
)  # fmt: skip
def test_a_value_that_means_nothing_is_named_with_what_it_should_be(name: str, text: str) -> None:
    with pytest.raises(OptionError) as raised:
        Options.of({name: text})
    assert str(raised.value).startswith(f"{name} should be {RULES[name].words}, not ")
    assert len(str(raised.value)) < 700


def test_every_wrong_option_is_named() -> None:
    with pytest.raises(OptionError, match=r"^size should .*; up should .*; length_mm should "):
        Options.of({"size": "x", "up": "x", "length_mm": "x"})


@pytest.mark.parametrize("value", [True, 64.0, "64"])
def test_python_is_checked_as_a_url_is(value: Any) -> None:
    with pytest.raises(OptionError, match="size should be a whole number"):
        Options(size=value)


def test_a_thickness_needs_a_wall() -> None:
    with pytest.raises(OptionError, match="thickness means nothing without fill=hollow"):
        Options(fill="solid", thickness=2)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("glb", Options(up="z"), "up is y in glb"),
        ("vox", Options(up="y"), "up is z in vox"),
        ("ply", Options(length_mm=10.0, faces=100), "length_mm does not apply to ply; faces does not apply to ply"),
        ("stl", Options(fill="solid"), "fill does not apply to stl"),
        ("stl", Options(palette="oak"), "palette does not apply to stl"),
        ("npz", Options(palette="oak"), "palette does not apply to npz"),
        ("report", Options(levels=2), "levels does not apply to report"),
    ],
)
def test_a_combination_that_makes_no_sense_is_refused(name: str, options: Options, text: str) -> None:
    with pytest.raises(OptionError, match=f"^{text}$"):
        BY_NAME[name].check(options)


@pytest.mark.parametrize("format_", FORMATS[2:], ids=lambda format_: format_.name)
def test_a_shape_without_voxels_becomes_no_file(format_: Any) -> None:
    nothing = Voxels(np.zeros((0, 3), np.int16), np.zeros((0, 3), np.float32), 1 / 16)
    with pytest.raises(ShapeError, match=r"^The shape has no voxel: there is nothing to write\.$"):
        file_of(format_, Shape(nothing, None, 1), "1")


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_what_a_format_is_by_convention_may_be_said(format_: Any) -> None:
    frame = format_.frame
    said = {"up": frame.ups[0]} | ({"origin": frame.origins[0]} if "origin" in format_.options else {})
    format_.check(Options(**said))
