from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_scutoid.io.format import DatasetInfo, FileInfo
from napari_scutoid.ui.dataset_choice import (
    extent,
    guess,
    is_plain,
    layout_of,
    lies_over,
    nbytes,
    size_problem,
    stack_problem,
    tissue_of,
)
from napari_scutoid.ui.dataset_table import IMAGE, LABELS, NAME, PICTURE, WALLS, DatasetTable
from napari_scutoid.volume import VoxelSize


def dataset(name, shape=(6, 16, 20), axes="ZYX", dtype="uint16", kind="image", stated=True, size=None, **more):
    return DatasetInfo(name, shape, axes, dtype, size, kind, "because", stated, **more)


def walls(shape=(3, 5, 7), size=None, name="boundary"):
    return dataset(name, shape, dtype="uint8", kind="other", size=size, full_scale=255)


RAW, CELLS = dataset("raw"), dataset("group/cells", kind="labels")
FLAT = dataset("flat", (16, 20), "YX")


def info(*datasets):
    return FileInfo("a.h5", "HDF5", datasets)


@pytest.fixture
def table(qtbot):
    table = DatasetTable()
    qtbot.addWidget(table)
    table.setDatasets((RAW, CELLS, FLAT, walls()))
    return table


def tick(table, row, column):
    item = table.item(row, column)
    checked = item.checkState() == Qt.CheckState.Checked
    item.setCheckState(Qt.CheckState.Unchecked if checked else Qt.CheckState.Checked)


@pytest.mark.parametrize(
    "value",
    [("raw", "group/cells", "boundary"), ("raw", None, None), (None, "group/cells", None), (None, None, "boundary")],
)
def test_a_choice_comes_back_and_is_silent(table, value, qtbot):
    with qtbot.assertNotEmitted(table.valueChanged):
        table.setValue(value)
    assert table.value() == value


def test_names_that_are_not_there_or_no_stacks_are_not_chosen(table):
    table.setValue(("flat", "nothing", "raw"))
    assert table.value() == (None, None, None)


def test_a_tick_takes_the_place_of_another(table, qtbot):
    table.setValue(("raw", "group/cells", None))
    with qtbot.waitSignal(table.valueChanged):
        tick(table, 1, IMAGE)
    assert table.value() == ("group/cells", None, None)
    tick(table, 1, IMAGE)
    assert table.value() == (None, None, None)
    tick(table, 0, LABELS)
    assert table.value() == (None, "raw", None)
    tick(table, 3, WALLS)
    assert table.value() == (None, "raw", "boundary")
    tick(table, 3, IMAGE)
    assert table.value() == ("boundary", "raw", None)


def test_rows_tell_shape_axes_type_guess_and_why(table):
    assert table.item(1, NAME).text() == "cells\n6 × 16 × 20  (zyx)"
    assert table.item(1, NAME + 1).text() == "labels\nuint16"
    assert table.item(3, NAME + 1).text() == "map\nuint8"
    assert "because" in table.item(1, NAME).toolTip()
    assert "one picture" in table.item(2, NAME).toolTip()
    boxes = [(row, column) for row in range(4) for column in (IMAGE, LABELS, WALLS)]
    tickable = [box for box in boxes if table.item(*box).flags() & Qt.ItemFlag.ItemIsUserCheckable]
    assert tickable == [(0, IMAGE), (0, LABELS), (1, IMAGE), (1, LABELS), (3, IMAGE), (3, LABELS), (3, WALLS)]


def test_a_picture_is_no_edit(table, qtbot):
    with qtbot.assertNotEmitted(table.valueChanged):
        table.setPicture("group/cells", np.zeros((7, 5), np.uint8))
    assert not table.item(1, PICTURE).icon().isNull()
    assert table.item(0, PICTURE).icon().isNull()


def test_another_file_forgets_the_choice(table):
    table.setValue(("raw", None, None))
    table.setDatasets((dataset("raw"),))
    assert table.value() == (None, None, None)
    assert table.rowCount() == 1


@pytest.mark.parametrize(
    ("one", "word"),
    [
        (FLAT, "one picture"),
        (dataset("rgb", (3, 16, 20), "CYX"), "colour picture"),
        (dataset("much", (2,) * 6, "QTCZYX"), "too many axes"),
        (dataset("wave", dtype="complex64"), "complex"),
        (RAW, None),
        (dataset("film", (5, 16, 20), "TYX"), None),
    ],
)
def test_what_is_no_stack_says_why(one, word):
    problem = stack_problem(one)
    assert problem is None if word is None else word in problem


def test_the_image_and_its_labels_are_guessed():
    small = dataset("small", (3, 4, 4), kind="labels")
    opened = guess(info(FLAT, small, CELLS, RAW))
    assert (opened.image, opened.labels) == ("raw", "group/cells")
    opened = guess(info(FLAT, CELLS))
    assert (opened.image, opened.labels) == (None, "group/cells")


def test_the_map_of_walls_that_was_saved_with_the_labels_is_guessed():
    assert guess(info(walls(), CELLS)).walls == "boundary"
    assert guess(info(RAW, CELLS, walls(name="maps/boundary"))).walls == "maps/boundary"
    # No labels that it would help to correct, no probabilities, or another piece of the world.
    assert guess(info(RAW, walls())).walls is None
    assert guess(info(CELLS, dataset("boundary", kind="other"))).walls is None
    cells = dataset("label", kind="labels", size=VoxelSize(1, 1, 1))
    assert guess(info(cells, walls(size=VoxelSize(1, 1, 1)))).walls is None


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        (VoxelSize(6 / 3, 16 / 5, 20 / 7), True),
        (VoxelSize(2, 3, 3), True),  # 15 and 21 of 16 and 20: as close as whole voxels allow
        (VoxelSize(2, 3, 2), False),
        (VoxelSize(4, 6, 6), False),
        (None, True),
    ],
)
def test_a_map_lies_over_what_has_the_same_extent(size, fits):
    cells = dataset("label", kind="labels", size=VoxelSize(1, 1, 1))
    assert lies_over(walls(size=size), cells) is fits
    problem = size_problem(None, cells, walls(size=size), lambda one: one.axes)
    assert problem is None if fits else "walls do not cover the same space as the labels" in problem
    assert lies_over(walls(size=size), CELLS)  # whose voxel size nobody knows


def test_only_walls_may_have_voxels_of_their_own():
    def told(*chosen):
        return size_problem(*chosen, lambda one: one.axes)

    assert told(RAW, CELLS, walls()) is None
    assert "tick it under Walls" in told(walls(), CELLS, None)
    assert "not of one size (3 × 5 × 7 and 6 × 16 × 20)" in told(dataset("raw", (3, 5, 7)), CELLS, walls())


def test_the_tissue_that_was_saved_with_walls_is_found_by_its_name_and_shape():
    tissue = walls(name="foreground")
    assert tissue_of(walls(), (RAW, walls(), tissue)) is tissue
    assert tissue_of(walls((3, 5, 8)), (RAW, tissue)) is None


@pytest.mark.parametrize(
    ("datasets", "plain"),
    [
        ((RAW,), True),
        ((RAW, CELLS), True),
        ((RAW, CELLS, dataset("lumen", kind="mask")), True),
        ((RAW, CELLS, walls()), True),
        ((RAW, dataset("other")), False),
        ((RAW, dataset("small", (3, 4, 4), kind="labels")), False),
        ((CELLS,), False),
        ((FLAT,), False),
        ((dataset("film", (2, 6, 16, 20), "TZYX"),), False),
        ((dataset("turned", (100, 90, 8), stated=False),), False),
    ],
)
def test_only_what_leaves_no_choice_is_plain(datasets, plain):
    assert is_plain(info(*datasets)) is plain


def test_sizes_follow_the_axes():
    film = dataset("film", (2, 6, 16, 20), "TZYX")
    assert extent(film, "TZYX") == (6, 16, 20)
    assert extent(film, "ZTXY") == (2, 20, 16)
    assert nbytes(film, "TZYX") == 6 * 16 * 20 * 2
    assert nbytes(dataset("p", full_scale=255, dtype="uint8"), "ZYX") == 6 * 16 * 20 * 4
    assert layout_of(info(film)).datasets == (("film", 4),)
