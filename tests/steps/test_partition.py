"""Regions made into cells by walls and shapes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_scutoid.progress import drain
from napari_scutoid.recipe import Partition
from napari_scutoid.steps.partition import partition
from napari_scutoid.steps.walls import relative_spacing
from napari_scutoid.steps.watershed import Regions

UNIT = (1.0, 1.0, 1.0)


def balls(*centres, radius=8, shape=(24, 24, 56)):
    """Return labels of balls that may overlap; the later one wins."""
    place = np.moveaxis(np.indices(shape), 0, -1)
    labels = np.zeros(shape, np.uint32)
    for number, centre in enumerate(centres, start=1):
        labels[((place - centre) ** 2).sum(-1) <= radius**2] = number
    return labels


def cells(labels, boundary=None, **settings):
    boundary = np.zeros(labels.shape, np.float32) if boundary is None else boundary
    regions = Regions(labels, boundary, 16.0, UNIT)
    return drain(partition(regions, boundary, Partition(**settings)))


def same_partition(a, b):
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(pairs[0]) == len(np.unique(pairs[0])) == len(np.unique(pairs[1]))


ROW = balls((12, 12, 10), (12, 12, 25), (12, 12, 44))


def test_two_balls_in_one_region_are_divided_at_their_waist():
    merged = np.where(ROW == 2, np.uint32(1), ROW)
    found = cells(merged)
    assert len(np.unique(found)) == 4
    wrong = np.count_nonzero(found[ROW == 1] != found[12, 12, 10]) + np.count_nonzero(
        found[ROW == 2] != found[12, 12, 25]
    )
    assert wrong < 0.03 * np.count_nonzero(ROW)
    assert np.all(found[ROW == 3] == 3)


def test_halves_of_a_ball_without_a_wall_are_one_cell():
    halves = ROW.copy()
    halves[(ROW == 3) & (np.indices(ROW.shape)[2] > 44)] = 4
    assert same_partition(cells(halves), ROW)


def test_halves_of_a_ball_with_a_wall_between_are_two():
    halves = ROW.copy()
    halves[(ROW == 3) & (np.indices(ROW.shape)[2] > 44)] = 4
    boundary = np.zeros(ROW.shape, np.float32)
    boundary[:, :, 44:46] = 0.9
    assert same_partition(cells(halves, boundary), halves)


def test_balls_that_touch_without_a_wall_stay_two():
    assert same_partition(cells(ROW), ROW)


@pytest.mark.parametrize(("centres", "expected"), [([(24, 12, 12)], 1), ([(14, 12, 12), (29, 12, 12)], 2)])
def test_flat_voxels_are_seen_as_what_they_are(centres, expected):
    tall = balls(*centres, shape=(48, 24, 24)) > 0
    flat = tall[1::3].astype(np.uint32)
    unit = relative_spacing((3, 1, 1))
    boundary = np.zeros(flat.shape, np.float32)
    found = drain(partition(Regions(flat, boundary, 11.0, unit), boundary, Partition()))
    assert len(np.unique(found[found > 0])) == expected


def test_a_high_gain_divides_nothing():
    merged = np.where(ROW == 2, np.uint32(1), ROW)
    assert same_partition(cells(merged, split_gain=3.0), merged)


def test_parts_are_in_one_piece_and_background_stays():
    import cc3d

    merged = balls((12, 12, 10), (12, 12, 25), (12, 12, 40)) > 0
    found = cells(merged.astype(np.uint32))
    assert np.array_equal(found > 0, merged)
    for number in np.unique(found[found > 0]):
        assert cc3d.connected_components(found == number, connectivity=6, return_N=True)[1] == 1


@pytest.mark.parametrize("spacing", [1, 3, 5])
@pytest.mark.parametrize("slices", [(1, 1), (1, 3), (2, 2)])
def test_a_cell_of_few_flat_slices_is_one_cell(spacing, slices):
    first, second = slices
    labels = np.zeros((first + second, 24, 24), np.uint32)
    labels[:first, 2:22, 2:22], labels[first:, 2:22, 2:22] = 1, 2
    boundary = np.zeros(labels.shape, np.float32)
    found = drain(partition(Regions(labels, boundary, 10.0, relative_spacing((spacing, 1, 1))), boundary, Partition()))
    assert len(np.unique(found)) == 2


def test_cells_do_not_depend_on_how_many_cores_there_are(monkeypatch):
    pairs = [balls((12, 12, 12 + 60 * n), (12, 12, 27 + 60 * n), shape=(24, 24, 240)) for n in range(4)]
    labels = sum(np.uint32(n + 1) * (pair > 0) for n, pair in enumerate(pairs))
    found = []
    for n in (1, 5):
        monkeypatch.setattr("napari_scutoid.steps.threads.cores", lambda n=n: n)
        found.append(cells(labels))
    assert found[0].max() == 8
    np.testing.assert_array_equal(*found)


def test_no_voxel_is_lost_where_a_region_lies_in_pieces():
    merged = np.where(ROW == 2, np.uint32(1), ROW)
    merged[0, 0, :3] = merged[23, 23, 50] = 1
    assert np.array_equal(cells(merged) > 0, merged > 0)


def test_none_changes_nothing_and_graph_methods_see_walls_only():
    assert np.array_equal(cells(ROW, method="none"), ROW)
    merged = cells(ROW, method="multicut")
    assert len(np.unique(merged)) == 3  # the first two balls touch, the third does not


@pytest.mark.parametrize("method", ["shape", "multicut", "none"])
def test_no_region_at_all(method):
    empty = np.zeros((3, 4, 5), np.uint32)
    assert not cells(empty, method=method).any()
