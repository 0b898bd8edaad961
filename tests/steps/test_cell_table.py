"""The cell table against a count by hand and against scikit-image."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.measure import regionprops

from napari_scutoid.steps.cell_table import CellCounter, Counted, cell_table
from napari_scutoid.volume import Origin, VoxelSize


def two_cells():
    labels = np.zeros((4, 6, 8), np.uint32)
    labels[1:3, 1:4, 2:7] = 5
    labels[3, 5, 7] = 9
    return labels


def test_two_cells_by_hand():
    table = cell_table(two_cells(), VoxelSize(2.0, 1.0, 0.5), Origin(10.0, 0.0, -1.0))
    assert table.cell.tolist() == [5, 9]
    assert table.voxels.tolist() == [30, 1]
    assert table.volume_um3.tolist() == [30.0, 1.0]
    assert table.centroid.tolist() == [[1.5, 2.0, 4.0], [3.0, 5.0, 7.0]]
    assert table.centroid_um.tolist() == [[13.0, 2.0, 1.0], [16.0, 5.0, 2.5]]
    assert table.first.tolist() == [[1, 1, 2], [3, 5, 7]]
    assert table.last.tolist() == [[2, 3, 6], [3, 5, 7]]
    assert table.touches_border.tolist() == [False, True]


def test_columns_state_their_units_and_micrometres_only_where_known():
    known = cell_table(two_cells(), VoxelSize(2.0, 1.0, 0.5)).columns()
    unknown = cell_table(two_cells()).columns()
    assert list(unknown) == [
        *("cell", "voxels", "z_voxel", "y_voxel", "x_voxel"),
        *("z_first_voxel", "y_first_voxel", "x_first_voxel", "z_last_voxel", "y_last_voxel", "x_last_voxel"),
        "touches_border",
    ]
    assert known.keys() - unknown.keys() == {"volume_um3", "z_um", "y_um", "x_um"}
    assert known["x_um"].tolist() == [2.0, 3.5]
    assert {len(column) for column in known.values()} == {2}


def test_the_page_names_every_column():
    page = (Path(__file__).resolve().parents[2] / "docs" / "cells.md").read_text(encoding="utf-8")
    said = " ".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    boxes = [f"{axis}_{end}_voxel" for end in ("first", "last") for axis in "zyx"]
    columns = cell_table(two_cells(), VoxelSize(1, 1, 1)).columns()
    assert [name for name in columns if name not in boxes] == [
        name for name in re.findall(r"`(\w+)`", said) if name not in boxes
    ]


def test_each_face_of_the_stack_cuts():
    for axis in range(3):
        for end in (0, -1):
            labels = np.zeros((5, 5, 5), np.uint32)
            labels[2, 2, 2] = 1
            labels.swapaxes(0, axis)[end, 2, 2] = 2
            assert cell_table(labels).touches_border.tolist() == [False, True]


def test_a_stack_without_cells_has_no_rows():
    table = cell_table(np.zeros((3, 4, 5), np.uint32), VoxelSize(1, 1, 1))
    assert len(table) == 0
    assert {len(column) for column in table.columns().values()} == {0}


def test_huge_ids_need_no_huge_table():
    labels = two_cells()
    labels[labels == 9] = 4_294_967_295
    table = cell_table(labels)
    assert table.cell.tolist() == [5, 4_294_967_295]
    assert table.first.tolist() == [[1, 1, 2], [3, 5, 7]]


@given(
    labels=arrays(np.uint32, array_shapes(min_dims=3, max_dims=3, max_side=7), elements=st.integers(0, 3)),
    step=st.sampled_from([1, 1000]),
)
def test_equals_scikit_image(labels, step):
    labels = labels * np.uint32(step)
    table = cell_table(labels)
    expected = regionprops(labels)
    assert table.cell.tolist() == [cell.label for cell in expected]
    assert table.voxels.tolist() == [cell.area for cell in expected]
    np.testing.assert_allclose(table.centroid, np.reshape([cell.centroid for cell in expected], (-1, 3)))
    boxes = np.reshape([cell.bbox for cell in expected], (-1, 2, 3))
    assert np.array_equal(table.first, boxes[:, 0]) and np.array_equal(table.last, boxes[:, 1] - 1)
    inside = np.zeros(labels.shape, bool)
    inside[1:-1, 1:-1, 1:-1] = True
    cut = np.setdiff1d(labels[~inside], 0)
    assert np.array_equal(table.cell[table.touches_border], cut)


@given(
    labels=arrays(
        np.uint32, array_shapes(min_dims=3, max_dims=3, max_side=9), elements=st.sampled_from([0, 1, 2, 70000])
    ),
    side=st.integers(1, 9),
)
def test_however_a_stack_is_cut_the_table_is_the_same(labels, side):
    room = np.zeros(labels.shape, np.uint32)
    counted = Counted(room)
    places = [[slice(a, min(a + side, n)) for a in range(0, n, side)] for n in labels.shape]
    for key in itertools.product(*places):
        counted[key] = labels[key]
    assert np.array_equal(room, labels)
    made, expected = (table.columns() for table in (counted.table(), cell_table(labels)))
    for name, column in expected.items():
        assert np.array_equal(made[name], column) and made[name].dtype == column.dtype, name


def test_what_is_written_is_counted_where_it_lies():
    counted = Counted(np.zeros((4, 6, 8), np.uint8))
    labels = two_cells()
    counted[:2,] = labels[:2]
    counted[2:, :5] = labels[2:, :5]
    counted[2:, 5:, :] = labels[2:, 5:]
    assert counted.table().first.tolist() == [[1, 1, 2], [3, 5, 7]] and counted.table().voxels.tolist() == [30, 1]
    assert len(CellCounter((1, 1, 1)).table()) == 0


@pytest.mark.parametrize("labels", [np.zeros((2, 2), np.uint32), np.zeros((2, 2, 2)), np.zeros((2, 2, 2), int)])
def test_refuses(labels):
    with pytest.raises(ValueError, match="labels must be unsigned integers"):
        cell_table(labels)


def test_a_stack_without_voxels_has_no_cells() -> None:
    assert len(cell_table(np.zeros((0, 5, 5), np.uint32))) == 0
    assert cell_table(np.ones((1, 2, 2), ">u2")).voxels.tolist() == [4]
