from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from training.shapes import CATEGORIES, EVERY_KIND, ShapeSpec, VoxelShape, attribute_vocabulary, build, sample, voxelize
from training.shapes.sdf import Sdf, box, capsule, cylinder, ellipsoid, revolve, sphere, torus
from training.shapes.voxelize import voxelize_solid

FULL = np.ones((3, 3, 3))


@pytest.fixture(scope="module")
def shapes() -> dict[str, tuple[ShapeSpec, VoxelShape]]:
    specs = {name: sample(7, name) for name in EVERY_KIND}
    return {name: (spec, voxelize(spec)) for name, spec in specs.items()}


def at(solid: Sdf, *points: tuple[float, float, float]) -> list[float]:
    x, y, z = torch.tensor(points).T
    return [float(d) for d in solid((x, y, z))]


def signs(spec: ShapeSpec) -> bytes:
    """The signs of a solid on a 48³ grid: cheaper than voxels, and enough to tell shapes apart."""
    axis = (torch.arange(48) + 0.5) / 48 - 0.5
    x, y, z = torch.cartesian_prod(axis, axis, axis).T.contiguous()
    return (build(spec)((x, y, z)) < 0).numpy().tobytes()


def occupancy(ijk: torch.Tensor, resolution: int) -> np.ndarray:
    grid = np.zeros((resolution,) * 3, bool)
    grid[tuple((ijk.long() + resolution // 2).T)] = True
    return grid


def test_distances_of_primitives_are_exact() -> None:
    assert at(sphere(0.3), (0.5, 0, 0), (0, 0.1, 0)) == pytest.approx([0.2, -0.2])
    assert at(box(0.1, 0.2, 0.3), (0.2, 0.3, 0), (0, 0, 0)) == pytest.approx([math.hypot(0.1, 0.1), -0.1])
    assert at(cylinder(0.1, 0.2, axis="x"), (0.3, 0.2, 0), (0.15, 0, 0)) == pytest.approx([math.hypot(0.1, 0.1), -0.05])
    assert at(torus(0.3, 0.1), (0.3, 0.2, 0), (0, 0, 0.3)) == pytest.approx([0.1, -0.1])
    assert at(capsule((0, 0, 0), (0.4, 0, 0), 0.1), (0.2, 0.3, 0), (0.6, 0, 0)) == pytest.approx([0.2, 0.1])
    assert at(ellipsoid(0.2, 0.2, 0.2), (0.3, 0, 0)) == pytest.approx([0.1], abs=1e-6)


def test_a_revolved_profile_equals_the_cylinder_it_draws() -> None:
    points = [tuple(p) for p in np.random.default_rng(0).uniform(-0.5, 0.5, (50, 3))]
    turned = revolve([(0.0, -0.2), (0.3, -0.2), (0.3, 0.2), (0.0, 0.2)])
    assert at(turned, *points) == pytest.approx(at(cylinder(0.3, 0.2), *points), abs=1e-5)


def test_turning_is_counter_clockwise_seen_from_the_positive_end() -> None:
    arm = sphere(0.1).at(x=0.3)
    assert at(arm.turn("z", 90), (0, 0.3, 0)) == pytest.approx([-0.1], abs=1e-6)
    assert at(arm.turn("y", 90), (0, 0, -0.3)) == pytest.approx([-0.1], abs=1e-6)


def test_a_sphere_becomes_a_closed_shell_with_radial_normals() -> None:
    shape = voxelize_solid(sphere(0.3))
    centres = (shape.fine_ijk.float() + 0.5) / 128
    assert (centres.norm(dim=1) - 0.3).abs().max() < 0.87 / 128
    assert torch.cosine_similarity(centres, shape.fine_normal).min() > 0.99
    # An odd number of regions inside and out: the ball's inside, the world's outside, nothing between them.
    assert ndimage.label(~occupancy(shape.fine_ijk, 128))[1] == 2


def test_the_same_seed_gives_the_same_shape_and_another_seed_another() -> None:
    assert sample(3) == sample(3)
    assert sample(3) != sample(4)
    assert sample(3, split="heldout") != sample(3)
    first, second = voxelize(sample(3)), voxelize(sample(3))
    assert torch.equal(first.fine_ijk, second.fine_ijk)
    assert torch.equal(first.coarse_normal, second.coarse_normal)


def test_samples_are_the_same_on_every_machine() -> None:
    spec = sample(12345)
    assert (spec.category, spec.attributes, spec.variation, spec.caption) == PINNED


PINNED: tuple[str, dict[str, str], int, str] = (
    "wine glass",
    {"stem": "long", "bowl": "conical", "width": "wide"},
    3677199131158330358,
    "wide long-stemmed wine glass",
)


def test_variation_changes_the_shape_beyond_its_attributes() -> None:
    for name in EVERY_KIND:
        spec = sample(1, name)
        other = ShapeSpec(name, spec.attributes, spec.variation + 1, spec.caption)
        assert signs(spec) != signs(other), name


def test_every_category_has_three_attributes_or_more_and_every_value_is_drawn() -> None:
    assert len(EVERY_KIND) >= 60
    assert tuple(attribute_vocabulary()) == CATEGORIES
    vocabulary = attribute_vocabulary(EVERY_KIND)
    assert tuple(vocabulary) == EVERY_KIND
    for name, attributes in vocabulary.items():
        assert len(attributes) >= 3, name
        drawn = [sample(seed, name).attributes for seed in range(60)]
        for attribute, values in attributes.items():
            assert len(values) >= 2
            assert {d[attribute] for d in drawn} == set(values), (name, attribute)


def test_every_attribute_value_changes_the_shape() -> None:
    for name, attributes in attribute_vocabulary(EVERY_KIND).items():
        spec = sample(2, name)
        for attribute, values in attributes.items():
            sizes = [signs(ShapeSpec(name, spec.attributes | {attribute: v}, 0, "")) for v in values]
            assert len(set(sizes)) == len(values), (name, attribute)


def test_voxels_are_sorted_unique_and_inside_the_world(shapes: dict[str, tuple[ShapeSpec, VoxelShape]]) -> None:
    for name, (_, shape) in shapes.items():
        for ijk, half in ((shape.fine_ijk, 64), (shape.coarse_ijk, 16)):
            assert ijk.dtype == torch.int16
            i, j, k = (ijk.long() + half).unbind(1)
            assert bool(((i * 2 * half + j) * 2 * half + k).diff().gt(0).all()), name
        # A margin of about 0.05 stays free on every side.
        assert int(shape.fine_ijk.min()) >= -59, name
        assert int(shape.fine_ijk.max()) <= 58, name


def test_voxel_counts_stay_within_what_the_fine_model_can_take(
    shapes: dict[str, tuple[ShapeSpec, VoxelShape]],
) -> None:
    for name, (_, shape) in shapes.items():
        assert 3_000 <= len(shape.fine_ijk) <= 60_000, name
        assert 150 <= len(shape.coarse_ijk) <= 4_000, name


def test_the_coarse_voxels_are_the_fine_ones_divided_by_four(shapes: dict[str, tuple[ShapeSpec, VoxelShape]]) -> None:
    for name, (_, shape) in shapes.items():
        expected = torch.div(shape.fine_ijk.long(), 4, rounding_mode="floor").unique(dim=0)
        assert torch.equal(shape.coarse_ijk.long(), expected), name


def test_normals_are_unit_vectors_that_point_outwards(shapes: dict[str, tuple[ShapeSpec, VoxelShape]]) -> None:
    for name, (spec, shape) in shapes.items():
        solid = build(spec)
        for normal in (shape.fine_normal, shape.coarse_normal):
            assert normal.dtype == torch.float32
            assert torch.allclose(normal.norm(dim=1), torch.ones(len(normal)), atol=1e-5), name
        centre, step = (shape.fine_ijk.float() + 0.5) / 128, shape.fine_normal / 128
        (x, y, z), (dx, dy, dz) = centre.T, step.T
        ahead, behind = solid((x + dx, y + dy, z + dz)), solid((x - dx, y - dy, z - dz))
        assert (ahead > behind).float().mean() > 0.995, name


def test_shapes_are_in_one_piece(shapes: dict[str, tuple[ShapeSpec, VoxelShape]]) -> None:
    for name, (_, shape) in shapes.items():
        assert ndimage.label(occupancy(shape.fine_ijk, 128), FULL)[1] == 1, name
        assert ndimage.label(occupancy(shape.coarse_ijk, 32), FULL)[1] == 1, name


@pytest.mark.parametrize("name", ["fish", "house", "snail", "castle"])
def test_no_path_leads_through_the_shell(name: str, shapes: dict[str, tuple[ShapeSpec, VoxelShape]]) -> None:
    spec, shape = shapes[name]
    regions, _ = ndimage.label(~occupancy(shape.fine_ijk, 128))
    axis = (torch.arange(128) - 63.5) / 128
    x, y, z = torch.cartesian_prod(axis, axis, axis).T.contiguous()
    inside = (build(spec)((x, y, z)) < -0.01).reshape(128, 128, 128).numpy()
    assert inside.any()
    assert not (inside & (regions == regions[0, 0, 0])).any()
