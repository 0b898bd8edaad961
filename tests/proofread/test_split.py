"""A cell is divided where the marks and the walls say, into pieces that hang together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from small_tissue import applied, pieces, scene_of

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.edits.pieces import grown, whole
from napari_scutoid.proofread.edits.split import Split

BAR = np.full((3, 3, 12), 7, np.uint32)


def test_the_wall_decides_wherever_the_marks_are():
    walls = np.zeros(BAR.shape, np.uint8)
    walls[:, :, 8] = 200
    scene = scene_of(BAR, walls=walls)
    after = applied(scene, Split(7, (((1, 1, 0),), ((1, 1, 11),))).plan(scene))
    assert set(after[:, :, :8].ravel()) == {7}  # the largest piece keeps the id
    assert set(after[:, :, 9:].ravel()) == {8}


def test_without_walls_each_voxel_goes_to_the_nearest_mark():
    scene = scene_of(BAR)
    change = Split(7, (((1, 1, 1),), ((1, 1, 6),), ((1, 1, 10),))).plan(scene)
    after = applied(scene, change)
    assert after[1, 1, :8].tolist() == [8] * 4 + [7] * 4  # voxel 8 is as near to both others
    assert after[1, 1, 9:].tolist() == [9] * 3
    assert change.title == "Split cell 7 in 3"
    assert sum(change.parameters["volumes"]) == BAR.size


def test_the_nearest_mark_is_told_in_micrometres():
    """Three slices of 4 µm are farther than nine voxels of 1 µm."""
    scene = scene_of(np.ones((7, 1, 10), np.uint32), spacing=(4, 1, 1))
    after = applied(scene, Split(1, (((0, 0, 0),), ((6, 0, 0),))).plan(scene))
    assert (after[:3] == after[0, 0, 0]).all()
    assert (after[4:] == after[6, 0, 0]).all()
    flat = scene_of(np.ones((3, 1, 10), np.uint32), spacing=(4, 1, 1))
    after = applied(flat, Split(1, (((0, 0, 0),), ((2, 0, 9),))).plan(flat))
    assert after[2, 0, 0] == after[0, 0, 0]  # 8 µm away from one, 9 from the other


def test_a_click_that_just_misses_counts():
    labels = np.zeros((3, 3, 14), np.uint32)
    labels[:, :, 1:13] = 7
    scene = scene_of(labels)
    after = applied(scene, Split(7, (((1, 1, 0),), ((1, 1, 12),))).plan(scene))
    assert np.bincount(after.ravel())[7:].tolist() == [54, 54]


def test_noise_leads_no_cut():
    rng = np.random.default_rng(0)
    labels = np.ones((8, 8, 30), np.uint32)
    scene = scene_of(labels, walls=rng.integers(0, 9, labels.shape).astype(np.uint8))
    after = applied(scene, Split(1, (((4, 4, 0),), ((4, 4, 29),))).plan(scene))
    assert len(set(after[:, :, :12].ravel())) == len(set(after[:, :, 18:].ravel())) == 1


@pytest.mark.parametrize(
    "marks", [(), (((1, 1, 1),),), (((1, 1, 1),), ((1, 1, 1),)), (((1, 1, 1),), ((1, 1, 40),)), (((1, 1, 1),), ())]
)
def test_marks_that_divide_nothing(marks):
    with pytest.raises(ScutoidError):
        Split(7, marks).plan(scene_of(BAR))


def test_a_cell_that_cannot_be_split():
    marks = ((1, 1, 1),), ((1, 1, 9),)
    with pytest.raises(ScutoidError, match="accepted"):
        Split(7, marks).plan(scene_of(BAR, accepted=[7]))
    with pytest.raises(ScutoidError, match="no cell"):
        Split(6, marks).plan(scene_of(BAR))


def test_what_lies_apart_goes_to_the_part_it_touches():
    parts = np.array([[[1, 1, 1, 2, 1, 2, 2, 0, 1]]], np.uint32)
    inside = np.array([[[1, 1, 1, 1, 1, 1, 1, 0, 1]]], bool)
    assert whole(parts, inside, (1, 1, 1)).tolist() == [[[1, 1, 1, 1, 2, 2, 2, 0, 0]]]


def test_closed_voxels_stay_and_stop_the_growth():
    seeds = np.array([[[1, 0, 0, 0, 0]]], np.uint32)
    open_ = np.array([[[0, 1, 0, 1, 1]]], bool)
    assert grown(None, seeds, open_, (1, 1, 1)).tolist() == [[[1, 1, 0, 0, 0]]]


@settings(max_examples=60)
@given(st.data(), arrays.arrays(np.bool_, (4, 5, 6)), arrays.arrays(np.uint8, (4, 5, 6)))
def test_pieces_hang_together_and_are_all_of_the_cell(data, mask, walls):
    labels = np.where(mask, np.uint32(3), np.uint32(9))
    voxels = [tuple(map(int, voxel)) for voxel in np.argwhere(mask)]
    if len(voxels) < 2:
        return
    marks = data.draw(st.lists(st.lists(st.sampled_from(voxels), min_size=1, max_size=3), min_size=2, max_size=3))
    scene = scene_of(labels, walls=walls, accepted=[9], spacing=(3, 1, 1))
    edit = Split(3, tuple(map(tuple, marks)))
    try:
        change = edit.plan(scene)
    except ScutoidError:
        return
    assert change == edit.plan(scene)
    after = applied(scene, change)
    assert np.array_equal(after != 9, mask)
    sizes = {cell: np.count_nonzero(after == cell) for cell in change.parameters["pieces"]}
    assert sizes[3] == max(sizes.values())
    for cell in sizes:
        if cell != 3 or pieces(mask) == 1:
            assert pieces(after == cell) == 1
