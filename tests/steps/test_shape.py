from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from napari_scutoid.steps.shape import SizePrior, emptiness, nearest_part, parts_of, size_prior
from napari_scutoid.steps.shape_compiled import classified, cost

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

GAIN = 0.1
FREE = SizePrior(1.0, 0.0)
"""Cells of all sizes: shape alone decides."""


def places(inside: Callable[..., NDArray[np.bool_]], extent: int = 24) -> NDArray[np.float64]:
    """All voxels of a body that a function of z, y, x describes."""
    grid = np.indices((2 * extent,) * 3) - extent
    return np.argwhere(inside(*grid)).astype(np.float64)


def ball(radius: float, z: float = 0, y: float = 0, x: float = 0) -> NDArray[np.float64]:
    return places(lambda a, b, c: (a - z) ** 2 + (b - y) ** 2 + (c - x) ** 2 <= radius**2)


def box(*edges: int) -> NDArray[np.float64]:
    return np.argwhere(np.ones(edges)).astype(np.float64)


def ellipsoid(*axes: float) -> NDArray[np.float64]:
    return places(lambda a, b, c: (a / axes[0]) ** 2 + (b / axes[1]) ** 2 + (c / axes[2]) ** 2 <= 1)


def sample(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points[np.random.default_rng(1).choice(len(points), min(800, len(points)), replace=False)]


TWO = np.concatenate([ball(7, x=-7), ball(7, x=8)])
THREE = np.concatenate([ball(7, y=-7, x=-8), ball(7, y=-7, x=8), ball(7, y=7)])
SINGLE = {
    "ball": ball(8),
    "box": box(12, 16, 10),
    "rod": box(6, 6, 40),
    "plate": box(4, 24, 24),
    "ellipsoid": ellipsoid(6, 9, 18),
}


def monomials(points: NDArray[np.float64]) -> NDArray[np.float64]:
    z, y, x = points.T
    mixed = [z * z + 1 / 12, z * y, z * x, y * y + 1 / 12, y * x, x * x + 1 / 12]
    return np.stack([np.ones(len(points)), z, y, x, *mixed], axis=1)


def moments(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean = sums[1:4] / sums[0]
    covariance = np.empty((3, 3))
    covariance[np.triu_indices(3)] = covariance.T[np.triu_indices(3)] = sums[4:] / sums[0]
    return mean, covariance - np.outer(mean, mean)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_parts_are_those_of_which_each_point_is_most_probable(count: int) -> None:
    points = sample(THREE) - THREE.mean(axis=0)
    rows = monomials(points)
    found = classified(rows, np.random.default_rng(count).random(count))
    found = found[found[:, 0] > 0]
    density = [
        math.log(one[0]) + multivariate_normal(*moments(one)).logpdf(points)
        for one in found  # a part's weight and its Gaussian: classification EM has come to rest
    ]
    part = np.argmax(density, axis=0)
    np.testing.assert_allclose([rows[part == k].sum(axis=0) for k in range(len(found))], found, rtol=1e-9, atol=1e-6)


def test_the_cost_of_parts_is_their_mean_by_volume() -> None:
    points, other = ball(7) - 24, box(12, 16, 10) - 6.0
    sums = np.stack([monomials(one).sum(axis=0) for one in (points, other)])
    n = sums[:, 0]
    own = [emptiness(one, 2 * len(one)) + 0.3 * math.log(2 * len(one) / 500) ** 2 for one in (points, other)]
    assert cost(sums, 2.0, 500.0, 0.3) == pytest.approx((own * n).sum() / n.sum())
    sums[1] = monomials(other[:7]).sum(axis=0)
    assert cost(sums, 2.0, 500.0, 0.3) == math.inf


@pytest.mark.parametrize("points", SINGLE.values(), ids=SINGLE.keys())
def test_a_single_convex_cell_is_not_divided(points: NDArray[np.float64]) -> None:
    prior = SizePrior(len(points) / 2, 0.0)
    assert parts_of(sample(points), len(points), prior, GAIN) is None


@pytest.mark.parametrize(("points", "count"), [(TWO, 2), (THREE, 3)], ids=["two", "three"])
def test_touching_balls_come_apart(points: NDArray[np.float64], count: int) -> None:
    parts = parts_of(sample(points), len(points), SizePrior(len(points) / count, 0.02), GAIN)
    assert parts is not None
    assert len(parts) == count
    sizes = np.bincount(nearest_part(points, parts), minlength=count)
    assert sizes.min() > 0.9 * len(points) / count


def test_the_parts_are_the_balls() -> None:
    parts = parts_of(TWO, len(TWO), SizePrior(len(TWO) / 2, 0.02), GAIN)
    assert parts is not None
    part = nearest_part(TWO, parts)
    right = TWO[:, 2] > 24
    assert max((part == right).mean(), (part != right).mean()) > 0.99
    centres = sorted(part.mean[2] - 24 for part in parts)
    np.testing.assert_allclose(centres, [-7, 8], atol=0.5)


def test_a_gain_that_no_division_reaches_keeps_the_region() -> None:
    assert parts_of(TWO, len(TWO), SizePrior(len(TWO) / 2, 0.0), 1.0) is None


def test_known_sizes_speak_against_parts_too_small() -> None:
    whole, half = len(TWO), len(TWO) / 2
    assert parts_of(TWO, whole, SizePrior(half, 0.2), GAIN) is not None
    assert parts_of(TWO, whole, SizePrior(whole, 0.5), GAIN) is None


@pytest.mark.parametrize("edges", [(1, 1, 1), (1, 1, 7), (2, 3, 4), (10, 10, 10), (5, 20, 30)])
def test_boxes_of_all_proportions_are_equally_empty(edges: tuple[int, int, int]) -> None:
    expected = math.log(4 / 3 * math.pi * (5 / 12) ** 1.5)
    assert emptiness(box(*edges), math.prod(edges)) == pytest.approx(expected, abs=1e-9)


def test_an_ellipsoid_is_full() -> None:
    for points in (ball(12), ellipsoid(8, 12, 20)):
        assert emptiness(points, len(points)) == pytest.approx(0.0, abs=0.01)


def test_two_touching_balls_are_emptier_than_one() -> None:
    # Along the line of centres the variance is 1/5 + 1 in squared radii, six times that of one ball; twice the volume.
    points = np.concatenate([ball(10, x=-10), ball(10, x=11)])
    assert emptiness(points, len(points)) == pytest.approx(0.5 * math.log(6) - math.log(2), abs=0.05)


@pytest.mark.parametrize("count", range(1, 8))
def test_specks_are_no_cells_and_raise_no_warning(count: int) -> None:
    for points in (box(1, 1, count), box(2, 2, 2)[:count]):
        assert np.isfinite(emptiness(points, count))
        assert parts_of(points, count, SizePrior(1.0, 0.2), 0.0) is None


def test_the_same_points_give_the_same_parts() -> None:
    first, second = (parts_of(sample(THREE), len(THREE), FREE, GAIN) for _ in range(2))
    assert first is not None
    assert second is not None
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.mean, b.mean)
        np.testing.assert_array_equal(a.precision, b.precision)


@settings(max_examples=10, deadline=None)
@given(st.tuples(*[st.floats(-3000, 3000)] * 3))
def test_where_a_region_lies_does_not_matter(shift: tuple[float, float, float]) -> None:
    points, prior = sample(TWO), SizePrior(len(TWO) / 2, 0.02)
    moved = points + shift
    assert emptiness(moved, len(TWO)) == pytest.approx(emptiness(points, len(TWO)), abs=1e-6)
    here, there = (parts_of(p, len(TWO), prior, GAIN) for p in (points, moved))
    assert here is not None
    assert there is not None
    np.testing.assert_array_equal(nearest_part(points, here), nearest_part(moved, there))
    np.testing.assert_allclose([p.mean + shift for p in here], [p.mean for p in there], atol=1e-6)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_axes_have_no_order(order: tuple[int, ...]) -> None:
    points, prior = sample(TWO), SizePrior(len(TWO) / 2, 0.02)
    here, there = (parts_of(p, len(TWO), prior, GAIN) for p in (points, points[:, list(order)]))
    assert here is not None
    assert there is not None
    np.testing.assert_array_equal(nearest_part(points, here), nearest_part(points[:, list(order)], there))


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 60).flatmap(
        lambda n: st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=n, max_size=n, unique=True)
    ),
    st.floats(0, 0.5),
)
def test_any_region_is_kept_or_divided_into_parts_that_cover_it(
    voxels: list[tuple[int, int, int]], gain: float
) -> None:
    points = np.array(voxels, dtype=np.float64)
    assert np.isfinite(emptiness(points, len(points)))
    parts = parts_of(points, len(points), SizePrior(4.0, 0.02), gain)
    if parts is not None:
        assert 2 <= len(parts) <= len(points) // 8
        assert np.all(np.linalg.eigvalsh([part.precision for part in parts]) > 0)
        assert set(nearest_part(points, parts).tolist()) <= set(range(len(parts)))


def test_the_typical_volume_is_the_median_and_alike_sizes_weigh_more() -> None:
    alike = size_prior(np.repeat([900, 1000, 1100], 3))
    unlike = size_prior(np.repeat([100, 1000, 10_000], 3))
    assert alike.volume == pytest.approx(1000)
    assert unlike.volume == pytest.approx(1000)
    assert alike.weight > 10 * unlike.weight > 0
    assert alike.cost(1000) == pytest.approx(0)
    assert alike.cost(2000) == pytest.approx(alike.cost(500)) == pytest.approx(alike.weight * math.log(2) ** 2)


@pytest.mark.parametrize("spacing", [1.0, 3.0, 10.0])
@pytest.mark.parametrize("slices", [1, 2, 8])
def test_a_box_is_as_empty_in_flat_voxels(spacing: float, slices: int) -> None:
    unit = np.array([spacing, 1.0, 1.0]) / np.cbrt(spacing)
    points = np.argwhere(np.ones((slices, 20, 20))) * unit
    assert emptiness(points, len(points), unit) == pytest.approx(0.119, abs=0.002)


def test_a_few_regions_say_nothing_of_how_alike_cells_are() -> None:
    assert size_prior(np.full(7, 1000)) == SizePrior(pytest.approx(1000), 0.0)
    assert size_prior(np.full(8, 1000)).weight > 0


def test_no_regions_say_nothing_of_sizes() -> None:
    assert size_prior(np.zeros(0, np.int64)) == SizePrior(1.0, 0.0)
    assert size_prior(np.array([0, 0])).weight == 0
