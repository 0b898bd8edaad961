from __future__ import annotations

import numpy as np
import pytest

from napari_scutoid.proofread.inner_cut import NO_CUT, strongest_cut, waist
from napari_scutoid.proofread.inner_cut_compiled import joined

UNIT = (1.0, 1.0, 1.0)


def two_cubes(wall):
    inside = np.zeros((12, 12, 22), np.bool_)
    inside[1:11, 1:11, 1:21] = True
    boundary = np.zeros(inside.shape, np.float32)
    boundary[:, :, 10:12] = wall
    return inside, boundary


def test_cut_runs_along_the_wall_inside_a_cell():
    cut = strongest_cut(*two_cubes(0.8), UNIT)
    assert cut.evidence == pytest.approx(0.8, abs=0.01)
    assert cut.balance == 0.5
    assert cut.area == pytest.approx(100 / 1.5 / 2000 ** (2 / 3), rel=0.01)
    assert cut.first[2] < 10 < cut.second[2] or cut.second[2] < 10 < cut.first[2]


def test_a_uniform_cell_has_a_cut_without_evidence_or_none():
    assert strongest_cut(*two_cubes(0.0), UNIT).evidence == 0.0


def test_a_cell_that_fills_its_box_has_none():
    assert strongest_cut(np.ones((4, 4, 4), np.bool_), np.zeros((4, 4, 4), np.float32), UNIT) is NO_CUT


def test_waist_tells_two_balls_from_one():
    z, y, x = np.indices((16, 16, 30))
    first, second = (((z - 8) ** 2 + (y - 8) ** 2 + (x - middle) ** 2) <= 36 for middle in (8, 21))
    flat = np.zeros(first.shape, np.float32)
    both, cut = waist(first | second, flat, UNIT)
    one, _ = waist(first, flat, UNIT)
    assert both > one + 0.1
    assert cut.balance == pytest.approx(0.5, abs=0.03)
    assert cut.area < 0.2


def test_many_crumbs_are_no_two_sides():
    rng = np.random.default_rng(0)
    inside = rng.random((10, 10, 10)) < 0.3
    cut = strongest_cut(inside, rng.random(inside.shape).astype(np.float32), UNIT)
    assert 0 <= cut.evidence <= 1
    assert 0 <= cut.balance <= 0.5


def regions(sizes, **met):
    """Return the tables of regions that meet with so many faces and so much evidence."""
    walls, faces = np.zeros((2, len(sizes), len(sizes)))
    for pair, (n, wall) in met.items():
        a, b = int(pair[1]), int(pair[2])
        faces[a, b] = faces[b, a] = n
        walls[a, b] = walls[b, a] = n * wall
    return walls, faces, np.array(sizes, float)


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (regions([0, 50, 50, 50], _12=(10, 0.1), _23=(10, 0.9)), [0, 2, 2, 3]),
        (regions([0, 50, 50, 50], _12=(10, 0.9), _23=(90, 0.1)), [0, 1, 3, 3]),
        # The smallest is no side of its own, however strong its walls are.
        (regions([0, 50, 50, 4], _12=(10, 0.1), _13=(10, 0.9), _23=(10, 0.8)), [0, 1, 2, 2]),
        (regions([0, 50, 4, 50, 3], _13=(10, 0.5), _34=(2, 0.5)), [0, 1, 0, 3, 3]),
        (regions([0, 50, 50, 50], _12=(10, 0.5)), [0, 2, 2, 3]),
        (regions([0, 50, 50, 50]), [0, 1, 2, 3]),
        (regions([0, 50, 0, 50]), [0, 1, 0, 3]),
        (regions([0, 40, 40, 40, 40], _12=(4, 0.5), _13=(6, 0.2), _23=(6, 0.6), _24=(9, 0.3)), [0, 3, 4, 3, 4]),
    ],
)
def test_regions_are_joined_where_the_weakest_walls_are(tables, expected):
    assert joined(*tables, 10.0).tolist() == expected
