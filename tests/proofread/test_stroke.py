"""Strokes: what a brush covers, and what napari's tools painted."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paint_scenes import applied, guards, scene_of, scenes, targets

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import drain
from napari_scutoid.proofread.edits.region import Region
from napari_scutoid.proofread.edits.stroke import Paint, Stroke, captured, put_back
from napari_scutoid.proofread.scene import Guards
from napari_scutoid.proofread.session import Session
from napari_scutoid.volume import Labels

ALL = Guards(outside=True, lumen=True, other_cells=True)


def two_cells(**more):
    labels = np.zeros((5, 9, 10), np.uint32)
    labels[:, :, :5], labels[:, :, 5:8] = 1, 2
    return scene_of(labels, **more)


def test_a_ball_is_round_in_micrometres():
    scene = scene_of(np.zeros((9, 21, 21), np.uint32), spacing=(2.0, 1.0, 1.0))
    labels, _ = applied(scene, Paint(7, ((4, 10, 10),), 4.0, guards=ALL).plan(scene))
    z, y, x = np.ogrid[:9, :21, :21]
    np.testing.assert_array_equal(labels == 7, (2 * (z - 4)) ** 2 + (y - 10) ** 2 + (x - 10) ** 2 <= 16)


def test_a_brush_in_a_slice_sweeps_between_its_centres():
    scene = scene_of(np.zeros((3, 9, 20), np.uint32))
    change = Paint(4, ((1.3, 4, 4), (0.8, 4, 15)), 2.0, axis=0, guards=ALL).plan(scene)
    labels, _ = applied(scene, change)
    assert not labels[[0, 2]].any()
    assert (labels[1, 2:7, 4:16] == 4).all()
    assert (labels[1, 4, 2:18] == 4).all()
    assert np.count_nonzero(labels) == 5 * 12 + 8
    assert (change.kind, change.title) == ("paint", "Paint cell 4")
    json.dumps(change.parameters)


def test_the_smallest_brush_paints_a_voxel():
    scene = scene_of(np.zeros((3, 4, 5), np.uint32))
    labels, _ = applied(scene, Paint(4, ((1.4, 2.4, 3.4),), 0.0, guards=ALL).plan(scene))
    assert np.argwhere(labels).tolist() == [[1, 2, 3]]


def test_the_guards_of_the_laboratory_are_the_default():
    lumen = np.zeros((5, 9, 10), np.bool_)
    lumen[:, :2, 9] = True
    scene = two_cells(lumen=lumen)
    change = Paint(1, ((2, 4, 7),), 6.0).plan(scene)
    labels, after = applied(scene, change)
    assert change.parameters["protected"].keys() == {"outside", "lumen"}
    json.dumps(change.parameters)
    assert (labels[2, 4, 5:8] == 1).all()
    assert not labels[:, 4:, 8:].any()
    np.testing.assert_array_equal(after, lumen)


def test_what_is_protected_is_named():
    scene = two_cells(accepted=[2])
    with pytest.raises(ScutoidError, match="accepted") as accepted:
        Paint(1, ((2, 4, 6),), 1.0).plan(scene)
    assert "unlock" in accepted.value.try_this
    with pytest.raises(ScutoidError, match="outside the tissue"):
        Paint(1, ((2, 4, 9),), 0.0).plan(scene)
    with pytest.raises(ScutoidError, match="other cells"):
        Paint(2, ((2, 4, 1),), 1.0, guards=Guards()).plan(two_cells())
    with pytest.raises(ScutoidError, match="accepted"):
        Paint(2, ((2, 4, 1),), 1.0).plan(scene)
    with pytest.raises(ScutoidError, match="beside the stack"):
        Paint(1, ((2, 40, 1),), 1.0).plan(scene)


def test_a_gap_between_cells_is_not_outside():
    labels = np.zeros((7, 15, 15), np.uint32)
    labels[1:-1, 1:-1, 1:7], labels[1:-1, 1:-1, 8:14] = 1, 2
    scene = scene_of(labels)
    after, _ = applied(scene, Paint(1, ((3, 7, 7),), 1.0).plan(scene))
    assert after[3, 7, 7] == 1
    with pytest.raises(ScutoidError, match="outside the tissue"):
        Paint(1, ((3, 0, 7),), 0.0).plan(scene)


def test_an_eraser_keeps_to_a_cell_where_others_are_protected():
    scene = two_cells()
    labels, _ = applied(scene, Paint(0, ((2, 4, 3),), 2.5, guards=Guards()).plan(scene))
    assert labels[2, 4, 3] == 0
    np.testing.assert_array_equal(labels == 2, scene.labels == 2)
    change = Paint(0, ((2, 4, 3),), 2.5).plan(scene)
    assert change.title == "Erase"
    assert (applied(scene, change)[0] == 2).sum() < (scene.labels == 2).sum()


def test_the_lumen_is_painted_and_erased():
    scene = two_cells()
    labels, lumen = applied(scene, Paint("lumen", ((2, 4, 6),), 1.0).plan(scene))
    assert np.count_nonzero(lumen) == 7
    assert not labels[lumen].any()
    scene = two_cells(lumen=np.eye(10, dtype=bool)[-1][None, None].repeat(5, 0).repeat(9, 1))
    _, lumen = applied(scene, Paint(0, ((2, 4, 9),), 1.0, guards=Guards(lumen=True)).plan(scene))
    assert not lumen[2, 4, 9]


def test_painting_what_is_painted_changes_nothing():
    scene = two_cells()
    assert Paint(1, ((2, 4, 1),), 1.0).plan(scene).is_empty


def test_a_stroke_that_mostly_replaces_a_cell_asks():
    scene = two_cells()
    assert Paint(1, ((2, 4, 5),), 1.0).warning(scene) is None
    inside = Paint(1, ((2, 4, 7),), 4.0, axis=0)
    n = np.count_nonzero(applied(scene, inside.plan(scene))[0][2] == 2)
    assert inside.warning(scene) == f"This replaces {(27 - n) / 27:.0%} of cell 2 in this slice.".replace("%", " %")
    assert Paint(1, ((2, 4, 7),), 20.0).warning(scene) == "This replaces 100 % of cell 2."
    assert "100 % of cell 2" in Paint("lumen", ((2, 4, 7),), 20.0).warning(scene)
    assert Paint(0, ((2, 4, 7),), 20.0).warning(scene) is None


def test_a_brush_that_cannot_be():
    scene = two_cells()
    with pytest.raises(ValueError, match="radius"):
        Paint(1, ((1, 1, 1),), -1.0).plan(scene)
    with pytest.raises(ValueError, match="centres"):
        Paint(1, (), 1.0).plan(scene)
    with pytest.raises(ValueError, match="2"):
        Paint(1, ((1, 1, 1), (3, 1, 1)), 1.0, axis=0).plan(scene)
    with pytest.raises(ScutoidError, match="ids"):
        Paint(-3, ((1, 1, 1),), 1.0).plan(scene)


@settings(max_examples=60)
@given(scenes(), targets, guards, st.floats(0, 4), st.sampled_from([None, 0, 1, 2]), st.data())
def test_whatever_is_painted(scene, target, allowed, radius, axis, data):
    places = st.tuples(*(st.floats(-1, n) for n in scene.shape))
    centres = data.draw(st.lists(places, min_size=1, max_size=3))
    if axis is not None:
        centres = [(*centre[:axis], centres[0][axis], *centre[axis + 1 :]) for centre in centres]
    check_guarded(scene, Paint(target, tuple(centres), radius, axis, allowed), allowed)


@settings(max_examples=60)
@given(scenes(), guards, st.sampled_from(["cells", "lumen"]), st.integers(0, 2**32 - 1))
def test_whatever_was_painted_with_napari(scene, allowed, layer, seed):
    rng = np.random.default_rng(seed)
    box = Box.whole(scene.shape)
    stroke = Stroke(
        box, rng.random(scene.shape) < 0.4, rng.integers(0, 4, scene.shape).astype(np.uint32), layer, allowed
    )
    check_guarded(scene, stroke, allowed if layer == "cells" else Guards(allowed.outside, True, allowed.other_cells))


def check_guarded(scene, edit, allowed):
    before = scene.labels.copy()
    try:
        change = edit.plan(scene)
    except ScutoidError:
        return
    finally:
        np.testing.assert_array_equal(scene.labels, before)
    labels, lumen = applied(scene, change)
    edit.warning(scene)
    if not allowed.lumen and scene.lumen is not None:
        assert lumen[scene.lumen].all()
    if not allowed.other_cells:
        lost = set(np.unique(scene.labels[labels != scene.labels]).tolist()) - {0}
        assert len(lost) <= len(set(np.unique(labels[labels != scene.labels]).tolist()) & {0})


# Strokes of napari's own layer.


@pytest.fixture
def painted():
    from napari.layers import Labels as Layer

    data = np.zeros((6, 16, 18), np.uint32)
    data[:, 2:14, 2:9], data[:, 2:14, 9:16] = 1, 2
    layer = Layer(data.copy(), scale=(2.0, 1.0, 1.0))
    strokes = []
    layer.events.paint.connect(lambda event: strokes.append(event.value))
    return layer, data, strokes


def tools(layer):
    layer.brush_size = 5

    def brush():
        with layer.block_history():
            for x in (6, 8, 10):
                layer.paint((2, 7, x), 5, refresh=False)
            layer.paint((2, 7, 8), 6, refresh=False)
            layer.paint((2, 8, 9), 0, refresh=False)

    yield "brush", brush
    yield "fill", lambda: layer.fill((2, 7, 4), 7)
    yield "data_setitem", lambda: layer.data_setitem((np.array([1, 2]), np.array([3, 15]), np.array([4, 16])), 9)
    yield "polygon", lambda: layer.paint_polygon([(2, 3, 3), (2, 3, 11), (2, 10, 12), (2, 9, 4)], 8)


@pytest.mark.parametrize(("tool", "dimensions", "preserves"), list(itertools.product(range(4), (2, 3), (False, True))))
def test_every_tool_of_napari_is_captured(painted, tool, dimensions, preserves):
    layer, base, strokes = painted
    layer.n_edit_dimensions, layer.preserve_labels = dimensions, preserves
    name, use = list(tools(layer))[tool]
    if name == "polygon" and dimensions == 3:
        with pytest.raises(NotImplementedError):
            use()
        return
    use()
    after = layer.data.copy()
    if not strokes:
        assert preserves
        np.testing.assert_array_equal(after, base)
        return
    (atoms,) = strokes
    stroke = captured(atoms, base.shape)
    box = put_back(atoms, layer.data)
    np.testing.assert_array_equal(layer.data, base)
    assert box == stroke.box
    scene = scene_of(base)
    again = Stroke(stroke.box, stroke.mask, stroke.values, guards=ALL)
    labels, _ = applied(scene, again.plan(scene))
    np.testing.assert_array_equal(labels, after)


def test_what_the_guards_refuse_goes_back(painted):
    layer, base, strokes = painted
    layer.brush_size = 9
    layer.paint((2, 7, 8), 1)
    stroke = captured(strokes[0], base.shape)
    put_back(strokes[0], layer.data)
    scene = scene_of(base, accepted=[2])
    with pytest.raises(ScutoidError, match="accepted"):
        stroke.plan(scene)
    np.testing.assert_array_equal(layer.data, base)


def test_a_stroke_becomes_a_step_of_the_history(painted):
    layer, base, strokes = painted
    session = drain(Session.begin(Labels(base.copy()), scene_of(base).evidence))
    layer.data = session.labels
    assert layer.data is session.labels
    layer.brush_size = 7
    layer.paint((2, 7, 9), 1)
    after = session.labels.copy()
    stroke = captured(strokes[0], base.shape)
    put_back(strokes[0], session.labels)
    change = session.do(stroke)
    np.testing.assert_array_equal(session.labels, after)
    assert (change.kind, change.title) == ("paint", "Paint cell 1")
    session.undo()
    np.testing.assert_array_equal(session.labels, base)
    session.close()


def test_a_stroke_on_the_lumen():
    scene = two_cells()
    mask = np.zeros(scene.shape, np.bool_)
    mask[2, 3:5, 4:9] = True
    stroke = Stroke(Box.whole(scene.shape), mask, mask.astype(np.uint32), "lumen")
    change = stroke.plan(scene)
    labels, lumen = applied(scene, change)
    np.testing.assert_array_equal(lumen, mask)
    scene = scene_of(labels, lumen=lumen)
    labels, lumen = applied(scene, Stroke(stroke.box, mask, np.zeros(scene.shape, np.uint32), "lumen").plan(scene))
    assert not lumen.any()
    np.testing.assert_array_equal(labels, scene.labels)


def test_strokes_that_cannot_be_captured():
    with pytest.raises(ValueError, match="at least one"):
        captured([], (3, 3, 3))
    with pytest.raises(ValueError, match="three axes"):
        captured([((np.array([0]), np.array([0])), np.array([1]), 2)], (3, 3))
    huge = [((np.array([0, 999]), np.array([0, 999]), np.array([0, 999])), np.zeros(2, np.uint32), 4)]
    with pytest.raises(ScutoidError, match="too large"):
        captured(huge, (1000, 1000, 1000))


def test_a_region_of_points():
    region = Region.of_points([(1, 2, 3), (1.2, 2.6, 2.9), (9, 9, 9)], (4, 5, 6))
    assert region.box == Box((1, 2, 3), (1, 2, 1))
    assert region.mask.all()
    assert np.argwhere(region.within(Box((0, 3, 0), (4, 2, 6)))).tolist() == [[1, 0, 3]]
    assert Region.of_points([(9, 9, 9)], (4, 5, 6)) is None
