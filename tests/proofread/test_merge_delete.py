"""Merging and deleting cells, and the face under the pointer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from small_tissue import applied, scene_of

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.edits import merge
from napari_scutoid.proofread.edits.delete import Delete
from napari_scutoid.proofread.edits.merge import Merge, face_at
from napari_scutoid.proofread.index import Contact

ROW = [[[1, 1, 1, 2, 2, 0, 3]]]


def test_the_largest_cell_keeps_its_id():
    scene = scene_of(ROW)
    change = Merge((2, 1)).plan(scene)
    assert applied(scene, change).tolist() == [[[1, 1, 1, 1, 1, 0, 3]]]
    assert change.labels.box == Box((0, 0, 3), (1, 1, 2))
    assert (change.title, change.parameters["kept"]) == ("Merge cells 1 and 2", 1)


def test_of_equal_cells_the_smaller_id_stays():
    scene = scene_of([[[4, 4, 2, 2]]])
    assert applied(scene, Merge((4, 2)).plan(scene)).tolist() == [[[2, 2, 2, 2]]]


def test_cells_far_apart_are_not_merged_in_one_go(monkeypatch):
    monkeypatch.setattr(merge, "LARGEST", 5)
    scene = scene_of([[[1, 1, 2, 0, 0, 0, 3, 4]]])
    assert applied(scene, Merge((1, 2, 3)).plan(scene)).tolist() == [[[1, 1, 1, 0, 0, 0, 1, 4]]]
    with pytest.raises(ScutoidError, match="1 x 1 x 6"):
        Merge((1, 2, 3, 4)).plan(scene)
    with pytest.raises(ScutoidError, match="1 x 1 x 8"):
        Delete((1, 4)).plan(scene)


def test_a_list_of_cells_becomes_one():
    scene = scene_of(ROW)
    assert applied(scene, Merge((3, 2, 1)).plan(scene)).tolist() == [[[1, 1, 1, 1, 1, 0, 1]]]


def test_cells_that_do_not_touch_are_asked_about():
    scene = scene_of(ROW)
    assert Merge((1, 2)).warning(scene) is None
    assert Merge((1, 2, 3)).warning(scene) == "Cell 3 would lie apart from the rest: nothing touches there."


@pytest.mark.parametrize("cells", [(), (1,), (1, 1), (1, 9), (1, 0), (1, 2)])
def test_what_cannot_be_merged(cells):
    with pytest.raises(ScutoidError):
        Merge(cells).plan(scene_of(ROW, accepted=[2]))


def test_the_nearest_face_is_found_with_its_evidence():
    labels = np.ones((3, 3, 8), np.uint32)
    labels[:, :, 4:] = 2
    labels[2:, :, 4:] = 3
    walls = np.full(labels.shape, 51, np.uint8)
    scene = scene_of(labels, walls=walls)
    assert face_at(scene, (0, 1, 3.4)) == (1, 2, Contact(6, 0.2))
    assert face_at(scene, (1.4, 1, 6)) == (2, 3, Contact(12, 0.2))
    assert face_at(scene, (0, 1, 0), reach=1) is None
    assert face_at(scene, (-9, 0, 0)) is None


def test_which_face_is_nearest_respects_the_spacing():
    labels = np.ones((4, 1, 8), np.uint32)
    labels[:, :, 3:] = 2
    labels[2:] = 3
    assert face_at(scene_of(labels, spacing=(1, 1, 1)), (1, 0, 4))[:2] == (2, 3)
    assert face_at(scene_of(labels, spacing=(9, 1, 1)), (1, 0, 4))[:2] == (1, 2)


def test_a_deleted_cell_becomes_background():
    scene = scene_of(ROW)
    assert applied(scene, Delete((2, 3)).plan(scene)).tolist() == [[[1, 1, 1, 0, 0, 0, 0]]]


def test_a_deleted_cell_goes_to_whom_no_wall_divides_it_from():
    scene = scene_of([[[1, 1, 2, 2, 2, 2, 2, 3]]], walls=np.array([[[0, 0, 250, 0, 0, 0, 0, 0]]], np.uint8))
    assert applied(scene, Delete((2,), to="neighbours").plan(scene)).tolist() == [[[1, 1, 1, 3, 3, 3, 3, 3]]]


def test_an_accepted_neighbour_gets_nothing():
    labels = [[[1, 1, 2, 2, 2, 3, 3]]]
    scene = scene_of(labels, accepted=[3])
    assert applied(scene, Delete((2,), to="neighbours").plan(scene)).tolist() == [[[1, 1, 1, 1, 1, 3, 3]]]
    with pytest.raises(ScutoidError, match="no cell that is not accepted"):
        Delete((2,), to="neighbours").plan(scene_of(labels, accepted=[1, 3]))


@pytest.mark.parametrize("cells", [(), (9,), (2,)])
def test_what_cannot_be_deleted(cells):
    with pytest.raises(ScutoidError):
        Delete(cells).plan(scene_of(ROW, accepted=[2]))


@given(
    arrays.arrays(np.uint32, (3, 4, 5), elements=st.integers(0, 5)),
    st.sets(st.integers(1, 5), min_size=1, max_size=3),
    st.sets(st.integers(1, 5), max_size=2),
    st.sampled_from(["merge", "background", "neighbours"]),
)
def test_only_the_named_cells_vanish(labels, cells, accepted, what):
    scene = scene_of(labels, accepted=accepted)
    edit = Merge(tuple(cells)) if what == "merge" else Delete(tuple(cells), to=what)
    try:
        after = applied(scene, edit.plan(scene))
    except ScutoidError:
        return
    assert cells & set(map(int, np.unique(after))) == (
        {edit.plan(scene).parameters["kept"]} if what == "merge" else set()
    )
    rest = ~np.isin(labels, list(cells))
    assert np.array_equal(after[rest], labels[rest])
