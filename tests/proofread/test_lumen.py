"""The lumen: set by a click or an id, and found without one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paint_scenes import applied, scene_of, scenes

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import drain
from napari_scutoid.proofread.edits import propose_lumen as module
from napari_scutoid.proofread.edits import region
from napari_scutoid.proofread.edits.lumen import SetLumen, SetOutside
from napari_scutoid.proofread.edits.propose_lumen import propose_lumen
from napari_scutoid.proofread.edits.region import Region, piece_at


def shell(shape=(24, 24, 24), outer=10.0, inner=5.0, cells=8, centre=None):
    """A ball of tissue, cut into cells by octants, around a lumen."""
    z, y, x = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    middle = centre or [(n - 1) / 2 for n in shape]
    away = np.stack([z - middle[0], y - middle[1], x - middle[2]])
    distance = np.sqrt((away**2).sum(axis=0))
    octant = (away[0] > 0) * 4 + (away[1] > 0) * 2 + (away[2] > 0) + 1
    labels = np.where((distance <= outer) & (distance > inner), np.minimum(octant, cells), 0)
    return labels.astype(np.uint32), distance <= inner


def tube(shape=(20, 30, 32), outer=12.0, inner=5.0):
    y, x = np.ogrid[: shape[1], : shape[2]]
    distance = np.sqrt((y - 15) ** 2 + (x - 16) ** 2)
    around = (np.arctan2(y - 15, x - 16) // (np.pi / 4)).astype(int) + 5
    plane = np.where((distance <= outer) & (distance > inner), around, 0)
    labels = np.stack([plane + 8 * (plane > 0) * (z // 5) for z in range(shape[0])]).astype(np.uint32)
    return labels, np.broadcast_to(distance <= inner, shape)


def test_a_cell_becomes_the_lumen_and_outside():
    labels, _ = shell()
    scene = scene_of(labels)
    change = SetLumen(3).plan(scene)
    assert (change.kind, change.title, change.parameters) == ("set_lumen", "Set cell 3 as lumen", {"what": 3})
    after, lumen = applied(scene, change)
    np.testing.assert_array_equal(lumen, labels == 3)
    assert not after[lumen].any()
    after, lumen = applied(scene, SetOutside(3).plan(scene))
    assert not lumen.any()
    np.testing.assert_array_equal(after, np.where(labels == 3, 0, labels))


def test_a_click_means_what_is_there():
    labels, hole = shell()
    scene = scene_of(labels)
    _, lumen = applied(scene, SetLumen((12.2, 11.7, 12)).plan(scene))
    np.testing.assert_array_equal(lumen, hole)
    scene = scene_of(labels, lumen=lumen)
    assert not applied(scene, SetOutside((12, 12, 12)).plan(scene))[1].any()
    corner = (20, 12, 12)
    np.testing.assert_array_equal(applied(scene, SetLumen(corner).plan(scene))[1], hole | (labels == labels[corner]))
    for edit, problem in [
        (SetLumen((12, 12, 12)), "already"),
        (SetOutside((0, 0, 0)), "already"),
        (SetLumen((0, 0, 0)), "border"),
        (SetLumen((99, 0, 0)), "beside"),
        (SetLumen(77), "no cell"),
    ]:
        with pytest.raises(ScutoidError, match=problem):
            edit.plan(scene)
    with pytest.raises(ScutoidError, match="accepted"):
        SetLumen(3).plan(scene_of(labels, accepted=[3]))


def test_voxels_become_the_lumen():
    labels, _ = shell()
    scene = scene_of(labels, accepted=[1])
    region = Region(Box((8, 8, 2), (8, 8, 8)), np.ones((8, 8, 8), np.bool_))
    edit = SetLumen(region)
    _, lumen = applied(scene, edit.plan(scene))
    assert np.count_nonzero(lumen) == 512 - np.count_nonzero(labels[8:16, 8:16, 2:10] == 1)
    assert edit.warning(scene) is None
    json.dumps(edit.plan(scene).parameters)
    with pytest.raises(ValueError, match="leaves"):
        SetLumen(Region(Box((20, 0, 0), (8, 8, 8)), region.mask)).plan(scene)


def test_a_piece_is_followed_beyond_the_first_box():
    labels = np.ones((6, 6, 60), np.uint32)
    labels[2, 3, 4:55] = 0
    labels[2, 3, 40] = 1
    scene = scene_of(labels)
    piece = piece_at(scene, (2, 3, 30), lambda box: scene.labels[box.slices] == 0, first=4)
    assert piece.box == Box((2, 3, 4), (1, 1, 36))
    assert piece.mask.all()
    assert piece_at(scene, (0, 0, 0), lambda box: scene.labels[box.slices] == 0) is None


def test_a_click_on_far_too_much_is_refused(monkeypatch):
    labels = np.ones((6, 6, 60), np.uint32)
    labels[2, 3, 4:55] = 0
    monkeypatch.setattr(region, "LARGEST", 6 * 6 * 50)
    with pytest.raises(ScutoidError, match="or it is too large for a click"):  # it does not reach the border
        SetLumen((2, 3, 30)).plan(scene_of(labels))
    with pytest.raises(ScutoidError, match="too large for a click"):
        SetOutside((2, 3, 30)).plan(scene_of(labels, lumen=labels == 0))


@settings(max_examples=40)
@given(scenes(), st.sampled_from([SetLumen, SetOutside]), st.data())
def test_whatever_is_set(scene, edit, data):
    place = st.tuples(*(st.floats(-1, n) for n in scene.shape))
    start = data.draw(st.integers(0, 2))
    region = Region(Box((start, 1, 1), (2, 3, 3)), data.draw(st.booleans()) | np.eye(3, dtype=bool)[None].repeat(2, 0))
    try:
        applied(scene, edit(data.draw(st.integers(1, 4) | place | st.just(region))).plan(scene))
    except ScutoidError as problem:
        assert problem.try_this


def proposed(scene):
    steps = []
    change = drain(propose_lumen(scene), steps.append)
    assert steps
    return change, *applied(scene, change)


def overlap(a, b):
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


def test_enclosed_background_is_the_lumen():
    labels, hole = shell()
    change, after, lumen = proposed(scene_of(labels))
    np.testing.assert_array_equal(lumen, hole)
    np.testing.assert_array_equal(after, labels)
    assert change.title == "Set enclosed background as lumen"


def test_a_lumen_that_the_border_opens():
    labels, hole = tube()
    np.testing.assert_array_equal(proposed(scene_of(labels))[2], hole)
    labels, hole = shell(centre=(3, 4, 11.5))  # cut by two sides of the stack
    assert hole[0].any()
    np.testing.assert_array_equal(proposed(scene_of(labels))[2], hole)


def test_a_missing_cell_does_not_hide_the_lumen():
    labels, hole = tube()
    labels[labels == 11] = 0
    _, after, lumen = proposed(scene_of(labels))
    assert overlap(lumen, hole) > 0.8
    assert not lumen[:, 0].any()
    np.testing.assert_array_equal(after, labels)


def test_large_stacks_are_looked_at_in_blocks(monkeypatch):
    labels, hole = shell((40, 44, 42), 18.0, 11.0)
    monkeypatch.setattr(module, "_VOXELS", 12_000)
    _, _, lumen = proposed(scene_of(labels))
    np.testing.assert_array_equal(lumen, hole)


def test_the_apical_line_where_cells_leave_no_room():
    labels, _ = tube(inner=0.0)
    labels[:, 15, 16] = 1
    z, y, x = np.ogrid[:20, :30, :32]
    line = np.exp(-((y - 15.0) ** 2 + (x - 16.0) ** 2) / 3) * np.ones_like(z)
    rng = np.random.default_rng(0)
    basal = 80 * np.exp(-((np.sqrt((y - 15.0) ** 2 + (x - 16.0) ** 2) - 12) ** 2))
    image = 20 * rng.random(labels.shape) + 150 * line + basal
    change, after, lumen = proposed(scene_of(labels, image=image.astype(np.uint16), accepted=[4]))
    assert change.title == "Set the brightest apical line as lumen"
    assert lumen[:, 15, 16].sum() >= 15
    away = np.argwhere(lumen) - (0, 15, 16)
    assert np.hypot(away[:, 1], away[:, 2]).max() < 4
    assert not after[lumen].any()


def test_nothing_like_a_lumen():
    solid = np.ones((8, 8, 8), np.uint32)
    solid[4:] = 2
    with pytest.raises(ScutoidError, match="No lumen was found"):
        drain(propose_lumen(scene_of(solid)))
    with pytest.raises(ScutoidError, match="No lumen was found"):
        drain(propose_lumen(scene_of(solid, image=np.zeros(solid.shape, np.uint8))))
    with pytest.raises(ScutoidError, match="no cells"):
        drain(propose_lumen(scene_of(np.zeros((4, 4, 4), np.uint32))))


@settings(max_examples=25)
@given(scenes())
def test_whatever_is_proposed(scene):
    try:
        applied(scene, drain(propose_lumen(scene)))
    except ScutoidError as problem:
        assert problem.try_this
