"""Boxes: what they hold, and that none leaves its grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.box import Box

GRID = (5, 6, 7)
STARTS = st.tuples(*(st.integers(0, n - 1) for n in GRID))
BOXES = st.builds(
    lambda start, side: Box(start, side).overlap(Box.whole(GRID)), STARTS, st.tuples(*[st.integers(1, 7)] * 3)
)


def voxels(box):
    mask = np.zeros(GRID, np.bool_)
    mask[box.slices] = True
    return mask


@given(BOXES, BOXES)
def test_union_and_overlap_are_those_of_the_voxels(a, b):
    union, overlap = a.union(b), a.overlap(b)
    assert union == b.union(a)
    assert Box.of(voxels(a) | voxels(b)) == union
    assert (voxels(overlap) == (voxels(a) & voxels(b))).all()
    assert overlap.size == np.count_nonzero(voxels(a) & voxels(b))


@given(BOXES)
def test_a_box_holds_its_own_voxels(box):
    assert Box.of(voxels(box)) == box
    assert box.size == np.count_nonzero(voxels(box))
    assert Box.between(box.start, box.stop) == box
    assert box.is_within(GRID)
    assert box.overlap(Box.whole(GRID)) == box


@given(BOXES, st.integers(0, 4))
def test_padding_stays_in_the_grid(box, by):
    padded = box.padded(by, GRID)
    assert padded.is_within(GRID)
    assert padded.overlap(box) == box
    assert all(0 <= a - b <= by for a, b in zip(box.start, padded.start, strict=True))
    assert all(0 <= b - a <= by for a, b in zip(box.stop, padded.stop, strict=True))


@given(
    st.tuples(*(st.floats(-9, 16) for _ in GRID)),
    st.tuples(*(st.integers(1, 9) for _ in GRID)),
)
def test_a_box_around_a_place_is_moved_into_the_grid(centre, largest):
    box = Box.around(centre, largest, GRID)
    assert box.is_within(GRID)
    assert box.shape == tuple(map(min, largest, GRID))
    for place, first, stop, n in zip(centre, box.start, box.stop, GRID, strict=True):
        assert abs((first + stop) / 2 - place) <= 0.5 or (place < n / 2 and first == 0) or (place > n / 2 and stop == n)


@given(BOXES, st.tuples(*(st.integers(-5, 5) for _ in GRID)))
def test_shifting_there_and_back(box, by):
    assert box.shifted(by).shifted([-n for n in by]) == box


def test_padding_differs_by_axis():
    assert Box((2, 2, 2), (1, 1, 1)).padded((0, 1, 9), GRID) == Box((2, 1, 0), (1, 3, 7))


@pytest.mark.parametrize("empty", [np.zeros(GRID), np.zeros((0, 3, 3))])
def test_nothing_has_no_box(empty):
    assert Box.of(empty) is None


def test_what_does_not_meet_overlaps_in_nothing():
    apart = Box((0, 0, 0), (1, 1, 1)).overlap(Box((3, 3, 3), (2, 2, 2)))
    assert apart.size == 0
    assert apart.shape == (0, 0, 0)


def test_leaving_the_grid_is_noticed():
    assert not Box((0, 0, 0), (5, 6, 8)).is_within(GRID)
    assert not Box((-1, 0, 0), (1, 1, 1)).is_within(GRID)
