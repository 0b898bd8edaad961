"""A line drawn in one slice divides the cell in all of them, along walls where there are some."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from small_tissue import applied, pieces, scene_of

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.edits.cut import Cut

BLOCK = np.pad(np.full((9, 8, 20), 5, np.uint32), 1)
ACROSS = ((2.0, 9.5), (7.0, 9.5))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_straight_line_becomes_a_plane(axis):
    labels = np.moveaxis(BLOCK, 0, axis)
    after = applied(scene := scene_of(labels), Cut(5, axis, 4, ACROSS, follow=False).plan(scene))
    turned = np.moveaxis(after, axis, 0)
    assert len(np.unique(turned[:, 1:-1, 1:9])) == len(np.unique(turned[1:-1, 1:-1, 11:-1])) + 1 == 2
    assert turned[5, 5, 3] != turned[5, 5, 17]
    for section in turned[1:-1]:
        np.testing.assert_array_equal(section, turned[1])


def test_without_walls_the_cut_stays_where_it_was_drawn():
    scene = scene_of(BLOCK)
    np.testing.assert_array_equal(
        applied(scene, Cut(5, 0, 4, ACROSS).plan(scene)), applied(scene, Cut(5, 0, 4, ACROSS, follow=False).plan(scene))
    )


def test_a_bent_line_and_a_short_one_go_on_to_the_cells_border():
    scene = scene_of(BLOCK)
    after = applied(scene, Cut(5, 0, 4, ((5.0, 6.0), (5.0, 15.0))).plan(scene))
    assert len(set(after[4, 1:5, 1:-1].ravel())) == len(set(after[4, 6:-1, 1:-1].ravel())) == 1
    bent = ((1.0, 4.0), (5.0, 4.0), (5.0, 20.0))
    after = applied(scene, Cut(5, 0, 4, bent).plan(scene))
    corner = after[4, 1:5, 5:-1]
    assert len(set(corner.ravel())) == 1
    assert corner[0, 0] not in (after[4, 7, 10], after[4, 2, 2])
    assert after[4, 7, 10] == after[4, 2, 2]


def test_a_leaning_wall_is_followed():
    walls = np.zeros(BLOCK.shape, np.uint8)
    for z in range(len(walls)):
        walls[z, :, 5 + z] = 220
    scene = scene_of(BLOCK, walls=walls)
    after = applied(scene, Cut(5, 0, 5, ((2.0, 10.0), (7.0, 10.0))).plan(scene))
    for z in range(1, 10):
        assert len(set(after[z, 1:-1, 1 : 5 + z].ravel())) == 1
        assert len(set(after[z, 1:-1, 6 + z : 21].ravel())) == 1
        assert after[z, 4, 4 + z] != after[z, 4, 6 + z]


@pytest.mark.parametrize(
    ("position", "line"),
    [(0, ACROSS), (40, ACROSS), (4, ()), (4, ((2.0, 9.5),)), (4, ((0.0, 0.0), (0.0, 21.0))), (4, ((2.0, 2.0),) * 3)],
)
def test_lines_that_divide_nothing(position, line):
    with pytest.raises(ScutoidError):
        Cut(5, 0, position, line).plan(scene_of(BLOCK))


@settings(max_examples=40)
@given(st.data(), arrays.arrays(np.uint8, (4, 6, 7)), st.sampled_from([0, 1, 2]), st.booleans())
def test_pieces_hang_together(data, walls, axis, follow):
    labels = np.full((4, 6, 7), 2, np.uint32)
    labels[tuple(data.draw(st.tuples(*(st.integers(0, n - 1) for n in labels.shape))))] = 9
    place = st.floats(-1, 7, allow_nan=False)
    line = tuple(data.draw(st.lists(st.tuples(place, place), min_size=2, max_size=4)))
    scene = scene_of(labels, walls=walls, accepted=[9], spacing=(2, 1, 1))
    try:
        change = Cut(2, axis, data.draw(st.integers(0, 3)), line, follow).plan(scene)
    except ScutoidError:
        return
    after = applied(scene, change)
    assert len(change.parameters["pieces"]) == 2
    if pieces(labels == 2) == 1:
        assert [pieces(after == cell) for cell in change.parameters["pieces"]] == [1, 1]
