"""The segment dock against a program of fakes and a viewer without a window."""

from __future__ import annotations

import shlex
import threading
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog

from napari_scutoid.errors import ScutoidError
from napari_scutoid.recipe import Recipe
from napari_scutoid.ui import layers
from napari_scutoid.ui.segment import SegmentWidget
from napari_scutoid.volume import Source, Volume, VoxelSize

FILE = Path("/stacks/gland 1.h5")
SIZE = VoxelSize(0.5, 0.25, 0.25)
SHAPE = (6, 16, 20)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def widget(qtbot, viewer, program):
    made = SegmentWidget(viewer, program.core())
    qtbot.addWidget(made)
    return made


def add_stack(viewer, size=SIZE, part=(None, None), history=()):
    """Show a stack as Open stack does."""
    data = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    volume = Volume(data, size, source=Source(str(FILE), "raw"), history=history)
    return layers.add_image(viewer, layers.Shown(volume, (0.0, 900.0), part), "gland 1")


def wait_until_idle(qtbot, widget):
    qtbot.waitUntil(lambda: not widget.is_busy)


def segment(qtbot, widget):
    widget.segment_button.click()
    wait_until_idle(qtbot, widget)


def status(widget):
    return widget.panel.status.text()


def look(qtbot, widget):
    """Let the widget find out what it shows once it is seen."""
    for field in (widget.model, widget.device):
        field.refresh()
        qtbot.waitUntil(lambda field=field: not field._inquiry.is_busy)


def test_an_empty_viewer_leads_to_opening_a_stack(widget, told):
    assert not widget.segment_button.isEnabled()
    assert widget.layer_note.text() == "⚠ Open an image first."
    assert not widget.layer_note.isHidden()
    assert widget.open_button.isEnabled()
    assert not widget.result.save_button.isEnabled()
    widget.start()
    assert "Open an image first" in told[0]


def test_the_button_opens_the_dock_that_reads_files(qtbot, program, mock_viewer):
    widget = SegmentWidget(mock_viewer, program.core())
    qtbot.addWidget(widget)
    widget.open_button.click()
    mock_viewer.window.add_plugin_dock_widget.assert_called_once_with("napari-scutoid", "Open stack")


@pytest.fixture
def mock_viewer(viewer):
    mock = MagicMock()
    mock.layers = viewer.layers
    return mock


def test_segmenting_shows_maps_and_cells_over_the_stack(qtbot, widget, viewer, program):
    image = add_stack(viewer)
    assert widget.voxel_size.value() == SIZE
    segment(qtbot, widget)
    assert [layer.name for layer in viewer.layers] == [
        "gland 1",
        "gland 1 foreground",
        "gland 1 boundary",
        "gland 1 cells",
    ]
    _, foreground, _, cells = viewer.layers
    assert image.visible and cells.visible and not foreground.visible
    for layer in (image, cells):
        assert tuple(layer.scale) == program.voxel_size
        assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
    np.testing.assert_allclose(foreground.extent.world, image.extent.world, atol=0.5)
    assert viewer.dims.current_step[0] in (2, 3)
    assert "Found 2 cells" in status(widget) and "The voxel size is odd." in status(widget)
    [(volume, recipe, model)] = program.called("run")
    assert volume.data is image.data and volume.source == Source(str(FILE), "raw")
    assert (recipe.predict.device, model) == ("auto", "builtin")
    assert widget.result.save_button.isEnabled()
    widget.result.outlines.setChecked(True)
    assert cells.contour == 1


def test_nothing_of_the_program_runs_in_the_gui_thread(qtbot, widget, viewer, program):
    add_stack(viewer)
    look(qtbot, widget)
    segment(qtbot, widget)
    widget.result.save_labels("out.h5")
    wait_until_idle(qtbot, widget)
    assert {name for name, _ in program.calls} >= {"models", "device", "run", "save"}
    assert threading.get_ident() not in program.threads


RECIPES = [
    {},
    {"rescale": {"cell_diameter": 20.0}, "predict": {"device": "cpu", "precision": "bf16"}},
    {"rescale": {"mode": "factors", "factors": (1, 0.5, 0.5)}, "normalise": {"method": "minmax"}},
    {"predict": {"tile": (32, 32, 32), "gate": "off"}, "watershed": {"seed_sigma": 0.2}, "cleanup": {"min_size": 1.0}},
]


@pytest.mark.parametrize("settings", RECIPES)
@pytest.mark.parametrize("unfolded", [False, True])
def test_settings_are_given_back_as_they_were_given(widget, settings, unfolded):
    if unfolded:
        widget.more.unfold()
    recipe = Recipe.model_validate(settings)
    widget.setValue(Recipe.model_validate(RECIPES[1]))
    widget.setValue(recipe)
    device = {} if "device" in settings.get("predict", {}) else {"device": "cpu", "precision": "bf16"}
    expected = settings | {"predict": {**settings.get("predict", {}), **device}}
    assert widget.value() == Recipe.model_validate(expected)


def test_only_what_the_way_of_rescaling_needs_is_shown_and_asked_for(widget, viewer):
    add_stack(viewer)
    widget.more.unfold()
    form = widget.more.forms["rescale"]
    assert form.editors["factors"].isHidden() and form.editors["voxel_size_um"].isHidden()
    form.editors["mode"].box.setCurrentText("factors")
    assert not form.editors["factors"].isHidden() and form.editors["voxel_size_um"].isHidden()
    assert "needs factors" in widget.more_note.text()
    assert not widget.segment_button.isEnabled() and not widget.bar.copy_button.isEnabled()
    widget.setValue(Recipe())
    assert widget.more_note.isHidden()
    assert widget.segment_button.isEnabled() and widget.bar.copy_button.isEnabled()


def test_recipes_go_to_a_file_and_come_back(widget, tmp_path, told):
    recipe = Recipe.model_validate({"rescale": {"cell_diameter": 20.0}, "predict": {"device": "cpu"}})
    widget.setValue(recipe)
    widget.save_recipe(tmp_path / "r.yaml")
    widget.setValue(Recipe())
    assert widget.value() != recipe
    widget.load_recipe(tmp_path / "r.yaml")
    assert widget.value() == recipe
    (tmp_path / "r.yaml").write_text("rescale: {cell_diameter: -1}")
    widget.load_recipe(tmp_path / "r.yaml")
    assert "rescale.cell_diameter" in told[0]
    widget.save_recipe(tmp_path / "nowhere" / "r.yaml")
    assert "could not be written" in told[1]


def test_a_given_diameter_reaches_the_program(qtbot, widget, viewer, program):
    add_stack(viewer)
    segment(qtbot, widget)
    widget.cell_diameter.setValue(20.0)
    segment(qtbot, widget)
    assert [recipe.rescale.cell_diameter for _, recipe, _ in program.called("run")] == [None, 20.0]


def test_an_edited_voxel_size_reaches_the_program_and_the_layers(qtbot, widget, viewer, program):
    layer = add_stack(viewer, None)
    assert widget.voxel_size.origin().startswith("Unknown: distances are in voxels")
    boxes = widget.voxel_size._edges
    boxes[0].setValue(0.3)
    assert not widget.segment_button.isEnabled()
    assert "along y, x" in widget.panel.reason.text()
    boxes[1].setValue(0.1)
    boxes[2].setValue(0.16235)
    segment(qtbot, widget)
    assert program.called("run")[0][0].voxel_size_um == VoxelSize(0.3, 0.1, 0.16235)
    assert tuple(layer.scale) == tuple(viewer.layers[-1].scale) == (0.3, 0.1, 0.16235)


def test_an_unknown_voxel_size_stays_unknown(qtbot, widget, viewer, program):
    add_stack(viewer, None)
    segment(qtbot, widget)
    assert program.called("run")[0][0].voxel_size_um is None
    assert {str(unit) for layer in viewer.layers for unit in layer.units} == {"pixel"}
    np.testing.assert_allclose(viewer.layers[1].scale, (2, 2, 2))
    np.testing.assert_allclose(viewer.layers[1].translate, (0.5, 0.5, 0.5))


def test_the_voxel_size_follows_the_layer_and_what_was_entered_stays(widget, viewer):
    layer = add_stack(viewer)
    widget.voxel_size._edges[0].setValue(0.7)
    layer.data = np.array(layer.data)
    assert widget.voxel_size.value() == VoxelSize(0.7, 0.25, 0.25)
    layer.scale = (2, 1, 1)
    assert widget.voxel_size.value() == (2, 1, 1)


def test_the_camera_follows_a_layer_that_gets_another_voxel_size(qtbot, widget, viewer):
    layer = viewer.add_image(np.ones(SHAPE), name="embryo")
    for box, number in zip(widget.voxel_size._edges, (0.02, 0.01, 0.01), strict=True):
        box.setValue(number)
    segment(qtbot, widget)
    assert tuple(layer.scale) == (0.02, 0.01, 0.01)
    assert viewer.scene.camera.center[1:] == pytest.approx((0.075, 0.095))
    assert tuple(viewer.layers["embryo cells"].scale) == (0.02, 0.01, 0.01)


@pytest.mark.parametrize(
    ("shape", "rgb", "words"),
    [((16, 20), False, "three axes"), ((6, 16, 20, 3), True, "colour picture"), ((2, 6, 16, 20), False, "three axes")],
)
def test_what_is_no_stack_is_refused_beside_the_field(widget, viewer, shape, rgb, words):
    viewer.add_image(np.zeros(shape), rgb=rgb)
    assert not widget.segment_button.isEnabled()
    assert words in widget.layer_note.text()
    viewer.layers.clear()
    add_stack(viewer)
    assert widget.segment_button.isEnabled()
    assert widget.layer_note.isHidden()


def test_a_stack_that_is_renamed_or_deleted_meanwhile_does_no_harm(qtbot, widget, viewer, program):
    layer = add_stack(viewer)
    program.hold = True
    widget.segment_button.click()
    qtbot.waitUntil(program.running.is_set)
    layer.name = "embryo"
    viewer.layers.remove(layer)
    program.hold = False
    wait_until_idle(qtbot, widget)
    assert [layer.name for layer in viewer.layers] == ["gland 1 foreground", "gland 1 boundary", "gland 1 cells"]
    assert not widget.segment_button.isEnabled()


def test_cancel_stops_within_a_report_and_leaves_the_widget_usable(qtbot, widget, viewer, program):
    program.hold = True
    add_stack(viewer)
    widget.segment_button.click()
    qtbot.waitUntil(program.running.is_set)
    assert not widget.segment_button.isEnabled() and not widget.inputs.isEnabled()
    qtbot.waitUntil(lambda: "Predicting: " in status(widget))
    widget.panel.cancel_button.click()
    wait_until_idle(qtbot, widget)
    assert program.closed.is_set()
    assert status(widget) == "Cancelled."
    assert len(viewer.layers) == 1
    assert widget.inputs.isEnabled()
    program.hold = False
    segment(qtbot, widget)
    assert "Found 2 cells" in status(widget)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ScutoidError("It was not segmented", "it is empty", "take another"), "It was not segmented: it is empty"),
        (MemoryError("Unable to allocate 9 GiB"), "too little memory"),
        (RuntimeError("a bug in torch"), "made a mistake (RuntimeError: a bug in torch)"),
    ],
)
def test_any_error_is_told_once_and_the_widget_stays_usable(qtbot, widget, viewer, program, told, error, words):
    add_stack(viewer)
    program.fail_with = error
    segment(qtbot, widget)
    assert len(told) == 1
    assert words in status(widget) and "What to try" in status(widget)
    program.fail_with = None
    segment(qtbot, widget)
    assert "Found 2 cells" in status(widget)


def test_another_result_hides_the_first_and_keeps_it(qtbot, widget, viewer):
    add_stack(viewer)
    segment(qtbot, widget)
    assert widget.result.later.isHidden()
    widget.result.postprocess.applied.emit(widget.result._result)
    cells = [layer for layer in viewer.layers if "cells" in layer.name]
    assert [layer.visible for layer in cells] == [False, True]
    assert viewer.layers.selection.active is cells[1]
    viewer.layers.remove(cells[1])
    assert not widget.result.save_button.isEnabled()


def test_model_and_device_say_what_they_are(qtbot, widget, viewer):
    add_stack(viewer)
    look(qtbot, widget)
    assert "Walls of fake cells." in widget.model.card.text()
    assert "16 voxels (10 to 28)" in widget.model.card.text()
    assert "7 threads" in widget.device.about.text()
    widget.device.setValue(Recipe.model_validate({"predict": {"device": "cuda"}}).predict)
    widget.device.refresh()
    qtbot.waitUntil(lambda: not widget.segment_button.isEnabled())
    assert "there is none" in widget.device.about.text()
    assert "there is none" in widget.panel.reason.text()


def test_the_models_own_settings_are_shown_and_not_taken_for_given(qtbot, widget, program):
    widget.more.unfold()
    look(qtbot, widget)
    qtbot.waitUntil(lambda: widget.more.forms["normalise"].editors["stabilise"].value() == "log")
    assert widget.value() == Recipe()


def test_a_model_that_cannot_be_used_is_explained_beside_it(qtbot, widget, viewer, monkeypatch):
    add_stack(viewer)
    look(qtbot, widget)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "/models/mine")
    widget.model.box.setCurrentIndex(1)
    widget.model.box.activated.emit(1)
    assert widget.model.value() == "/models/mine"
    qtbot.waitUntil(lambda: not widget.segment_button.isEnabled())
    assert "⚠ /models/mine is damaged." in widget.model.card.text()
    widget.model.setValue("builtin")
    assert widget.segment_button.isEnabled()


def test_time_and_memory_are_estimated_before_running(qtbot, widget, viewer, program):
    add_stack(viewer)
    assert widget.estimate.text() == ""
    look(qtbot, widget)
    qtbot.waitUntil(lambda: widget.estimate.value() is not None)
    text = widget.estimate.text()
    assert "About 2 min (at most 2 min, if tissue fills the stack) and 2.0 GB of memory" in text
    assert "Only 1.0 GB of memory are free" in text and "The cells are small." in text
    widget.cell_diameter.setValue(20.0)
    assert widget.estimate.value() is None
    qtbot.waitUntil(lambda: widget.estimate.value() is not None)
    (_, first, unknown), (_, second, known) = program.called("forecast")
    assert (first.rescale.cell_diameter, second.rescale.cell_diameter) == (None, 20.0)
    assert unknown is None and known.diameter == 16.0
    segment(qtbot, widget)
    assert widget.estimate.value() is not None


def test_the_copied_command_says_what_was_really_used(qtbot, widget, viewer):
    add_stack(viewer, part=(1, None), history=("axes CZXY given by hand", "channel 1 of 2"))
    widget.cell_diameter.setValue(20.0)
    before = shlex.split(widget.command())
    assert before[:5] == ["scutoid", "segment", str(FILE), "--dataset", "raw"]
    assert before[5:13] == ["--voxel-size", "0.5", "0.25", "0.25", "--channel", "1", "--axes", "CZXY"]
    assert "predict.device=auto" in before
    segment(qtbot, widget)
    after = shlex.split(widget.command())
    for word in ("predict.device=cpu", "predict.precision=fp32", "predict.pass_voxels=4096"):
        assert word in after
    assert "rescale.cell_diameter=20.0" in after
    widget.bar.copy()
    assert status(widget).startswith("Copied: scutoid segment")


def test_a_layer_that_no_command_can_name_is_told(widget, viewer):
    viewer.add_image(np.zeros(SHAPE), name="embryo")
    widget.bar.copy()
    assert "STACK.h5" in widget.command()
    assert "The layer is in no file" in status(widget)
    widget.layer.setValue(add_stack(viewer, history=("cropped to 0:6, 0:8, 0:8",)))
    widget.bar.copy()
    assert "is not what is in the file (cropped to 0:6, 0:8, 0:8)" in status(widget)


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
def test_the_dialog_offers_every_format(qtbot, widget, viewer, program, monkeypatch, tmp_path, typed, chosen, written):
    add_stack(viewer)
    segment(qtbot, widget)
    offered = []

    def choose(_parent, _title, _start, filters):
        offered.extend(filters.split(";;"))
        return str(tmp_path / typed), chosen

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    widget.result.save_button.click()
    wait_until_idle(qtbot, widget)
    assert chosen in [*offered, ""]
    assert len(offered) == 4
    assert program.called("save")[0][0] == tmp_path / written


def test_a_file_that_the_dialog_did_not_ask_about_is_not_replaced(
    qtbot, widget, viewer, program, monkeypatch, tmp_path
):
    add_stack(viewer)
    segment(qtbot, widget)
    (tmp_path / "mine.h5").touch()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine"), ""))
    widget.result.save_button.click()
    wait_until_idle(qtbot, widget)
    assert not program.called("save")
    assert "mine.h5 is there already" in status(widget)


def test_labels_are_saved_as_corrected_in_the_viewer(qtbot, widget, viewer, program, tmp_path):
    add_stack(viewer)
    segment(qtbot, widget)
    viewer.layers[-1].data[0, 0, 0] = 9
    widget.result.save_labels(tmp_path / "mine.h5")
    wait_until_idle(qtbot, widget)
    [(path, labels, probabilities, provenance)] = program.called("save")
    assert path == tmp_path / "mine.h5"
    assert labels.data[0, 0, 0] == 9
    assert labels.voxel_size_um == program.voxel_size
    assert set(probabilities) == {"foreground", "boundary"}
    assert provenance["warnings"] == ["The voxel size is odd."]
    assert "Saved" in status(widget)
    viewer.layers[-1].data[0, 0, 0] = 10
    assert labels.data[0, 0, 0] == 9
    widget.result.with_probabilities.setChecked(False)
    widget.result.save_labels(tmp_path / "mine.h5")
    wait_until_idle(qtbot, widget)
    assert program.called("save")[1][2] == {}


def test_labels_never_replace_their_stack(qtbot, widget, viewer, program, told):
    add_stack(viewer)
    segment(qtbot, widget)
    widget.result.save_labels(FILE)
    assert not program.called("save")
    assert "choose another name" in told[0]


def test_long_names_do_not_widen_the_dock(widget, viewer):
    width = widget.minimumSizeHint().width()
    viewer.add_image(np.zeros(SHAPE), name="a_rather_long_name_of_a_layer" * 8)
    assert widget.minimumSizeHint().width() == width
