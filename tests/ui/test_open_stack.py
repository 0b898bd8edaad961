"""The dock against a program made of fakes, and against the real one on small files."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from unittest.mock import MagicMock

import h5py
import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QMimeData, QUrl

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.format import DatasetInfo, FileInfo
from napari_scutoid.io.lazy import LazyArray
from napari_scutoid.ui import layers, memory_choice
from napari_scutoid.ui.open_stack import CHOOSE_FIRST, NOT_YET, OpenStackWidget
from napari_scutoid.ui.remembered import Opened, Remembered
from napari_scutoid.ui.session_start import _walls_of
from napari_scutoid.ui.stack_details import FROM_LAST_TIME
from napari_scutoid.volume import Labels, Source, Volume, VoxelSize

SHAPE = (6, 16, 20)
SIZE = VoxelSize(0.5, 0.25, 0.25)


@pytest.fixture
def core(program):
    def open_labels(path, dataset, **choice):
        program._note("labels", (path, dataset, choice))
        return Labels(np.ones(SHAPE, np.uint32), SIZE, source=Source(str(path), dataset))

    def open_volume(path, dataset, *, voxel_size_um=None, **choice):
        return program.open_volume(path, dataset, voxel_size_um=voxel_size_um, **choice)

    return dataclasses.replace(program.core(), open_volume=open_volume, open_labels=open_labels)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def make(qtbot, viewer, tmp_path, monkeypatch):
    monkeypatch.setattr(memory_choice, "free_memory", lambda: 2**30)

    def make(core):
        widget = OpenStackWidget(viewer, core, remembered=Remembered(tmp_path / "layouts.json"))
        qtbot.addWidget(widget)
        return widget

    return make


@pytest.fixture
def widget(make, core):
    return make(core)


def settle(qtbot, widget):
    qtbot.waitUntil(lambda: not widget.is_busy and not widget._errands.is_busy)


def choose(qtbot, widget, file="/stacks/gland.h5"):
    widget.choose_file(file)
    settle(qtbot, widget)


def listing(*datasets):
    return lambda path: FileInfo(str(path), "fake", datasets)


def test_at_first_a_file_is_asked_for(widget):
    assert widget.problem() == CHOOSE_FIRST
    assert not widget.open_button.isEnabled()
    assert widget.details.isHidden()


def test_a_file_is_listed_in_a_job_and_what_looks_right_is_chosen(widget, program, qtbot):
    choose(qtbot, widget)
    assert widget.value() == Opened(image="raw", labels="label")
    assert widget.problem() is None
    assert widget.open_button.isEnabled()
    assert widget.details.voxel_size.value() == SIZE
    assert widget.details.voxel_size.origin() == "From the file."
    assert len(program.threads) >= 1
    assert widget.details.sections.value().xz.shape == (6, 20)
    assert not any(widget.table.item(row, 0).icon().isNull() for row in (0, 1, 2))


def test_image_and_labels_arrive_side_by_side(widget, viewer, program, qtbot):
    choose(qtbot, widget)
    widget.open_button.click()
    settle(qtbot, widget)
    image, labels = viewer.layers
    assert (image.name, labels.name) == ("gland", "gland labels")
    for layer in (image, labels):
        assert tuple(layer.scale) == SIZE
        assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
        assert tuple(layer.axis_labels) == ("z", "y", "x")
    assert labels.data.dtype == np.uint32
    assert viewer.layers.selection.active is image
    assert widget.panel.status.text() == "Opened gland, gland labels. Next: Plugins > Scutoid > Correct."
    # The file's own size is left to the file.
    assert program.called("open")[-1][2]["voxel_size_um"] is None


def test_a_map_of_walls_that_was_saved_with_labels_is_known_as_one(make, core, viewer, qtbot):
    listed = listing(*(DatasetInfo(name, SHAPE, "ZYX", "uint8", SIZE, "other", "") for name in ("boundary", "label")))

    def open_volume(path, dataset, **choice):
        return Volume(np.zeros(SHAPE, np.uint8), SIZE, source=Source(str(path), dataset))

    widget = make(dataclasses.replace(core, inspect=listed, open_volume=open_volume))
    choose(qtbot, widget)
    for _ in range(2):
        widget.setValue(Opened(image="boundary", labels="label"))
        widget.open_button.click()
        settle(qtbot, widget)
    walls = next(layer for layer in viewer.layers if layer.name == "gland boundary")
    assert (layers.kind_of(walls), walls.visible) == ("probability", True)
    cells = viewer.layers["gland labels"]
    assert _walls_of(cells, [layer for layer in viewer.layers if layer is not cells]) is walls


def test_a_map_that_was_made_of_a_stack_is_not_taken_for_it(widget, viewer, qtbot):
    choose(qtbot, widget)
    widget.open_button.click()
    settle(qtbot, widget)
    stack = layers.volume_of(viewer.layers["gland"])
    made = stack.with_data(np.full(SHAPE, 0.5, np.float32), "predicted boundary")
    viewer.layers.remove("gland")
    walls = layers.add_probability(viewer, made, stack, "gland boundary")
    widget.open_button.click()
    settle(qtbot, widget)
    assert (walls.data == 0.5).all()
    assert layers.kind_of(viewer.layers["gland"]) == "image"


@pytest.mark.parametrize(
    "value",
    [
        Opened(image="raw"),
        Opened(labels="label", in_memory=False),
        Opened(image="two", channel=1, axes="ZCYX", voxel_size_um=(1.0, 2.0, 3.0)),
        Opened(image="raw", labels="label", axes="ZXY", in_memory=False),
    ],
)
def test_a_choice_comes_back(widget, qtbot, value):
    choose(qtbot, widget)
    widget.setValue(value)
    assert widget.value() == value
    settle(qtbot, widget)


def test_what_was_chosen_is_what_is_opened(widget, program, qtbot):
    choose(qtbot, widget)
    widget.setValue(Opened(image="two", channel=1, axes="CZXY", voxel_size_um=(1.0, 2.0, 3.0)))
    widget.start()
    settle(qtbot, widget)
    _path, dataset, choice = program.called("open")[-1]
    assert dataset == "two"
    assert choice == {"channel": 1, "time": None, "axes": "CZXY", "voxel_size_um": VoxelSize(1.0, 2.0, 3.0)}


def test_labels_get_the_axes_of_an_image_of_as_many(widget, program, qtbot):
    choose(qtbot, widget)
    widget.setValue(Opened(image="raw", labels="label", axes="ZXY"))
    widget.start()
    settle(qtbot, widget)
    assert program.called("labels")[-1][1:] == ("label", {"time": None, "axes": "ZXY"})


def test_the_next_file_of_the_kind_takes_one_click(widget, make, core, viewer, qtbot):
    choose(qtbot, widget)
    widget.setValue(Opened(image="raw", axes="ZXY", in_memory=False, voxel_size_um=(9.0, 8.0, 7.0)))
    widget.start()
    settle(qtbot, widget)
    another = make(core)
    choose(qtbot, another, "/stacks/other.h5")
    assert another.value() == Opened(image="raw", axes="ZXY", in_memory=False, voxel_size_um=(9.0, 8.0, 7.0))
    assert another.details.voxel_size.origin() == FROM_LAST_TIME
    assert "last time" in another.found.text()
    another.open_button.click()
    settle(qtbot, another)
    assert viewer.layers[-1].name == "other"


def test_a_large_stack_stays_in_its_file(widget, qtbot, monkeypatch):
    monkeypatch.setattr(memory_choice, "free_memory", lambda: 4000)
    choose(qtbot, widget)
    widget.setValue(Opened(image="raw", in_memory=True))
    assert not widget.value().in_memory
    widget.memory.read.click()
    assert widget.problem() is None
    widget.table.setValue(("raw", "label", None))
    widget._update()
    assert "free" in widget.problem()
    assert not widget.open_button.isEnabled()


def test_labels_of_another_size_are_refused(make, core, qtbot):
    sizes = (DatasetInfo("raw", SHAPE, "ZYX", "uint8", None, "image", ""),)
    sizes += (DatasetInfo("label", (6, 8, 10), "ZYX", "uint8", None, "labels", ""),)
    widget = make(dataclasses.replace(core, inspect=listing(*sizes)))
    choose(qtbot, widget)
    assert widget.value().labels is None
    widget.table.setValue(("raw", "label", None))
    assert "not of one size (6 × 16 × 20 and 6 × 8 × 10)" in widget.problem()


@pytest.mark.parametrize(
    ("shape", "axes", "word"), [((16, 20), "YX", "one picture"), ((3, 16, 20), "CYX", "colour picture")]
)
def test_pictures_are_refused(make, core, qtbot, shape, axes, word):
    widget = make(dataclasses.replace(core, inspect=listing(DatasetInfo("a", shape, axes, "u1", None, "image", ""))))
    choose(qtbot, widget)
    assert word in widget.problem()
    assert word in widget.panel.reason.text()


def test_an_empty_file_says_so(make, core, qtbot):
    widget = make(dataclasses.replace(core, inspect=listing()))
    choose(qtbot, widget)
    assert "no stack" in widget.problem()


def test_a_bad_file_is_told_once_and_the_next_one_works(widget, program, told, qtbot):
    program.fail_with = ScutoidError("gland.h5 could not be opened", "it is empty", "copy it again")
    choose(qtbot, widget)
    assert told == [str(program.fail_with)]
    assert widget.problem() == CHOOSE_FIRST
    program.fail_with = None
    choose(qtbot, widget)
    assert widget.problem() is None


def test_a_file_that_vanished_is_told_and_the_dock_usable(make, core, viewer, told, qtbot):
    def gone(path, dataset, **choice):
        raise ScutoidError(f"{path} could not be opened", "there is no such file", "check the path")

    widget = make(dataclasses.replace(core, open_volume=gone))
    choose(qtbot, widget)
    # That there are no pictures is no message of its own.
    assert told == []
    assert widget.details.sections.pictures["xy"].text() == "no picture"
    widget.start()
    settle(qtbot, widget)
    assert len(told) == 1
    assert "no such file" in widget.panel.status.text()
    assert not viewer.layers
    assert widget.open_button.isEnabled()


def test_nothing_is_opened_without_a_choice(widget, told, qtbot):
    choose(qtbot, widget)
    widget.setValue(Opened())
    assert widget.problem() == "Tick the image to open, or labels."
    widget.start()
    assert "Nothing was opened" in told[0]


def test_opening_again_renews_the_image_and_keeps_corrected_labels(widget, viewer, qtbot):
    choose(qtbot, widget)
    for _ in range(2):
        widget.start()
        settle(qtbot, widget)
    assert [layer.name for layer in viewer.layers] == ["gland", "gland labels", "gland labels [1]"]


def test_a_received_file_opens_only_where_nothing_is_to_be_chosen(widget, make, core, viewer, qtbot):
    widget.receive("/stacks/two_images.h5")
    settle(qtbot, widget)
    assert not viewer.layers
    assert widget.open_button.isEnabled() and widget.panel.status.text() == NOT_YET
    plain = DatasetInfo("raw", SHAPE, "ZYX", "uint16", SIZE, "image", "")
    widget = make(dataclasses.replace(core, inspect=listing(plain)))
    for name in ("a", "b", "c"):
        widget.receive(f"/stacks/{name}.h5")
    qtbot.waitUntil(lambda: len(viewer.layers) == 3)
    settle(qtbot, widget)
    assert [layer.name for layer in viewer.layers] == ["a", "b", "c"]


def test_a_received_picture_is_told_and_does_not_keep_others_waiting(make, core, viewer, told, qtbot):
    def inspect(path):
        is_stack = path.stem != "photo"
        shape, axes = (SHAPE, "ZYX") if is_stack else ((3, 16, 20), "CYX")
        return FileInfo(str(path), "fake", (DatasetInfo("raw", shape, axes, "uint16", None, "image", ""),))

    widget = make(dataclasses.replace(core, inspect=inspect))
    for name in ("a", "photo", "b"):
        widget.receive(f"/stacks/{name}.tif")
    qtbot.waitUntil(lambda: len(viewer.layers) == 2)
    settle(qtbot, widget)
    assert [layer.name for layer in viewer.layers] == ["a", "b"]
    assert len(told) == 1 and "photo.tif was not opened: “raw” is one colour picture" in told[0]
    assert "Open with Plugin" in told[0]
    choose(qtbot, widget, "/stacks/photo.tif")
    # A stack of the same layout was opened before, but nothing of this file is chosen.
    assert "last time" not in widget.found.text() and len(told) == 1


def test_a_dropped_file_is_listed(widget, qtbot, tmp_path):
    data, event = QMimeData(), MagicMock()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "gland.h5"))])
    event.mimeData.return_value = data
    widget.dragEnterEvent(event)
    event.acceptProposedAction.assert_called_once()
    widget.dropEvent(event)
    settle(qtbot, widget)
    assert widget.file.value() == tmp_path / "gland.h5"
    event = MagicMock()
    data.setUrls([QUrl("https://example.org/gland.h5")])
    event.mimeData.return_value = data
    widget.dragEnterEvent(event)
    event.acceptProposedAction.assert_not_called()


def test_a_pasted_path_is_listed_once(widget, program, qtbot):
    widget.file.path.setText('"/stacks/gland.h5"')
    widget.file.path.editingFinished.emit()
    settle(qtbot, widget)
    widget.file.path.editingFinished.emit()
    settle(qtbot, widget)
    assert len(program.called("inspect")) == 1


def test_the_dock_is_forgotten(viewer, core, tmp_path, qtbot):
    widget = OpenStackWidget(viewer, core, remembered=Remembered(tmp_path / "layouts.json"))
    choose(qtbot, widget)
    gone = weakref.ref(widget)
    widget.deleteLater()
    del widget
    qtbot.wait(10)
    gc.collect()
    assert gone() is None


@pytest.fixture
def packed(tmp_path):
    file = tmp_path / "packed.h5"
    with h5py.File(file, "w") as root:
        data = np.random.default_rng(0).integers(0, 4000, (9, 24, 40), np.uint16)
        root.create_dataset("raw", data=data, chunks=(4, 16, 16), compression="gzip")
        root.create_dataset("label", data=np.repeat(np.arange(9, dtype=np.uint8), 960).reshape(9, 24, 40))
    return file


def test_after_an_image_alone_comes_segment(widget, qtbot):
    choose(qtbot, widget)
    widget.setValue(Opened(image="raw"))
    widget.start()
    settle(qtbot, widget)
    assert widget.panel.status.text() == "Opened gland. Next: Plugins > Scutoid > Segment."


def test_a_packed_file_is_shown_from_a_local_copy(make, viewer, packed, qtbot, tmp_path, monkeypatch):
    copies = tmp_path / "copies"
    monkeypatch.setattr("napari_scutoid.io.local_copy.copies_dir", lambda: copies)
    widget = make(None)
    choose(qtbot, widget, packed)
    assert widget.details.voxel_size.value() is None
    widget.setValue(Opened(image="raw", labels="label", in_memory=False, voxel_size_um=(1.0, 0.5, 0.5)))
    widget.start()
    settle(qtbot, widget)
    image, labels = viewer.layers
    assert isinstance(image.data, LazyArray)
    assert not image.data.is_locked_while_read
    with h5py.File(packed) as root:
        np.testing.assert_array_equal(image.data[...], root["raw"][()])
        np.testing.assert_array_equal(labels.data, root["label"][()])
    assert tuple(image.scale) == tuple(labels.scale) == (1.0, 0.5, 0.5)
    assert len(list(copies.iterdir())) == 1
    widget.memory.read.click()
    widget.start()
    settle(qtbot, widget)
    assert isinstance(image.data, np.ndarray)
