"""Small repairs change what they are about, and nothing beside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from small_tissue import applied, pieces, scene_of

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.edits.repair import FillHoles, GrowIntoGaps, KeepLargest, Smooth
from napari_scutoid.proofread.scene import Guards


def shell(inner=0):
    labels = np.pad(np.full((5, 5, 5), 4, np.uint32), 1)
    labels[2:5, 2:5, 2:5] = inner
    return labels


def test_a_hole_is_filled():
    scene = scene_of(shell())
    after = applied(scene, FillHoles(4).plan(scene))
    assert (after[1:-1, 1:-1, 1:-1] == 4).all()
    assert not after[0].any()


def test_what_holds_lumen_or_a_cell_or_is_open_is_no_hole():
    lumen = np.zeros((7, 7, 7), np.bool_)
    lumen[3, 3, 3] = True
    cell = shell()
    cell[3, 3, 3] = 2
    open_ = shell()
    open_[1, 3, 3] = 0
    for scene in (scene_of(shell(), lumen=lumen), scene_of(cell), scene_of(open_), scene_of(shell()[2:])):
        assert FillHoles(4).plan(scene).is_empty


def test_a_loose_piece_goes_to_whom_it_touches_most():
    labels = np.array([[[1, 1, 0, 0, 0], [1, 1, 2, 1, 3], [0, 0, 2, 3, 3]]], np.uint32)
    scene = scene_of(labels)
    change = KeepLargest(1).plan(scene)
    assert applied(scene, change)[0, 1].tolist() == [1, 1, 2, 3, 3]
    assert change.parameters["pieces"] == 2
    locked = scene_of(labels, accepted=[3])
    assert applied(locked, KeepLargest(1).plan(locked))[0, 1].tolist() == [1, 1, 2, 2, 3]
    assert applied(scene, KeepLargest(1, to="background").plan(scene))[0, 1].tolist() == [1, 1, 2, 0, 3]
    assert KeepLargest(2).plan(scene).is_empty


def test_a_loose_piece_that_nothing_touches_vanishes():
    scene = scene_of([[[1, 1, 0, 1, 0]]])
    assert applied(scene, KeepLargest(1).plan(scene)).tolist() == [[[1, 1, 0, 0, 0]]]


def block(spur):
    labels = np.ones((9, 9, 12), np.uint32)
    labels[:, :, 6:] = 2
    labels[spur] = 1
    return labels


def test_a_spur_is_smoothed_away():
    scene = scene_of(block((4, 4, slice(6, 9))))
    after = applied(scene, Smooth(1).plan(scene))
    assert (after[:, :, 6:] == 2).all()
    assert (after[:, :, :6] == 1).all()


def test_smoothing_spares_accepted_cells_and_the_outside():
    labels = block((4, 4, slice(6, 9)))
    assert Smooth(1).plan(scene_of(labels, accepted=[2])).is_empty
    outside = np.where(labels == 2, np.uint32(0), labels)
    scene = scene_of(outside)
    assert Smooth(1).plan(scene).is_empty
    after = applied(scene, Smooth(1, guards=Guards(outside=True)).plan(scene))
    assert not after[:, :, 6:].any()
    lumen = scene_of(outside, lumen=outside == 0)
    assert Smooth(1, guards=Guards(outside=True)).plan(lumen).is_empty


def test_smoothing_acts_alike_in_micrometres():
    """A spur one slice thick is thin or thick, as the slices are."""
    labels = np.ones((9, 9, 12), np.uint32)
    labels[:, :, 6:] = 2
    labels[4, :, 6:9] = 1
    for height, gone in ((1, True), (8, False)):
        scene = scene_of(labels, spacing=(height, 1, 1))
        after = applied(scene, Smooth(1).plan(scene))
        assert (after[4, 4, 7] == 2) == gone


def test_a_thread_is_not_torn():
    labels = np.ones((9, 9, 30), np.uint32)
    labels[2:7, 2:7, :8] = labels[2:7, 2:7, 22:] = 2
    labels[4, 4, :] = 2
    scene = scene_of(labels)
    after = applied(scene, Smooth(2).plan(scene))
    assert pieces(after == 2) == 1
    with pytest.raises(ScutoidError, match="come apart"):
        Smooth(2, sigma=8).plan(scene)


def test_smoothing_swallows_no_other_cell():
    labels = block((4, 4, slice(6, 9)))
    labels[0, 0, 0] = 3
    labels[8, 0, 4:6] = 4
    scene = scene_of(labels)
    after = applied(scene, Smooth(1).plan(scene))
    assert not (after[:, :, 6:] == 1).any()
    for small in (3, 4):
        np.testing.assert_array_equal(after == small, labels == small)


@pytest.mark.parametrize("sigma", [0, -1, np.nan, np.inf])
def test_strengths_that_make_no_sense(sigma):
    with pytest.raises(ScutoidError, match="strength"):
        Smooth(1, sigma=sigma).plan(scene_of([[[1, 2]]]))


def test_a_gap_goes_to_the_nearest_cell():
    labels = np.zeros((5, 5, 11), np.uint32)
    labels[:, :, :3], labels[:, :, 6:] = 1, 2
    scene = scene_of(labels)
    after = applied(scene, GrowIntoGaps((1, 2), 2).plan(scene))
    assert after[2, 2].tolist() in ([1] * 4 + [2] * 7, [1] * 5 + [2] * 6)
    only = applied(scene, GrowIntoGaps((1,), 2).plan(scene))
    assert set(only[2, 2, :6]) == {1}
    assert GrowIntoGaps((1, 2), 1).plan(scene).is_empty
    narrow = scene_of(labels, spacing=(1, 1, 0.5))
    assert applied(narrow, GrowIntoGaps((1, 2), 1).plan(narrow)).all()


def test_the_outside_and_the_lumen_are_no_gaps():
    labels = np.pad(np.ones((4, 4, 4), np.uint32), 4)
    assert GrowIntoGaps((1,), 1.5).plan(scene_of(labels)).is_empty
    labels = np.zeros((5, 5, 11), np.uint32)
    labels[:, :, :3], labels[:, :, 6:] = 1, 2
    lumen = labels == 0
    lumen[2] = False
    scene = scene_of(labels, lumen=lumen)
    after = applied(scene, GrowIntoGaps((1, 2), 3).plan(scene))
    assert after[2].all()
    assert not after[lumen].any()


def test_a_strip_at_the_stacks_border_is_no_gap():
    """Beyond the border the outside goes on: what is narrow there is not enclosed."""
    labels = np.zeros((12, 8, 8), np.uint32)
    labels[3:10] = 1
    assert GrowIntoGaps((1,), 4).plan(scene_of(labels)).is_empty
    through = np.ones((12, 8, 8), np.uint32)
    through[:, 3:5] = 0
    scene = scene_of(through)
    assert applied(scene, GrowIntoGaps((1,), 4).plan(scene)).all()


def test_no_cell_grows_along_gaps_farther_than_across_one():
    labels = np.ones((9, 9, 40), np.uint32)
    labels[4] = 0
    labels[:, :, :3] = 2
    scene = scene_of(labels)
    after = applied(scene, GrowIntoGaps((2,), 1).plan(scene))
    assert np.flatnonzero(after[4, 4] == 2).tolist() == [0, 1, 2, 3, 4]


def test_a_gap_does_not_depend_on_what_else_is_looked_at():
    """What closes a gap may lie farther from the cell than the gap does."""
    labels = np.zeros((1, 23, 23), np.uint32)
    labels[0, 9:14, :3] = 1
    labels[0, :7], labels[0, 16:] = 2, 2
    labels[0, 9:14, 12:] = 2
    scene = scene_of(labels)
    alone, both = (applied(scene, GrowIntoGaps(cells, 3).plan(scene)) for cells in ((1,), (1, 2)))
    np.testing.assert_array_equal((alone > 0)[:, :, :9], (both > 0)[:, :, :9])


def test_accepted_cells_do_not_grow():
    labels = np.zeros((5, 5, 11), np.uint32)
    labels[:, :, :3], labels[:, :, 6:] = 1, 2
    scene = scene_of(labels, accepted=[2])
    assert set(applied(scene, GrowIntoGaps((1,), 3).plan(scene))[2, 2, :6]) == {1}
    with pytest.raises(ScutoidError, match="accepted"):
        GrowIntoGaps((1, 2), 3).plan(scene)
    for cells, distance in (((), 3), ((1,), 0), ((1,), np.nan)):
        with pytest.raises(ScutoidError):
            GrowIntoGaps(cells, distance).plan(scene)


EDITS = st.sampled_from([FillHoles(1), KeepLargest(1), KeepLargest(1, "background"), Smooth(1), GrowIntoGaps((1,), 2)])


@settings(max_examples=60)
@given(
    arrays.arrays(np.uint32, (4, 5, 6), elements=st.integers(0, 3)),
    arrays.arrays(np.bool_, (4, 5, 6)),
    st.sampled_from([(), (2,), (2, 3)]),
    EDITS,
)
def test_any_repair_keeps_to_the_rules(labels, lumen, accepted, edit):
    lumen &= labels == 0
    scene = scene_of(labels, lumen=lumen, accepted=[c for c in accepted if (labels == c).any()], spacing=(2, 1, 1))
    try:
        change = edit.plan(scene)
    except ScutoidError:
        return
    assert change == edit.plan(scene)
    after = applied(scene, change)
    assert not after[lumen].any()
    if isinstance(edit, KeepLargest):
        assert pieces(after == 1) == 1
    elif isinstance(edit, Smooth):
        assert 1 <= pieces(after == 1) <= pieces(labels == 1)
    else:
        assert ((after == labels) | ((labels == 0) & (after == 1))).all()
