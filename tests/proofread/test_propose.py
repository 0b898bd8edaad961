"""The best cuts of a cell are found without a click."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from small_tissue import applied, pieces, scene_of

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.edits import propose
from napari_scutoid.proofread.edits.propose import proposals


def ball(shape, centre, radius, spacing=(1, 1, 1)):
    grid = np.indices(shape).T - np.asarray(centre)
    return (np.linalg.norm(grid * np.asarray(spacing), axis=-1) <= radius).T


def test_a_wall_is_found_and_comes_first():
    labels = np.pad(np.full((8, 9, 24), 3, np.uint32), 1)
    walls = np.random.default_rng(0).integers(0, 30, labels.shape).astype(np.uint8)
    walls[:, :, 16] = 180
    scene = scene_of(labels, walls=walls)
    found = proposals(scene, 3)
    after = applied(scene, found[0])
    assert len(set(after[1:-1, 1:-1, 1:16].ravel())) == len(set(after[1:-1, 1:-1, 17:-1].ravel())) == 1
    assert 0.2 < found[0].parameters["evidence"] < 0.8
    assert [change.parameters["score"] for change in found] == sorted(
        (change.parameters["score"] for change in found), reverse=True
    )


@pytest.mark.parametrize("spacing", [(1, 1, 1), (3, 1, 1)])
def test_a_waist_is_found_without_walls(spacing):
    shape = (19 // spacing[0] + 2, 21, 36)
    middle = (shape[0] - 1) / 2
    body = ball(shape, (middle, 10, 9), 8, spacing) | ball(shape, (middle, 10, 24), 8.9, spacing)
    scene = scene_of(body * np.uint32(4), spacing=spacing)
    found = proposals(scene, 4)
    after = applied(scene, found[0])
    left, right = after[:, :, :15][body[:, :, :15]], after[:, :, 18:][body[:, :, 18:]]
    assert np.mean(left == 5) > 0.97
    assert np.mean(right == 4) > 0.97


def test_three_cells_in_one_give_both_cuts():
    labels = np.pad(np.full((7, 8, 30), 3, np.uint32), 1)
    walls = np.zeros(labels.shape, np.uint8)
    walls[:, :, 10], walls[:, :, 21] = 200, 150
    scene = scene_of(labels, walls=walls)
    first, second = (applied(scene, change) for change in proposals(scene, 3)[:2])
    assert first[4, 4, 5] != first[4, 4, 15] == first[4, 4, 26]
    assert second[4, 4, 5] == second[4, 4, 15] != second[4, 4, 26]


def test_of_very_many_parts_the_deepest_are_told_apart(monkeypatch):
    labels = np.pad(np.full((7, 8, 30), 3, np.uint32), 1)
    walls = np.zeros(labels.shape, np.uint8)
    walls[:, :, 5], walls[:, :, 18] = 250, 250
    scene = scene_of(labels, walls=walls)

    def told_apart(x, other):
        made = [applied(scene, change)[4, 4] for change in proposals(scene, 3, 4)]
        return [bool(line[x] != line[other]) for line in made]

    assert any(told_apart(3, 10))
    monkeypatch.setattr(propose, "_MOST_SEEDS", 2)
    assert told_apart(10, 25)[0]
    assert not any(told_apart(3, 10))


def test_a_coarser_search_finds_the_same_wall(monkeypatch):
    labels = np.pad(np.full((8, 9, 24), 3, np.uint32), 1)
    walls = np.zeros(labels.shape, np.uint8)
    walls[:, :, 14] = 250
    scene = scene_of(labels, walls=walls)
    monkeypatch.setattr(propose, "_COARSE_VOXELS", 500)
    after = applied(scene, proposals(scene, 3)[0])
    assert len(set(after[1:-1, 1:-1, 1:14].ravel())) == len(set(after[1:-1, 1:-1, 15:-1].ravel())) == 1


def test_which_way_an_axis_points_does_not_matter(monkeypatch):
    """Linear algebra leaves that open, and libraries differ; nor does what rounding leaves of the middle plane."""
    scene = scene_of(np.pad(np.full((5, 7, 15), 3, np.uint32), 1))
    expected = proposals(scene, 3)
    assert expected
    right = np.linalg.eigh
    for sign, error in ((-1, 0.0), (1, 1e-13), (1, -1e-13)):
        with monkeypatch.context() as patch:
            patch.setattr(np.linalg, "eigh", lambda m, s=sign, e=error: (right(m)[0], s * right(m)[1] + e))
            assert proposals(scene, 3) == expected


def test_a_voxel_has_no_parts():
    assert proposals(scene_of(np.ones((1, 1, 1), np.uint32)), 1) == []


def test_an_accepted_cell_is_left_alone():
    with pytest.raises(ScutoidError, match="accepted"):
        proposals(scene_of(np.ones((2, 2, 2), np.uint32), accepted=[1]), 1)


@settings(max_examples=30)
@given(arrays.arrays(np.bool_, (4, 5, 6)), arrays.arrays(np.uint8, (4, 5, 6)))
def test_proposals_are_different_splits_in_two(mask, walls):
    labels = np.where(mask, np.uint32(3), np.uint32(9))
    if not mask.any():
        return
    scene = scene_of(labels, walls=walls, accepted=[9], spacing=(2, 1, 1))
    seen = set()
    for change in proposals(scene, 3):
        after = applied(scene, change)
        seen.add(after.tobytes())
        assert len(change.parameters["pieces"]) == len(change.parameters["volumes"]) == 2
        assert 0 <= change.parameters["score"] <= 1
        assert pieces(after == change.parameters["pieces"][1]) == 1 or pieces(mask) > 1
    assert len(seen) == len(proposals(scene, 3))
