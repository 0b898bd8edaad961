from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_scutoid.io.format import DatasetInfo, FileInfo
from napari_scutoid.ui.dataset_choice import extent, guess, is_plain, layout_of, nbytes, stack_problem
from napari_scutoid.ui.dataset_table import IMAGE, LABELS, NAME, PICTURE, DatasetTable


def dataset(name, shape=(6, 16, 20), axes="ZYX", dtype="uint16", kind="image", stated=True, **more):
    return DatasetInfo(name, shape, axes, dtype, None, kind, "because", stated, **more)


RAW, CELLS = dataset("raw"), dataset("group/cells", kind="labels")
FLAT = dataset("flat", (16, 20), "YX")


def info(*datasets):
    return FileInfo("a.h5", "HDF5", datasets)


@pytest.fixture
def table(qtbot):
    table = DatasetTable()
    qtbot.addWidget(table)
    table.setDatasets((RAW, CELLS, FLAT))
    return table


def tick(table, row, column):
    item = table.item(row, column)
    checked = item.checkState() == Qt.CheckState.Checked
    item.setCheckState(Qt.CheckState.Unchecked if checked else Qt.CheckState.Checked)


@pytest.mark.parametrize("value", [("raw", "group/cells"), ("raw", None), (None, "group/cells"), (None, None)])
def test_a_choice_comes_back_and_is_silent(table, value, qtbot):
    with qtbot.assertNotEmitted(table.valueChanged):
        table.setValue(value)
    assert table.value() == value


def test_names_that_are_not_there_or_no_stacks_are_not_chosen(table):
    table.setValue(("flat", "nothing"))
    assert table.value() == (None, None)


def test_a_tick_takes_the_place_of_another(table, qtbot):
    table.setValue(("raw", "group/cells"))
    with qtbot.waitSignal(table.valueChanged):
        tick(table, 1, IMAGE)
    assert table.value() == ("group/cells", None)
    tick(table, 1, IMAGE)
    assert table.value() == (None, None)
    tick(table, 0, LABELS)
    assert table.value() == (None, "raw")


def test_rows_tell_shape_axes_type_guess_and_why(table):
    assert table.item(1, NAME).text() == "cells\n6 × 16 × 20  (zyx)"
    assert table.item(1, NAME + 1).text() == "labels\nuint16"
    assert "because" in table.item(1, NAME).toolTip()
    assert "one picture" in table.item(2, NAME).toolTip()
    assert not table.item(2, IMAGE).flags() & Qt.ItemFlag.ItemIsUserCheckable


def test_a_picture_is_no_edit(table, qtbot):
    with qtbot.assertNotEmitted(table.valueChanged):
        table.setPicture("group/cells", np.zeros((7, 5), np.uint8))
    assert not table.item(1, PICTURE).icon().isNull()
    assert table.item(0, PICTURE).icon().isNull()


def test_another_file_forgets_the_choice(table):
    table.setValue(("raw", None))
    table.setDatasets((dataset("raw"),))
    assert table.value() == (None, None)
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


@pytest.mark.parametrize(
    ("datasets", "plain"),
    [
        ((RAW,), True),
        ((RAW, CELLS), True),
        ((RAW, CELLS, dataset("lumen", kind="mask")), True),
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
