"""Neighbours differ in colour, and cells keep theirs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_scutoid.progress import drain
from napari_scutoid.steps.colouring import colouring, recoloured

ANY_LABELS = arrays(np.uint32, st.tuples(*[st.integers(1, 4)] * 3), elements=st.integers(0, 9))


def touching(labels: np.ndarray) -> set[tuple[int, int]]:
    """Pairs of cells with voxels that share a face, an edge or a corner, by looking at every voxel."""
    pairs = set()
    for start in np.ndindex(labels.shape):
        around = tuple(slice(max(0, i - 1), i + 2) for i in start)
        pairs |= {(int(labels[start]), int(other)) for other in labels[around].ravel()}
    return {(a, b) for a, b in pairs if a and b and a != b}


@given(ANY_LABELS)
@settings(max_examples=50, deadline=None)
def test_with_enough_colours_no_two_neighbours_have_the_same(labels):
    colours = drain(colouring(labels, 10))
    assert set(colours) == set(np.unique(labels).tolist()) - {0}
    assert all(colours[a] != colours[b] for a, b in touching(labels))
    assert all(0 <= colour < 10 for colour in colours.values())


def test_cells_that_touch_only_in_a_corner_differ():
    labels = np.array([[[1, 0], [0, 2]]], np.uint16)
    colours = drain(colouring(labels, 2))
    assert colours[1] != colours[2]


def test_a_row_of_cells_uses_all_colours():
    labels = np.arange(1, 13, dtype=np.uint32).reshape(1, 1, 12)
    colours = drain(colouring(labels, 4))
    assert sorted(np.bincount(list(colours.values()))) == [3, 3, 3, 3]


def test_cells_keep_their_colours_where_neighbours_allow():
    labels = np.array([[[1, 2, 3, 0, 4]]], np.uint32)
    before = {1: 0, 2: 1, 3: 2, 4: 2}
    assert drain(colouring(labels, 3, before)) == before
    merged = np.array([[[1, 3, 3, 3, 4]]], np.uint32)
    now = drain(colouring(merged, 3, before))
    assert now[1] == 0 and now[3] == 2 and now[4] not in (2,)


def test_more_neighbours_than_colours_is_no_error():
    labels = np.arange(1, 9, dtype=np.uint32).reshape(2, 2, 2)
    colours = drain(colouring(labels, 2))
    assert sorted(colours.values()) == [0] * 4 + [1] * 4


def test_nothing_to_colour():
    assert drain(colouring(np.zeros((2, 2, 2), np.uint32), 3)) == {}


def test_no_colours_is_an_error():
    with pytest.raises(ValueError, match="n_colours"):
        drain(colouring(np.ones((1, 1, 1), np.uint32), 0))


RING = {1: {2, 4}, 2: {1, 3}, 3: {2, 4}, 4: {3, 1}}


def test_after_an_edit_only_its_cells_may_change_and_keep_what_is_free():
    before = {1: 0, 2: 1, 3: 0, 4: 1}
    assert recoloured([2, 3], RING.__getitem__, 4, before) == {}
    ring = RING | {1: {2, 3, 4}, 3: {1, 2, 4}}
    assert recoloured([3], ring.__getitem__, 4, before) == {3: 2}
    assert before == {1: 0, 2: 1, 3: 0, 4: 1}


def test_a_new_cell_gives_way_to_one_that_had_a_colour():
    ring = {1: {2}, 2: {1, 3}, 3: {2}}
    assert recoloured([1, 2], ring.__getitem__, 2, {1: 0, 3: 0}) == {2: 1}
    assert recoloured([1, 2], ring.__getitem__, 1, {1: 0, 3: 0}) == {2: 0}  # more neighbours than colours
