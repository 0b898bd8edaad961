"""Three sections: which planes, which way up, how large."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.picture.sections import Judged, sections, telling_place

SHAPE = (4, 6, 10)


def judged(labels, **verdicts):
    return Judged(labels, {int(name[1:]): verdict for name, verdict in verdicts.items()})


def test_planes_lie_as_viewers_show_them():
    data = np.arange(240).reshape(SHAPE)
    xy, xz, yz = sections(SHAPE, (1, 2, 3), (1, 1, 1), 140)
    assert [cut.caption for cut in (xy, xz, yz)] == ["XY at z = 1", "XZ at y = 2", "YZ at x = 3"]
    np.testing.assert_array_equal(xy.cut(data), data[1])
    np.testing.assert_array_equal(xz.cut(data), data[:, 2])
    np.testing.assert_array_equal(yz.cut(data), data[:, :, 3].T)
    assert [(cut.down, cut.across) for cut in (xy, xz, yz)] == [("y", "x"), ("z", "x"), ("y", "z")]


def test_all_sections_have_one_scale_and_fit_the_box():
    cuts = sections(SHAPE, (1, 2, 3), (1, 1, 1), 140)
    assert [(cut.width, cut.height) for cut in cuts] == [(100, 60), (100, 40), (40, 60)]
    assert cuts[0].mark == (35.0, 25.0)
    assert cuts[2].mark == (15.0, 25.0)


def test_thick_slices_are_drawn_thick():
    xy, xz, yz = sections(SHAPE, (0, 0, 0), (2.5, 0.5, 0.5), 300)
    assert (xy.width, xz.height, yz.width) == (100, 200, 200)


def test_a_thin_stack_is_still_drawn():
    assert sections((1, 500, 500), (0, 0, 0), (1, 1, 1), 100)[1].height == 1


@given(rows=st.integers(1, 9), columns=st.integers(1, 9), zoom=st.integers(1, 5))
def test_stretching_repeats_every_voxel(rows, columns, zoom):
    plane = np.arange(rows * columns).reshape(rows, columns)
    cut = sections((1, rows, columns), (0, 0, 0), (1, 1, 1), zoom * (1 + max(rows, columns)))[0]
    np.testing.assert_array_equal(cut.stretch(plane), plane.repeat(zoom, 0).repeat(zoom, 1))


def test_shrinking_keeps_the_order():
    plane = np.arange(100).reshape(1, 100)
    shown = sections((1, 1, 100), (0, 0, 0), (1, 1, 1), 10)[0].stretch(plane)
    assert shown.shape == (1, 10)
    assert (np.diff(shown[0]) == 10).all()


def test_the_place_is_where_most_is_wrong():
    truth, prediction = np.zeros((2, 9, 20, 30), np.uint32)
    truth[:, :, :10] = prediction[:, :, :10] = 1
    truth[4:7, 12:18, 20:25] = 2
    prediction[5, 14, 22] = 3
    sides = judged(truth, _1="matched", _2="missed"), judged(prediction, _1="matched", _3="invented")
    assert telling_place(*sides) == (5, 15, 22)
    right = judged(truth, _1="matched", _2="matched"), judged(prediction, _1="matched", _3="invented")
    assert telling_place(*right) == (5, 14, 22)


def test_a_wrong_first_plane_is_not_enough():
    truth = np.zeros((32, 4, 4), np.uint32)
    truth[0] = 1
    truth[10:20, :3] = 2
    side = judged(truth, _1="missed", _2="missed")
    assert 10 <= telling_place(side, judged(np.zeros_like(truth)))[0] < 20


@pytest.mark.parametrize("cells", [True, False])
def test_where_nothing_is_wrong_the_cells_are_shown(cells):
    labels = np.zeros((9, 20, 30), np.uint32)
    if cells:
        labels[2:5, 3:10, 20:29] = 1
    side = judged(labels, _1="matched") if cells else judged(labels)
    assert telling_place(side, side) == ((3, 6, 24) if cells else (4, 10, 15))
