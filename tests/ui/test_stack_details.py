from __future__ import annotations

import numpy as np
import pytest

from napari_scutoid.io.format import DatasetInfo
from napari_scutoid.io.preview import Sections
from napari_scutoid.ui.axes_edit import AxesEdit
from napari_scutoid.ui.memory_choice import MemoryChoice, in_words
from napari_scutoid.ui.remembered import Opened
from napari_scutoid.ui.sections_view import SIDE, SectionsView
from napari_scutoid.ui.stack_details import FROM_LAST_TIME, StackDetails
from napari_scutoid.volume import VoxelSize

SIZE = VoxelSize(2.0, 0.5, 0.25)


def dataset(shape, axes, *, size=SIZE, stated=True):
    return DatasetInfo("raw", shape, axes, "uint8", size, "image", "because", stated)


@pytest.fixture
def axes(qtbot):
    widget = AxesEdit()
    qtbot.addWidget(widget)
    return widget


@pytest.mark.parametrize(("value", "shape"), [("ZYX", (3, 4, 5)), ("XZY", (3, 4, 5)), ("TCZYX", (1, 2, 3, 4, 5))])
def test_axes_come_back_and_are_silent(axes, qtbot, value, shape):
    with qtbot.assertNotEmitted(axes.valueChanged):
        axes.setValue(value, shape)
    assert axes.value() == value
    assert [box.currentText()[0].upper() for box in axes.boxes] == list(value)


def test_choosing_a_name_swaps_it(axes, qtbot):
    axes.setValue("ZYX", (3, 4, 5))
    with qtbot.waitSignal(axes.valueChanged):
        axes.boxes[0].setCurrentText("x")
    assert axes.value() == "XYZ"


def test_a_fourth_axis_may_be_time_or_channel_but_y_and_x_stay(axes, qtbot):
    axes.setValue("TZYX", (2, 3, 4, 5))
    axes.boxes[0].setCurrentText("channel")
    assert axes.value() == "CZYX"
    with qtbot.assertNotEmitted(axes.valueChanged):
        axes.boxes[3].setCurrentText("time")
    assert axes.value() == "CZYX"
    axes.boxes[0].setCurrentText("z")
    assert axes.value() == "ZCYX"


@pytest.fixture
def details(qtbot):
    widget = StackDetails()
    qtbot.addWidget(widget)
    return widget


@pytest.mark.parametrize(
    "value",
    [
        Opened(),
        Opened(axes="ZTYX", time=2),
        Opened(time=1, voxel_size_um=(1.0, 0.3, 0.3)),
        Opened(axes="CZXY", channel=1),
    ],
)
def test_details_come_back(details, value):
    details.setDataset(dataset((2, 3, 4, 5), "TZYX"))
    details.setValue(value)
    assert details.value() == value
    details.setDataset(dataset((2, 3, 4, 5), "TZYX"))
    assert details.value() == Opened()


def test_what_does_not_fit_is_not_taken_over(details):
    details.setDataset(dataset((3, 4, 5), "ZYX"))
    details.setValue(Opened(axes="TZYX", channel=7, time=9))
    assert details.value() == Opened()
    details.setValue(Opened(axes="ZZX"))
    assert details.value() == Opened()


def test_the_voxel_size_follows_the_axes(details):
    details.setDataset(dataset((3, 4, 5), "ZYX"))
    assert details.voxel_size.value() == SIZE
    details.axes.boxes[1].setCurrentText("x")
    assert details.voxel_size.value() == VoxelSize(2.0, 0.25, 0.5)
    details.axes.boxes[0].setCurrentText("y")
    assert details.voxel_size.value() is None
    assert "Unknown" in details.voxel_size.origin()


def test_a_remembered_voxel_size_says_where_it_is_from(details):
    details.setDataset(dataset((3, 4, 5), "ZYX", size=None))
    details.setValue(Opened(voxel_size_um=SIZE))
    assert details.voxel_size.value() == SIZE
    assert details.voxel_size.origin() == FROM_LAST_TIME


def test_a_likely_order_is_offered(details):
    details.setDataset(dataset((90, 80, 7), "ZYX", stated=False))
    assert not details.hint.isHidden()
    assert "x, y, z" in details.hint.text()
    details.hint.click()
    assert details.value().axes == "XYZ"
    details.setDataset(dataset((7, 80, 90), "ZYX"))
    assert details.hint.isHidden()


def test_boxes_are_there_for_axes_that_are(details, qtbot):
    details.setDataset(dataset((2, 3, 4, 5), "CZYX"))
    assert (details.channel.isHidden(), details.time.isHidden()) == (False, True)
    assert details.channel.maximum() == 1
    with qtbot.waitSignals([details.viewChanged, details.valueChanged]):
        details.channel.setValue(1)


def test_without_z_there_is_no_stack(details):
    details.setDataset(dataset((2, 3, 4), "TYX"))
    assert "z" in details.problem()
    details.setDataset(None)
    assert details.isHidden()


def test_sections_have_the_proportions_of_the_voxels(qtbot):
    view = SectionsView()
    qtbot.addWidget(view)
    view.setVoxelSize(VoxelSize(2.0, 1.0, 1.0))
    made = Sections(np.zeros((40, 40), np.uint8), np.zeros((10, 40), np.uint8), None)
    view.setValue(made, (10, 40, 40))
    assert view.value() is made
    sizes = {name: picture.pixmap().size() for name, picture in view.pictures.items() if not picture.pixmap().isNull()}
    assert (sizes["xy"].width(), sizes["xy"].height()) == (SIDE, SIDE)
    assert (sizes["xz"].width(), sizes["xz"].height()) == (SIDE, SIDE // 2)
    assert view.pictures["yz"].text() == "no picture"
    view.setValue(None, reason="…")
    assert view.pictures["xy"].text() == "…"


def test_memory_is_counted_before_it_is_taken(qtbot):
    memory = MemoryChoice()
    qtbot.addWidget(memory)
    memory.setNeeds(6 * 2**30, 2**30, 8 * 2**30)
    assert memory.value()
    assert not memory.is_sensible()
    assert memory.problem() is None
    assert memory.note.text() == "Takes 6.0 GB image + 1.0 GB labels of memory; free: 8.0 GB."
    memory.setNeeds(6 * 2**30, 3 * 2**30, 8 * 2**30)
    assert "leave the stack in its file" in memory.problem()
    with qtbot.waitSignal(memory.valueChanged):
        memory.leave.click()
    assert memory.problem() is None
    assert memory.note.text() == "Takes 3.0 GB labels of memory; free: 8.0 GB."
    with qtbot.assertNotEmitted(memory.valueChanged):
        memory.setValue(True)
    assert memory.value()


@pytest.mark.parametrize(("size", "words"), [(5, "5 bytes"), (2048, "2.0 kB"), (3 * 2**19, "1.5 MB")])
def test_sizes_in_words(size, words):
    assert in_words(size) == words
