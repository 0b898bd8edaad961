"""Polygons in slices of any axis, and the shapes between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paint_scenes import applied, guards, scene_of, scenes, targets

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.edits.interpolate import Interpolate
from napari_scutoid.proofread.edits.polygon import Polygon, filled
from napari_scutoid.proofread.scene import Guards

ALL = Guards(outside=True, lumen=True, other_cells=True)
SQUARE = ((1.5, 2.5), (1.5, 6.5), (5.5, 6.5), (5.5, 2.5))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_polygon_holds_the_centres_within(axis):
    region = filled(SQUARE, axis, 3, (9, 9, 9))
    assert np.moveaxis(region.mask, axis, 0).shape == (1, 4, 4)
    assert region.mask.all()
    start = list(region.box.start)
    assert start.pop(axis) == 3
    assert start == [2, 3]


def test_a_polygon_is_cut_at_the_stack():
    region = filled(((-4, -4), (-4, 40), (2.5, 40), (2.5, -4)), 0, 1, (3, 6, 7))
    assert region.box == Box((1, 0, 0), (1, 3, 7))
    assert region.mask.all()


@pytest.mark.parametrize(
    ("vertices", "position"), [(SQUARE[:2], 1), (((1.2, 1.2), (1.2, 1.4), (1.4, 1.4)), 1), (SQUARE, 9)]
)
def test_a_polygon_without_voxels_is_refused(vertices, position):
    with pytest.raises(ScutoidError, match="polygon cannot"):
        filled(vertices, 0, position, (9, 9, 9))


def test_a_polygon_is_drawn_and_erased():
    scene = scene_of(np.zeros((9, 9, 9), np.uint32))
    change = Polygon(4, 1, 3, SQUARE, ALL).plan(scene)
    assert (change.kind, change.title) == ("polygon", "Draw cell 4")
    labels, _ = applied(scene, change)
    assert (labels[2:6, 3, 3:7] == 4).all()
    assert np.count_nonzero(labels) == 16
    scene = scene_of(labels)
    assert not applied(scene, Polygon(0, 1, 3, SQUARE).plan(scene))[0].any()
    _, lumen = applied(scene, Polygon("lumen", 0, 3, SQUARE).plan(scene))
    assert np.count_nonzero(lumen) == 16


@settings(max_examples=40)
@given(scenes(), targets, guards, st.sampled_from([0, 1, 2]), st.data())
def test_whatever_is_drawn(scene, target, allowed, axis, data):
    corners = st.tuples(st.floats(-2, 8), st.floats(-2, 8))
    vertices = tuple(data.draw(st.lists(corners, min_size=3, max_size=5)))
    edit = Polygon(target, axis, data.draw(st.integers(0, scene.shape[axis] - 1)), vertices, allowed)
    try:
        applied(scene, edit.plan(scene))
    except ScutoidError as problem:
        assert problem.try_this


def disc(shape, centre, radius):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slanting_cone_is_filled(axis):
    shape = (9, 40, 60)
    truth = np.stack([disc(shape[1:], (20, 12 + 4 * k), 10 - k) for k in range(9)])
    labels = np.zeros(shape, np.uint32)
    labels[[0, -1]] = 7 * truth[[0, -1]]
    scene = scene_of(np.moveaxis(labels, 0, axis), spacing=np.roll((5.0, 1.0, 1.0), axis))
    change = Interpolate(7, axis, 8, 0).plan(scene)
    assert change.title == "Fill cell 7 between slices 0 and 8"
    filled_in = np.moveaxis(applied(scene, change)[0], axis, 0) == 7
    np.testing.assert_array_equal(filled_in[[0, -1]], truth[[0, -1]])
    for k, made in enumerate(filled_in):
        assert made[disc(shape[1:], (20, 12 + 4 * k), 9 - k)].all()
        assert not made[~disc(shape[1:], (20, 12 + 4 * k), 11 - k)].any()


def test_slices_that_hold_the_cell_stay_unless_it_is_shaped_anew():
    labels = np.zeros((7, 30, 30), np.uint32)
    labels[[0, 6]] = 2 * disc((30, 30), (15, 15), 6)
    labels[3] = 2 * disc((30, 30), (15, 15), 12)
    scene = scene_of(labels)
    grown, _ = applied(scene, Interpolate(2, 0).plan(scene))
    sizes = (grown == 2).sum(axis=(1, 2))
    assert (np.diff(sizes[:4]) > 0).all()
    assert sizes[3] == (labels[3] == 2).sum()
    anew, _ = applied(scene, Interpolate(2, 0, 0, 6, redo=True).plan(scene))
    np.testing.assert_array_equal(anew, np.broadcast_to(labels[0], labels.shape))


def test_a_shape_gives_way_to_other_cells_and_the_lumen():
    labels = np.zeros((5, 12, 12), np.uint32)
    labels[[0, 4], 2:10, 2:10] = 1
    labels[2, 4:6] = 3
    lumen = np.zeros(labels.shape, np.bool_)
    lumen[2, 8] = True
    scene = scene_of(labels, lumen=lumen)
    after, same = applied(scene, Interpolate(1, 0, 0, 4).plan(scene))
    assert (after[2, 4:6] == 3).all()
    assert not after[2, 8].any()
    np.testing.assert_array_equal(same, lumen)
    assert (after[2, 2:4, 2:10] == 1).all()


def test_the_lumen_is_filled_too():
    lumen = np.zeros((5, 12, 12), np.bool_)
    lumen[[1, 3], 3:8, 3:8] = True
    scene = scene_of(np.zeros(lumen.shape, np.uint32), lumen=lumen)
    _, after = applied(scene, Interpolate("lumen", 0, 1, 3).plan(scene))
    assert np.count_nonzero(after) == 75


def test_slices_that_cannot_be_filled():
    labels = np.zeros((5, 6, 6), np.uint32)
    labels[1:4, 2:4, 2:4] = 1
    scene = scene_of(labels)
    for edit, problem in [
        (Interpolate(1, 0, 0, 3), "not in both"),
        (Interpolate(1, 0, 1, 3), "every slice"),
        (Interpolate(1, 0, 1, 9), "not two slices"),
        (Interpolate(8, 0, 1, 3), "no cell"),
        (Interpolate("lumen", 0, 1, 3), "not in both"),
        (Interpolate("lumen", 0), "not known"),
    ]:
        with pytest.raises(ScutoidError, match=problem):
            edit.plan(scene)
    with pytest.raises(ScutoidError, match="accepted"):
        Interpolate(1, 0, 1, 3).plan(scene_of(labels, accepted=[1]))


@settings(max_examples=40)
@given(scenes(), targets, guards, st.sampled_from([0, 1, 2]), st.booleans(), st.data())
def test_whatever_is_filled(scene, target, allowed, axis, redo, data):
    first, last = (data.draw(st.integers(0, scene.shape[axis] - 1)) for _ in range(2))
    try:
        applied(scene, Interpolate(target or 1, axis, first, last, redo, allowed).plan(scene))
    except ScutoidError as problem:
        assert problem.try_this
