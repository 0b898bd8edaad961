"""The post-processing section of the Segment dock."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

from kept_samples import SIZE, kept_cells
from napari_scutoid import preview
from napari_scutoid.progress import Progress
from napari_scutoid.recipe import Recipe
from napari_scutoid.recipe.starting_points import starting_points
from napari_scutoid.steps.cell_sizes import size_histograms
from napari_scutoid.ui import layers
from napari_scutoid.ui.job_panel import JobPanel
from napari_scutoid.ui.postprocess import PostprocessSection
from napari_scutoid.ui.postprocess_form import OWN
from napari_scutoid.ui.size_histogram import SizeHistogram

GIVEN = {
    "watershed": {"boundary_threshold": 0.4, "seeds": "h-maxima", "seed_height": 0.2},
    "partition": {"method": "gasp", "beta": 0.7},
    "cleanup": {"fill_holes": False},
}


@pytest.fixture(scope="module")
def kept():
    return kept_cells()


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def section(qtbot, viewer):
    panel = JobPanel()
    made = PostprocessSection(viewer, panel)
    qtbot.addWidget(panel)
    qtbot.addWidget(made)
    return made


def edit(section, part, name, value):
    form = section.form.main[part] if name in section.form.main[part].editors else section.form.more[part]
    editor = form.editors[name]
    editor.setValue(value)
    editor.valueChanged.emit()


def is_shown(section, part, name):
    form = section.form.main[part] if name in section.form.main[part].editors else section.form.more[part]
    return not form.editors[name].isHidden()


def test_only_what_was_given_is_set_and_comes_back(section):
    assert section.value().model_dump(exclude_unset=True) == {}
    section.setValue(Recipe.model_validate(GIVEN))
    assert section.value().model_dump(exclude_unset=True) == GIVEN
    section.setValue(Recipe())
    assert section.value().model_dump(exclude_unset=True) == {}


def test_the_models_own_settings_are_shown_and_are_not_given(section):
    section.setBase(Recipe.model_validate({"watershed": {"boundary_threshold": 0.35, "seed_distance": 0.3}}))
    assert section.form.main["watershed"].editors["boundary_threshold"].value() == 0.35
    assert section.form.more["watershed"].editors["seed_distance"].value() == 0.3
    assert section.value().model_dump(exclude_unset=True) == {}
    assert section.form.effective().watershed.seed_distance == 0.3


def test_every_setting_behind_the_network_can_be_edited(section):
    for part in ("watershed", "partition", "cleanup"):
        names = {*section.form.main[part].editors, *section.form.more[part].editors}
        assert names == set(type(getattr(Recipe(), part)).model_fields)


def test_settings_that_the_method_does_not_read_are_hidden(qtbot, section):
    assert is_shown(section, "partition", "weak_wall") and not is_shown(section, "partition", "beta")
    with qtbot.waitSignal(section.valueChanged):
        edit(section, "partition", "method", "multicut")
    assert is_shown(section, "partition", "beta") and not is_shown(section, "partition", "weak_wall")
    edit(section, "watershed", "method", "components")
    assert not is_shown(section, "watershed", "seed_sigma")


def test_a_starting_point_sets_its_settings_and_its_name_goes_once_one_is_changed(section):
    for number, (name, recipe) in enumerate(starting_points().items()):
        section.form.start.setCurrentIndex(number)
        section.form.start.activated.emit(number)
        assert section.value() == recipe
        assert section.form.start.currentText() == name
    edit(section, "partition", "beta", 0.71)
    assert section.form.start.currentText() == OWN
    section.setValue(Recipe())
    assert section.form.start.currentText() == "Model's own"


def test_starting_points_leave_the_network_alone():
    for recipe in starting_points().values():
        assert recipe.model_fields_set <= {"watershed", "partition", "cleanup"}


def test_without_a_segmentation_it_says_what_to_do(section):
    assert not section.apply_button.isEnabled()
    assert "Segment a stack first" in section.reason.text()
    assert not section.preview.switch.isEnabled()


def test_a_smallest_cell_in_micrometres_needs_a_voxel_size(section):
    section.setKept(kept_cells(None))
    assert section.problem() is None and section.apply_button.isEnabled()
    edit(section, "cleanup", "min_size_unit", "um3")
    assert "voxel size is unknown" in (section.problem() or "")
    assert section.reason.text() == section.problem()
    assert not section.apply_button.isEnabled()


def test_apply_makes_labels_of_the_whole_stack_and_compares_them(qtbot, section, kept):
    section.setKept(kept)
    section.setValue(Recipe.model_validate({"cleanup": {"min_size": 60.0}}))
    with qtbot.waitSignal(section.applied, timeout=20_000) as caught:
        section.apply_button.click()
    (result,) = caught.args
    before, after = int(kept.labels.data.max()), int(result.labels.data.max())
    assert after < before
    assert section.counts.text() == f"Cells in the whole stack: {before} before, {after} after."
    assert section.histogram.value().n_after == after
    # What is made next is compared with these.
    section.setKept(result.kept)
    assert section.histogram.value() is not None


def test_the_preview_lies_in_its_place_and_follows_the_settings(qtbot, section, viewer, kept):
    cells = viewer.add_labels(kept.labels.data, **layers.labels_options(kept.labels, "cells", provenance={}))
    section.setKept(kept)
    viewer.dims.set_point(0, kept.origin_um.z + 6 * SIZE.z)
    with qtbot.waitSignal(section.preview.previewed, timeout=20_000):
        section.preview.switch.setChecked(True)
    layer = section.preview.layer()
    assert layer.name == "Scutoid preview"
    np.testing.assert_allclose(layer.extent.world, cells.extent.world)
    assert not cells.visible
    first = layer.data.copy()
    with qtbot.waitSignal(section.preview.previewed, timeout=20_000):
        edit(section, "cleanup", "min_size", 60.0)
    assert section.preview.layer() is layer
    assert layer.data.max() < first.max()
    assert "in the box" in section.counts.text()
    section.preview.switch.setChecked(False)
    assert [layer.name for layer in viewer.layers] == ["cells"]
    assert cells.visible


def test_a_preview_that_is_deleted_is_over(qtbot, section, viewer, kept):
    section.setKept(kept)
    with qtbot.waitSignal(section.preview.previewed, timeout=20_000):
        section.preview.switch.setChecked(True)
    viewer.layers.clear()
    assert not section.preview.switch.isChecked()


class Slow:
    """Stands for a preview whose first job lasts until it is cancelled."""

    def __init__(self, kept, box):
        self.box, self.kept = box, kept
        self.running, self.closed = threading.Event(), threading.Event()
        self.asked = []

    def cells(self, recipe):
        self.asked.append(recipe.watershed.boundary_threshold)
        try:
            while len(self.asked) == 1:
                self.running.set()
                yield Progress("Waiting")
        finally:
            self.closed.set()
        labels = self.kept.labels
        return preview.Previewed(labels, self.box, size_histograms(labels, labels))


def test_a_newer_setting_cancels_the_older_job(qtbot, section, kept, monkeypatch):
    made = []
    monkeypatch.setattr(preview, "Preview", lambda *given: made.append(Slow(*given)) or made[0])
    section.setKept(kept)
    section.preview.switch.setChecked(True)
    qtbot.waitUntil(lambda: bool(made) and made[0].running.is_set())
    with qtbot.waitSignal(section.preview.previewed, timeout=20_000):
        edit(section, "watershed", "boundary_threshold", 0.3)
    assert made[0].closed.is_set()
    assert made[0].asked == [0.5, 0.3]


def test_switching_it_off_ends_the_job(qtbot, section, kept, monkeypatch):
    made = []
    monkeypatch.setattr(preview, "Preview", lambda *given: made.append(Slow(*given)) or made[0])
    section.setKept(kept)
    section.preview.switch.setChecked(True)
    qtbot.waitUntil(lambda: bool(made) and made[0].running.is_set())
    section.preview.switch.setChecked(False)
    qtbot.waitUntil(lambda: not section.preview.is_busy)
    assert made[0].closed.is_set()
    assert section.preview.layer() is None


def test_moving_the_box_makes_a_new_preview_there(qtbot, section, viewer, kept):
    section.preview.extent.addItem("tiny", (6, 8, 8))
    section.setKept(kept)
    section.preview.extent.setCurrentIndex(section.preview.extent.count() - 1)
    origin = kept.origin_um
    viewer.add_image(np.zeros(kept.shape), **layers.grid(kept.labels))
    viewer.dims.set_point(0, origin.z)
    viewer.scene.camera.center = (0, origin.y, origin.x)
    with qtbot.waitSignal(section.preview.previewed, timeout=20_000):
        section.preview.switch.setChecked(True)
    assert tuple(section.preview.layer().translate) == tuple(origin)
    viewer.dims.set_point(0, origin.z + 7 * SIZE.z)
    viewer.scene.camera.center = (0, origin.y + 12 * SIZE.y, origin.x + 20 * SIZE.x)
    with qtbot.waitSignal(section.preview.previewed, timeout=20_000):
        section.preview.move_button.click()
    layer = section.preview.layer()
    assert layer.data.shape == (6, 8, 8)
    np.testing.assert_allclose(layer.translate, np.add(origin, np.multiply((4, 8, 16), SIZE)))


@pytest.mark.parametrize(("keys", "moves"), [(("Shift",), True), ((), False)])
def test_the_box_is_dragged_with_shift(qtbot, section, viewer, kept, keys, moves):
    section.preview.extent.addItem("tiny", (6, 8, 8))
    section.setKept(kept)
    section.preview.extent.setCurrentIndex(section.preview.extent.count() - 1)
    origin = np.array(kept.origin_um)
    viewer.add_image(np.zeros(kept.shape), **layers.grid(kept.labels))
    viewer.dims.set_point(0, origin[0])
    viewer.scene.camera.center = (0, origin[1], origin[2])
    with qtbot.waitSignal(section.preview.previewed, timeout=20_000):
        section.preview.switch.setChecked(True)
    mouse = SimpleNamespace(modifiers=keys, type="mouse_press", position=tuple(origin + np.multiply((1, 2, 2), SIZE)))
    (drag,) = (call for call in viewer.mouse_drag_callbacks if call.__name__ == "_dragged")
    going = drag(viewer, mouse)
    assert (next(going, "over") is None) == moves
    if moves:
        assert not viewer.scene.camera.mouse_pan
        mouse.type, mouse.position = "mouse_move", tuple(origin + np.multiply((1, 5, 6), SIZE))
        next(going)
        np.testing.assert_allclose(section.preview.layer().translate, origin + np.multiply((0, 3, 4), SIZE))
        mouse.type = "mouse_release"
        with qtbot.waitSignal(section.preview.previewed, timeout=20_000):
            assert next(going, "over") == "over"
    assert viewer.scene.camera.mouse_pan
    there = (0, 3, 4) if moves else (0, 0, 0)
    np.testing.assert_allclose(section.preview.layer().translate, origin + np.multiply(there, SIZE))
    section.preview.stop()
    assert drag not in viewer.mouse_drag_callbacks


def test_boundaries_of_the_labels_are_a_layer(qtbot, section, viewer, kept):
    section.setKept(kept)
    section.boundaries.setChecked(True)
    qtbot.waitUntil(lambda: "Scutoid boundaries" in viewer.layers)
    layer = viewer.layers["Scutoid boundaries"]
    assert layer.data.shape == kept.shape
    assert layer.data.any() and not layer.data.all()
    section.boundaries.setChecked(False)
    assert len(viewer.layers) == 0
    section.boundaries.setChecked(True)
    qtbot.waitUntil(lambda: "Scutoid boundaries" in viewer.layers)
    viewer.layers.clear()
    assert not section.boundaries.isChecked()


def test_the_histogram_paints_both_and_hides_without(qtbot, kept):
    widget = SizeHistogram()
    qtbot.addWidget(widget)
    assert widget.isHidden()
    widget.setValue(size_histograms(kept.labels, kept.labels))
    widget.resize(240, 110)
    picture = widget.grab().toImage()
    colours = {picture.pixelColor(x, y).name() for x in range(0, 240, 3) for y in range(20, 90, 3)}
    assert len(colours) >= 2
    assert "µm³" in widget.toolTip()
    widget.setValue(None)
    assert widget.isHidden()
