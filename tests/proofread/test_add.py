"""New cells: grown to the walls from a point or scribble, or drawn as polygons."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paint_scenes import applied, guards, scene_of, scenes

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.edits import growth
from napari_scutoid.proofread.edits.add import Add, AddPolygons
from napari_scutoid.proofread.edits.growth import coarseness, grown
from napari_scutoid.proofread.scene import Guards


def overlap(a, b):
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


def chamber(shape, low, high, spacing=(1.0, 1.0, 1.0)):
    """A box of walls, one blurred voxel thick, around a missing cell."""
    from scipy.ndimage import gaussian_filter

    inside, walled = np.zeros(shape, np.bool_), np.zeros(shape, np.float32)
    inside[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    walled[tuple(slice(a - 1, b + 1) for a, b in zip(low, high, strict=True))] = 1
    walled[inside] = 0
    wall = gaussian_filter(walled, [0.6 / edge for edge in spacing])
    return inside, (255 * wall / wall.max()).astype(np.uint8)


@pytest.mark.parametrize("noise", [0, 40])
def test_a_cell_grows_to_its_walls(noise):
    shape = (24, 40, 40)
    inside, walls = chamber(shape, (7, 8, 12), (17, 26, 24))
    rng = np.random.default_rng(0)
    walls = np.clip(walls + noise * rng.standard_normal(shape), 0, 255).astype(np.uint8)
    labels = np.zeros(shape, np.uint32)
    labels[:4, :20, :20], labels[-4:, -20:, -20:] = 1, 2
    scene = scene_of(labels, walls=walls)
    change = Add(((9, 12, 15),)).plan(scene)
    assert (change.kind, change.title) == ("add", "Add cell 3")
    json.dumps(change.parameters)
    after, _ = applied(scene, change)
    assert overlap(after == 3, inside) > 0.7
    assert (after == 3)[8:16, 10:24, 14:22].all()
    np.testing.assert_array_equal(after[labels > 0], labels[labels > 0])


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0)])
def test_without_walls_a_cell_is_a_ball_of_the_typical_size(spacing):
    shape = (48, 48, 48) if spacing[0] == 1 else (20, 48, 48)
    labels = np.zeros(shape, np.uint32)
    labels[:2, :20, :20] = 1
    scene = scene_of(labels, spacing=spacing)
    after, _ = applied(scene, Add(((shape[0] // 2, 30, 30),)).plan(scene))
    cell = np.argwhere(after == 2)
    assert 0.7 * 800 < len(cell) < 1.4 * 800
    sides = np.ptp(cell, axis=0) * spacing
    assert sides.max() < 1.4 * sides.min()


def test_a_pocket_between_cells_and_lumen_is_filled():
    labels = np.ones((12, 12, 12), np.uint32)
    labels[4:8, 4:8, 4:8] = 0
    labels[:, :, 9:] = 2
    lumen = np.zeros(labels.shape, np.bool_)
    lumen[4:8, 4:8, 7] = True
    scene = scene_of(labels, lumen=lumen)
    after, same = applied(scene, Add(((5, 5, 5),)).plan(scene))
    np.testing.assert_array_equal(after == 3, (labels == 0) & ~lumen)
    np.testing.assert_array_equal(same, lumen)


def test_where_no_cell_can_be():
    labels = np.zeros((6, 6, 6), np.uint32)
    labels[:3] = 4
    lumen = labels == 0
    scene = scene_of(labels, lumen=lumen)
    with pytest.raises(ScutoidError, match="cell 4 is here"):
        Add(((1, 2, 2),)).plan(scene)
    with pytest.raises(ScutoidError, match="lumen"):
        Add(((5, 2, 2),)).plan(scene)
    with pytest.raises(ScutoidError, match="beside the stack"):
        Add(((9, 2, 2),)).plan(scene)


def test_large_cells_are_grown_in_blocks(monkeypatch):
    assert coarseness(1000.0, (1, 1, 1)) == (1, 1, 1)
    assert coarseness(27 * 25_000.0, (3, 1, 1)) == (1, 3, 3)
    monkeypatch.setattr(growth, "_EXPLORED", 10_000)
    assert coarseness(20_000.0, (1, 1, 1)) == (2, 2, 2)
    inside, walls = chamber((40, 60, 60), (9, 11, 12), (30, 47, 45))
    seed = np.zeros(inside.shape, np.bool_)
    seed[20, 30, 20] = True
    everywhere = np.ones(inside.shape, np.bool_)
    cell = grown(seed, everywhere, ~everywhere, walls, (1, 1, 1), 20_000.0)
    assert overlap(cell, inside) > 0.7


def test_a_polygon_stays_as_it_was_drawn_and_grows_into_other_slices():
    inside, walls = chamber((24, 40, 40), (7, 8, 12), (17, 26, 24))
    labels = np.zeros(inside.shape, np.uint32)
    labels[:4, :20, :20] = 1
    scene = scene_of(labels, walls=walls)
    square = ((9.5, 13.5), (9.5, 22.5), (24.5, 22.5), (24.5, 13.5))
    change = AddPolygons(0, ((12, square),)).plan(scene)
    cell = applied(scene, change)[0] == 2
    assert cell[12, 10:25, 14:23].all()
    assert np.count_nonzero(cell[12]) == 15 * 9
    assert overlap(cell, inside) > 0.5
    flat = applied(scene, AddPolygons(0, ((12, square),), grow=False).plan(scene))[0] == 2
    assert np.argwhere(flat.any(axis=(1, 2))).ravel().tolist() == [12]


def test_polygons_in_several_slices_of_any_axis():
    labels = np.zeros((20, 20, 20), np.uint32)
    labels[:2] = 1
    labels[9, 10, 11] = 7
    small = ((5.5, 5.5), (5.5, 13.5), (13.5, 13.5), (13.5, 5.5))
    large = ((3.5, 3.5), (3.5, 15.5), (15.5, 15.5), (15.5, 3.5))
    scene = scene_of(labels)
    after, _ = applied(scene, AddPolygons(2, ((14, large), (8, small))).plan(scene))
    sizes = (after == 8).sum(axis=(0, 1))
    assert np.flatnonzero(sizes).tolist() == list(range(8, 15))
    assert sizes[8] == 64
    assert sizes[14] == 144
    assert (np.diff(sizes[8:15]) >= -1).all()
    assert after[9, 10, 11] == 7
    taking = AddPolygons(2, ((14, large), (8, small)), guards=Guards(outside=True, other_cells=True))
    assert applied(scene, taking.plan(scene))[0][9, 10, 11] == 8
    assert taking.warning(scene) == "This replaces 100 % of cell 7."
    for polygons in ((), ((8, small), (8, large))):
        with pytest.raises(ScutoidError, match="No cell"):
            AddPolygons(2, polygons).plan(scene)


@settings(max_examples=30)
@given(scenes(), st.data())
def test_whatever_is_added(scene, data):
    places = st.tuples(*(st.floats(-1, n) for n in scene.shape))
    edit = Add(tuple(data.draw(st.lists(places, min_size=1, max_size=4))))
    try:
        after, lumen = applied(scene, edit.plan(scene))
    except ScutoidError as problem:
        assert problem.try_this
        return
    new = after == scene.next_id
    assert new.any()
    np.testing.assert_array_equal(after[~new], scene.labels[~new])
    assert not scene.labels[new].any()
    assert scene.lumen is None or (lumen == scene.lumen).all()


@settings(max_examples=30)
@given(scenes(), guards, st.booleans(), st.data())
def test_whatever_is_drawn_new(scene, allowed, grow, data):
    corners = st.tuples(st.floats(-1, 5), st.floats(-1, 6))
    shapes = st.lists(corners, min_size=3, max_size=4).map(tuple)
    slices = data.draw(st.sets(st.integers(0, 3), min_size=1, max_size=3))
    edit = AddPolygons(0, tuple((i, data.draw(shapes)) for i in slices), grow, allowed)
    try:
        applied(scene, edit.plan(scene))
    except ScutoidError as problem:
        assert problem.try_this
