from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.format import DatasetInfo, FileInfo
from napari_scutoid.ui.segment import SegmentWidget
from napari_scutoid.volume import VoxelSize

FILE = Path("/stacks/gland 1.h5")


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def widget(qtbot, viewer, program):
    made = SegmentWidget(viewer, program.core())
    qtbot.addWidget(made)
    return made


def open_file(qtbot, widget, path=FILE):
    widget.choose_file(path)
    wait_until_idle(qtbot, widget)


def wait_until_idle(qtbot, widget):
    qtbot.waitUntil(lambda: not widget.is_busy)


def segment(qtbot, widget):
    # The file is read in one job, and segmented in a second one that follows at once.
    widget.segment_button.click()
    wait_until_idle(qtbot, widget)


def test_an_empty_widget_says_what_to_do_first(widget):
    assert not widget.segment_button.isEnabled()
    assert "Choose a file first" in widget.reason.text()
    assert not widget.save_button.isEnabled()
    assert not widget.cancel_button.isEnabled()


def test_a_file_is_listed_with_the_image_preselected(qtbot, widget, program):
    open_file(qtbot, widget)
    entries = [widget.picker.entries.itemText(i) for i in range(widget.picker.entries.count())]
    assert entries[0].split("   ") == ["label", "labels", "6 × 16 × 20", "uint16"]
    assert widget.picker.entries.currentText().startswith("raw")
    assert widget.voxel_size.value() == program.voxel_size
    assert widget.voxel_size.origin() == "From the file."
    assert widget.segment_button.isEnabled()
    assert widget.reason.text() == ""


def test_segmenting_shows_image_maps_and_cells_over_each_other(qtbot, widget, viewer, program):
    open_file(qtbot, widget)
    segment(qtbot, widget)
    assert [layer.name for layer in viewer.layers] == [
        "gland 1",
        "gland 1 foreground",
        "gland 1 boundary",
        "gland 1 cells",
    ]
    image, foreground, _, cells = viewer.layers
    assert image.visible and cells.visible and not foreground.visible
    for layer in (image, cells):
        assert tuple(layer.scale) == program.voxel_size
        assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
    np.testing.assert_allclose(foreground.extent.world, image.extent.world, atol=0.5)
    assert viewer.dims.current_step[0] in (2, 3)
    assert "Found 2 cells" in widget.status.text()
    assert "The voxel size is odd." in widget.status.text()
    assert widget.save_button.isEnabled()
    # The file's own voxel size is not handed over as if it had been typed.
    assert program.called("open") == [(FILE, "raw", {"channel": None, "time": None, "voxel_size_um": None})]


def test_a_given_diameter_reaches_the_program_and_the_estimate_the_user(qtbot, widget, program):
    open_file(qtbot, widget)
    segment(qtbot, widget)
    assert "Estimated cell diameter: 16.0 voxels." in widget.status.text()
    widget.cell_diameter.setValue(20.0)
    segment(qtbot, widget)
    first, second = (recipe for _, recipe in program.called("run"))
    assert (first.rescale.cell_diameter, second.rescale.cell_diameter) == (None, 20.0)


def test_nothing_of_the_program_runs_in_the_gui_thread(qtbot, widget, program):
    import threading

    open_file(qtbot, widget)
    segment(qtbot, widget)
    widget.save_labels("out.h5")
    wait_until_idle(qtbot, widget)
    assert {name for name, _ in program.calls} == {"inspect", "open", "run", "save"}
    assert threading.get_ident() not in program.threads


def test_an_edited_voxel_size_reaches_the_program_and_the_layers(qtbot, widget, viewer, program):
    program.voxel_size = None
    open_file(qtbot, widget)
    assert widget.voxel_size.origin().startswith("Unknown: distances are in voxels")
    boxes = widget.voxel_size._edges
    boxes[0].setValue(0.3)
    assert not widget.segment_button.isEnabled()
    assert "along y, x" in widget.reason.text()
    boxes[1].setValue(0.1)
    boxes[2].setValue(0.16235)
    assert widget.voxel_size.origin() == "Entered by you."
    segment(qtbot, widget)
    assert program.called("open")[0][2]["voxel_size_um"] == VoxelSize(0.3, 0.1, 0.16235)
    assert tuple(viewer.layers[0].scale) == (0.3, 0.1, 0.16235)


def test_an_unknown_voxel_size_stays_unknown(qtbot, widget, viewer, program):
    program.voxel_size = None
    open_file(qtbot, widget)
    segment(qtbot, widget)
    assert program.called("run")[0][0].voxel_size_um is None
    assert {str(unit) for layer in viewer.layers for unit in layer.units} == {"pixel"}
    np.testing.assert_allclose(viewer.layers[1].scale, (2, 2, 2))
    np.testing.assert_allclose(viewer.layers[1].translate, (0.5, 0.5, 0.5))


def test_a_known_voxel_size_can_be_declared_unknown(qtbot, widget, program):
    open_file(qtbot, widget)
    for box in widget.voxel_size._edges:
        box.setValue(0)
    segment(qtbot, widget)
    assert program.called("run")[0][0].voxel_size_um is None


def test_a_file_opened_again_is_read_again(qtbot, widget, program):
    open_file(qtbot, widget)
    program.voxel_size = VoxelSize(3.0, 2.0, 2.0)
    open_file(qtbot, widget)
    assert widget.voxel_size.value() == (3.0, 2.0, 2.0)


def test_a_long_path_does_not_widen_the_dock(qtbot, widget, program):
    width = widget.minimumSizeHint().width()
    folder = "/data/" + "/".join(["a_rather_long_folder_name"] * 8)
    program.fail_with = ScutoidError(f"{folder} could not be opened", "it is empty", "copy it again")
    open_file(qtbot, widget, f"{folder}/x.h5")
    assert folder in widget.status.text()
    assert widget.minimumSizeHint().width() == width


def test_what_is_no_stack_cannot_be_run_and_says_why(qtbot, widget):
    open_file(qtbot, widget)
    widget.picker.entries.setCurrentIndex(2)
    assert not widget.segment_button.isEnabled()
    assert "“flat” is no stack (16 × 20)" in widget.reason.text()
    widget.picker.entries.setCurrentIndex(0)
    assert widget.segment_button.isEnabled()
    assert widget.picker.detail.text() == "Looks like labels, not like an image of membranes: few whole numbers."


def test_a_file_with_channels_asks_which(qtbot, widget, program):
    open_file(qtbot, widget)
    assert widget.picker.channel.isHidden()
    widget.picker.entries.setCurrentIndex(3)
    assert not widget.picker.channel.isHidden() and widget.picker.time.isHidden()
    assert widget.picker.channel.maximum() == 1
    widget.picker.channel.setValue(1)
    segment(qtbot, widget)
    assert program.called("open")[0][2]["channel"] == 1
    widget.picker.channel.setValue(0)
    segment(qtbot, widget)
    shown = [layer.name for layer in widget._viewer.layers]
    assert [name for name in shown if name[-1].isdigit()] == ["gland 1 channel 1", "gland 1 channel 0"]


def test_an_image_in_the_viewer_can_be_segmented_without_a_file(qtbot, widget, viewer, program):
    layer = viewer.add_image(np.random.default_rng(0).random((6, 16, 20)), name="embryo", scale=(2, 0.5, 0.5))
    assert widget.picker.entries.currentText().startswith("in the viewer: embryo")
    assert "states no unit" in widget.voxel_size.origin()
    segment(qtbot, widget)
    assert not program.called("open")
    volume = program.called("run")[0][0]
    assert volume.data is layer.data
    assert volume.voxel_size_um == (2, 0.5, 0.5)
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
    assert viewer.layers[-1].name == "embryo cells"
    np.testing.assert_allclose(viewer.layers[-1].extent.world, layer.extent.world)


def test_layers_come_and_go_from_the_list(widget, viewer):
    viewer.add_image(np.zeros((4, 5, 6)), name="one")
    viewer.add_image(np.zeros((4, 5, 6)), name="two")
    viewer.layers["two"].name = "three"
    texts = [widget.picker.entries.itemText(i) for i in range(widget.picker.entries.count())]
    assert [text.split("   ")[0] for text in texts] == ["in the viewer: one", "in the viewer: three"]
    viewer.layers.clear()
    assert widget.picker.value() is None
    assert not widget.segment_button.isEnabled()


def test_cancel_stops_within_a_report_and_leaves_the_widget_usable(qtbot, widget, viewer, program):
    program.hold = True
    open_file(qtbot, widget)
    widget.segment_button.click()
    qtbot.waitUntil(program.running.is_set)
    assert not widget.segment_button.isEnabled()
    assert widget.cancel_button.isEnabled()
    qtbot.waitUntil(lambda: "Predicting: " in widget.status.text())
    assert (widget.bar.minimum(), widget.bar.maximum()) == (0, 3)
    widget.cancel_button.click()
    assert widget.status.text() == "Stopping…"
    assert not widget.cancel_button.isEnabled()
    wait_until_idle(qtbot, widget)
    assert program.closed.is_set()
    assert widget.status.text() == "Cancelled."
    assert [layer.name for layer in viewer.layers] == ["gland 1"]
    program.hold = False
    segment(qtbot, widget)
    assert "Found 2 cells" in widget.status.text()


def test_a_second_job_is_refused_with_the_reason(qtbot, widget, program, told):
    program.hold = True
    open_file(qtbot, widget)
    widget.segment_button.click()
    qtbot.waitUntil(program.running.is_set)
    widget.choose_file("/stacks/other.h5")
    assert told == [
        "Opening the file was not started: segmenting is still running. What to try: wait for it, or press Cancel."
    ]
    widget.cancel()
    wait_until_idle(qtbot, widget)


def test_an_expected_problem_is_one_notification_and_stays_readable(qtbot, widget, program, told):
    program.fail_with = ScutoidError("“x.h5” could not be opened", "it is empty", "copy it again")
    open_file(qtbot, widget)
    text = "“x.h5” could not be opened: it is empty. What to try: copy it again."
    assert told == [text]
    assert widget.status.text() == f"⚠ {text}"
    program.fail_with = None
    open_file(qtbot, widget)
    assert widget.segment_button.isEnabled()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError("Unable to allocate 9 GiB"), "too little memory"),
        (PermissionError(13, "Permission denied", "x.h5"), "could not be read or written"),
        (RuntimeError("a bug in torch"), "made a mistake (RuntimeError: a bug in torch)"),
    ],
)
def test_any_error_is_told_once_and_the_widget_stays_usable(qtbot, widget, program, told, error, words):
    open_file(qtbot, widget)
    program.fail_with = error
    segment(qtbot, widget)
    assert len(told) == 1
    assert words in widget.status.text()
    assert "What to try" in widget.status.text()
    program.fail_with = None
    segment(qtbot, widget)
    assert "Found 2 cells" in widget.status.text()


def test_a_second_result_hides_the_first_and_keeps_it(qtbot, widget, viewer):
    open_file(qtbot, widget)
    segment(qtbot, widget)
    segment(qtbot, widget)
    cells = [layer for layer in viewer.layers if "cells" in layer.name]
    assert [layer.visible for layer in cells] == [False, True]
    assert sum(layer.name == "gland 1" for layer in viewer.layers) == 1


def test_a_stack_that_may_lie_on_its_side_is_told(qtbot, viewer, program, monkeypatch):
    thin = DatasetInfo("raw", (1, 128, 128, 58), "CZYX", "uint8", None, "image", "by its name", False)
    monkeypatch.setattr(program, "inspect", lambda path: FileInfo(str(path), "HDF5", (thin,)))
    widget = SegmentWidget(viewer, program.core())
    qtbot.addWidget(widget)
    open_file(qtbot, widget)
    assert widget.picker.detail.text().endswith("If its last axis is z, turn it first: scutoid convert --axes CXYZ.")


@pytest.mark.parametrize(
    ("typed", "chosen", "written"),
    [
        ("mine", "TIFF (*.tif *.tiff)", "mine.tif"),
        ("mine", "OME-Zarr (*.zarr)", "mine.zarr"),
        ("mine.mat", "TIFF (*.tif *.tiff)", "mine.mat"),
        ("gland 2.1", "MATLAB 7.3 (*.mat)", "gland 2.1.mat"),
        ("gland 2.1", "", "gland 2.1.h5"),
    ],
)
def test_the_dialog_offers_every_format(qtbot, widget, program, monkeypatch, tmp_path, typed, chosen, written):
    open_file(qtbot, widget)
    segment(qtbot, widget)
    offered = []

    def choose(_parent, _title, _start, filters):
        offered.extend(filters.split(";;"))
        return str(tmp_path / typed), chosen

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    widget.save_button.click()
    wait_until_idle(qtbot, widget)
    assert chosen in [*offered, ""]
    assert len(offered) == 4
    assert program.called("save")[0][0] == tmp_path / written


def test_a_file_that_the_dialog_did_not_ask_about_is_not_replaced(qtbot, widget, program, monkeypatch, tmp_path):
    open_file(qtbot, widget)
    segment(qtbot, widget)
    (tmp_path / "mine.h5").touch()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine"), ""))
    widget.save_button.click()
    wait_until_idle(qtbot, widget)
    assert not program.called("save")
    assert "mine.h5 is there already" in widget.status.text()


def test_labels_are_saved_as_corrected_in_the_viewer(qtbot, widget, viewer, program, monkeypatch, tmp_path):
    open_file(qtbot, widget)
    segment(qtbot, widget)
    viewer.layers[-1].data[0, 0, 0] = 9
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine"), ""))
    widget.save_button.click()
    wait_until_idle(qtbot, widget)
    [(path, labels, probabilities, provenance)] = program.called("save")
    assert path == tmp_path / "mine.h5"
    assert labels.data[0, 0, 0] == 9
    assert labels.voxel_size_um == program.voxel_size
    assert set(probabilities) == {"foreground", "boundary"}
    assert provenance == {"warnings": ["The voxel size is odd."]}
    assert "Saved" in widget.status.text()
    viewer.layers[-1].data[0, 0, 0] = 10
    assert labels.data[0, 0, 0] == 9


def test_probability_maps_can_be_left_out_of_the_file(qtbot, widget, program):
    open_file(qtbot, widget)
    segment(qtbot, widget)
    widget.with_probabilities.setChecked(False)
    widget.save_labels("out.h5")
    wait_until_idle(qtbot, widget)
    assert program.called("save")[0][2] == {}


def test_labels_never_replace_their_stack(qtbot, widget, program, told):
    open_file(qtbot, widget)
    segment(qtbot, widget)
    widget.save_labels(FILE)
    assert not program.called("save")
    assert "choose another name" in told[0]


def test_removing_the_cells_leaves_nothing_to_save(qtbot, widget, viewer):
    open_file(qtbot, widget)
    segment(qtbot, widget)
    viewer.layers.remove(viewer.layers[-1])
    assert not widget.save_button.isEnabled()
    assert widget.save_reason.text() == "Nothing to save yet."


def test_a_file_that_cannot_be_opened_does_not_show_the_content_of_the_one_before(qtbot, widget, program):
    open_file(qtbot, widget)
    program.fail_with = ScutoidError("“x.h5” could not be opened", "it is empty", "copy it again")
    open_file(qtbot, widget, "/stacks/x.h5")
    assert widget.picker.path.text() == str(Path("/stacks/x.h5"))
    assert widget.picker.entries.count() == 0
    assert not widget.segment_button.isEnabled()
    assert "could not be opened" in widget.status.text()
    program.fail_with = None
    qtbot.keyClick(widget.picker.path, "\r")
    wait_until_idle(qtbot, widget)
    assert widget.picker.entries.count() == 4
    assert len(program.called("inspect")) == 3


def test_browse_and_a_pasted_path_open_a_file_once(qtbot, widget, program, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(FILE), ""))
    widget.picker.browse.click()
    wait_until_idle(qtbot, widget)
    widget.picker.path.setText('"/stacks/b.mat"')
    for _ in range(2):
        widget.picker.path.editingFinished.emit()
        wait_until_idle(qtbot, widget)
    assert program.called("inspect") == [FILE, Path("/stacks/b.mat")]


def test_an_ome_zarr_is_chosen_as_a_folder(qtbot, widget, program, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "/stacks/gland.ome.zarr")
    widget.picker.browse_folder.click()
    wait_until_idle(qtbot, widget)
    assert program.called("inspect") == [Path("/stacks/gland.ome.zarr")]
    assert widget.picker.path.text() == str(Path("/stacks/gland.ome.zarr"))


def test_a_cancelled_dialog_changes_nothing(widget, program, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    widget.picker.browse.click()
    widget.picker.browse_folder.click()
    assert not widget.is_busy and not program.calls


def test_starting_without_a_stack_tells_why(widget, told):
    widget.start()
    assert "Choose a file first" in told[0]


def test_the_camera_follows_a_layer_that_gets_another_voxel_size(qtbot, widget, viewer):
    layer = viewer.add_image(np.ones((6, 16, 20)), name="embryo")
    for box, number in zip(widget.voxel_size._edges, (0.02, 0.01, 0.01), strict=True):
        box.setValue(number)
    segment(qtbot, widget)
    assert tuple(layer.scale) == (0.02, 0.01, 0.01)
    assert viewer.scene.camera.center[1:] == pytest.approx((0.075, 0.095))
    assert tuple(viewer.layers["embryo cells"].scale) == (0.02, 0.01, 0.01)
