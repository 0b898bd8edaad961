from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_scutoid.progress import Progress
from napari_scutoid.recipe import Normalise, Recipe, Rescale, read_recipe
from napari_scutoid.steps import cell_size
from napari_scutoid.steps.cell_size import CellSize
from napari_scutoid.ui import layers, preparing
from napari_scutoid.ui.prepare import PrepareWidget
from napari_scutoid.volume import Labels, Origin, Source, Volume, VoxelSize

SIZE = VoxelSize(0.8, 0.2, 0.4)
SHAPE = (12, 40, 48)
ORIGIN = Origin(5.0, -2.0, 1.0)
CENTRE = (6.0, 18.0, 30.0)


def blob() -> np.ndarray:
    grid = np.indices(SHAPE)
    squares = sum(((axis - middle) / width) ** 2 for axis, middle, width in zip(grid, CENTRE, (2, 4, 4), strict=True))
    return (20 + 200 * np.exp(-squares)).astype(np.uint8)


@pytest.fixture
def estimated(monkeypatch):
    """Let the estimate be 40 voxels, and be held back where a test wants to look at it."""
    found = {"size": CellSize(40.0, 2.0, 0.12), "hold": threading.Event(), "calls": 0}
    found["hold"].set()

    def estimating(data):
        found["calls"] += 1
        yield Progress("Estimating the cell size")
        while not found["hold"].wait(0.02):
            yield Progress("Estimating the cell size")
        if isinstance(found["size"], Exception):
            raise found["size"]
        return found["size"]

    monkeypatch.setattr(cell_size, "estimating_cell_size", estimating)
    yield found
    found["hold"].set()


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def widget(qtbot, viewer, estimated):
    made = PrepareWidget(viewer)
    qtbot.addWidget(made)
    return made


def settle(qtbot, widget):
    qtbot.waitUntil(lambda: not (widget.is_busy or widget.grid.is_busy or widget.normalise.is_busy))


def add_blob(viewer, size=SIZE, origin=ORIGIN):
    volume = Volume(blob(), size, origin, source=Source("gland.h5", "raw"), history=("axes ZXY given by hand",))
    return layers.add_image(viewer, layers.Shown(volume, (0.0, 255.0)), "gland")


def prepare(qtbot, widget):
    settle(qtbot, widget)
    assert widget.problem() is None
    widget.panel.action.click()
    settle(qtbot, widget)


def centre(layer) -> np.ndarray:
    """Return where the blob lies in napari's world, along each axis in the layer's units."""
    data = np.asarray(layer.data, float)
    weight = np.clip(data - np.percentile(data, 60), 0, None)
    grid = np.indices(data.shape)
    return np.array(layer.data_to_world([(axis * weight).sum() / weight.sum() for axis in grid]))


def test_an_empty_viewer_is_explained(widget):
    assert not widget.panel.action.isEnabled()
    assert widget.panel.reason.text() == "Open an image first."
    assert widget.summary.text() == ""


def test_the_chosen_image_is_looked_at_by_itself(qtbot, widget, viewer, estimated):
    add_blob(viewer)
    settle(qtbot, widget)
    assert widget.about.text() == "12 × 40 × 48 voxels of 0.8 × 0.2 × 0.4 µm (z × y × x), uint8."
    assert widget.grid.note.text() == "Estimated: 40.0 voxels, give or take 12%."
    assert estimated["calls"] == 1
    before, after = widget.normalise.histograms.value()
    assert before.counts.sum() == after.counts.sum() == blob().size
    low, high = widget.grid.known.config.cell_diameter_range
    # Cells of 40 voxels are made as large as the model sees at most.
    shape = " × ".join(str(round(n * high / 40)) for n in SHAPE)
    assert widget.summary.text().startswith(f"{shape} voxels of ")
    assert f"about {high:.0f} voxels across in it; the model is made for {low:.0f} to {high:.0f}" in (
        widget.summary.text()
    )
    assert widget.panel.action.isEnabled()


def test_settings_come_back_as_they_were_given(qtbot, widget, viewer):
    add_blob(viewer)
    settle(qtbot, widget)
    assert widget.value() == Recipe()
    assert widget.value().model_dump(exclude_unset=True) == {}
    recipe = Recipe(
        normalise=Normalise(method="zscore", stabilise="log"),
        rescale=Rescale(mode="factors", factors=(0.5, 0.25, 0.25), order=3),
    )
    widget.setValue(recipe)
    assert widget.value().model_dump(exclude_unset=True) == recipe.model_dump(exclude_unset=True)
    settle(qtbot, widget)


def test_an_offered_number_is_saved_where_the_mode_needs_it(qtbot, widget, viewer, tmp_path):
    add_blob(viewer)
    settle(qtbot, widget)
    widget.grid.form.editors["mode"].box.setCurrentText("voxel_size")
    widget.save_recipe(tmp_path / "r.yaml")
    assert read_recipe(tmp_path / "r.yaml").rescale.voxel_size_um == pytest.approx(SIZE)
    assert "normalise" not in (tmp_path / "r.yaml").read_text()
    widget.setValue(Recipe())
    widget.load_recipe(tmp_path / "r.yaml")
    assert widget.value().rescale.mode == "voxel_size"
    settle(qtbot, widget)


def test_a_recipe_that_cannot_be_used_is_told(qtbot, widget, told, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("rescale: {order: 9}")
    widget.load_recipe(bad)
    assert "wrong setting" in told[-1]
    widget.save_recipe(tmp_path / "missing" / "r.yaml")
    assert "could not be written" in told[-1]
    assert list(tmp_path.iterdir()) == [bad]


@pytest.mark.parametrize("size", [SIZE, None])
def test_a_blob_stays_in_its_place_through_crop_and_downscale(qtbot, widget, viewer, size):
    source = add_blob(viewer, size, ORIGIN)
    settle(qtbot, widget)
    widget.crop.setValue((slice(1, 12), slice(5, 39), slice(14, 47)))
    widget.setValue(Recipe(rescale=Rescale(mode="factors", factors=(1.0, 0.5, 0.5))))
    prepare(qtbot, widget)
    made = viewer.layers["gland prepared"]
    assert made.data.shape == (11, 17, 16)
    assert made.data.dtype == np.float32
    assert np.all(np.abs(centre(made) - centre(source)) < 0.1 * np.array(made.scale))
    assert tuple(made.units) == tuple(source.units)
    assert not source.visible
    assert made is viewer.layers.selection.active
    np.testing.assert_array_equal(source.data, blob())


def test_a_scale_without_a_unit_stays_without(qtbot, widget, viewer):
    source = viewer.add_image(blob(), scale=SIZE, name="gland")
    prepare(qtbot, widget)
    made = viewer.layers["gland prepared"]
    assert tuple(made.units) == tuple(source.units)
    assert np.all(np.abs(centre(made) - centre(source)) < 0.1 * np.array(made.scale))


def test_what_was_done_travels_with_the_layer(qtbot, widget, viewer):
    source = add_blob(viewer)
    settle(qtbot, widget)
    widget.crop.setValue((slice(0, 6), slice(0, 40), slice(0, 48)))
    prepare(qtbot, widget)
    about = viewer.layers["gland prepared"].metadata[layers.METADATA]
    assert about["source"] == Source("gland.h5", "raw")
    assert about["prepared_from"] == "gland"
    first, second, third, fourth = about["history"]
    assert first == "axes ZXY given by hand"
    assert second == "cropped to 0:6, 0:40, 0:48"
    assert third.startswith("rescaled from (6, 40, 48)")
    assert fourth.startswith("normalised (percentile)")
    assert Recipe.model_validate(about["recipe"]).rescale.cell_diameter == 40.0
    shown = layers.Shown(layers.volume_of(source), (0.0, 1.0))
    assert layers.find_image(viewer.layers, shown) is source


def test_the_intensities_are_those_that_segmenting_would_make(qtbot, widget, viewer, estimated):
    from napari_scutoid.pipeline import prepare as prepared_by_pipeline
    from napari_scutoid.progress import drain

    source = add_blob(viewer)
    prepare(qtbot, widget)
    recipe = Recipe(rescale=Rescale(cell_diameter=40.0))
    expected = drain(prepared_by_pipeline(layers.volume_of(source), recipe, widget.grid.known.config))
    made = viewer.layers["gland prepared"]
    np.testing.assert_allclose(made.data, expected.statistics.apply(expected.volume.data), atol=1e-6)
    assert tuple(made.scale) == pytest.approx(expected.volume.voxel_size_um)


def test_own_intensities_are_kept_on_request(qtbot, widget, viewer):
    add_blob(viewer)
    settle(qtbot, widget)
    widget.normalise.wanted.setChecked(False)
    widget.setValue(Recipe(rescale=Rescale(mode="none")))
    assert "Nothing would change" in widget.panel.reason.text()
    widget.crop.setValue((slice(0, 3), slice(0, 40), slice(0, 48)))
    widget.crop.valueChanged.emit()
    assert "3 × 40 × 48 voxels of 0.8 × 0.2 × 0.4 µm (z × y × x), 0.00576 MB." in widget.summary.text()
    prepare(qtbot, widget)
    np.testing.assert_array_equal(viewer.layers["gland prepared"].data, blob()[:3])


def test_labels_are_cut_and_resampled_with_the_image(qtbot, widget, viewer):
    image = add_blob(viewer)
    ids = (blob() > 100).astype(np.uint32) * 7
    labels = Labels(ids, SIZE, ORIGIN)
    cells = layers.add_labels(viewer, labels, "cells", {})
    settle(qtbot, widget)
    widget.labels.setValue(cells)
    widget.crop.setValue((slice(2, 12), slice(0, 40), slice(8, 48)))
    prepare(qtbot, widget)
    made, over = viewer.layers["cells prepared"], viewer.layers["gland prepared"]
    assert made.data.shape == over.data.shape
    assert tuple(made.scale) == tuple(over.scale)
    assert tuple(made.translate) == tuple(over.translate)
    assert set(np.unique(made.data)) == {0, 7}
    assert not cells.visible and not image.visible
    made.data[:] = 1
    np.testing.assert_array_equal(cells.data, ids)


def test_labels_that_lie_elsewhere_are_refused(qtbot, widget, viewer):
    add_blob(viewer)
    widget.labels.setValue(viewer.add_labels(np.zeros(SHAPE, np.uint8), name="other"))
    settle(qtbot, widget)
    assert "“other” does not lie voxel by voxel over “gland”" in widget.panel.reason.text()
    widget.labels.setValue(None)
    assert widget.problem() is None


@pytest.mark.parametrize(
    ("data", "more", "reason"),
    [(np.zeros((40, 48)), {}, "three axes"), (np.zeros((4, 40, 48, 3), np.uint8), {"rgb": True}, "colour picture")],
)
def test_colour_pictures_and_single_slices_are_refused(qtbot, widget, viewer, told, data, more, reason):
    viewer.add_image(data, **more)
    assert reason in widget.panel.reason.text()
    widget.start()
    assert reason in told[-1]
    settle(qtbot, widget)


def test_a_cancelled_preparation_leaves_nothing(qtbot, widget, viewer, monkeypatch):
    running = threading.Event()

    def held(volume, ids, plan):
        running.set()
        while True:
            yield Progress("Rescaling", 1, 2)

    monkeypatch.setattr("napari_scutoid.ui.prepare.preparing", held)
    source = add_blob(viewer)
    settle(qtbot, widget)
    widget.panel.action.click()
    qtbot.waitUntil(running.is_set)
    assert not widget.settings.isEnabled()
    widget.panel.cancel_button.click()
    settle(qtbot, widget)
    assert list(viewer.layers) == [source]
    assert source.visible
    assert widget.settings.isEnabled() and widget.panel.action.isEnabled()


def test_an_image_removed_during_the_job_still_gives_its_result(qtbot, widget, viewer, monkeypatch):
    go, real = threading.Event(), preparing.preparing

    def held(volume, ids, plan):
        while not go.wait(0.02):
            yield Progress("Waiting")
        return (yield from real(volume, ids, plan))

    monkeypatch.setattr("napari_scutoid.ui.prepare.preparing", held)
    source = add_blob(viewer)
    settle(qtbot, widget)
    widget.panel.action.click()
    viewer.layers.remove(source)
    go.set()
    qtbot.waitUntil(lambda: not widget.is_busy)
    assert [layer.name for layer in viewer.layers] == ["gland prepared"]
    settle(qtbot, widget)


def test_a_stack_that_cannot_be_computed_with_is_told_once(qtbot, widget, viewer, told):
    data = blob().astype(np.float32)
    data[3, 4, 5] = np.nan
    viewer.add_image(data, name="broken", contrast_limits=(0, 1))
    settle(qtbot, widget)
    assert "No histogram" in widget.normalise.histograms.note.text()
    assert told == []
    widget.panel.action.click()
    settle(qtbot, widget)
    assert len(told) == 1
    assert "NaN" in told[0] and "was not prepared" in told[0]
    assert widget.panel.action.isEnabled()


def test_an_estimate_that_fails_is_said_beside_the_field(qtbot, widget, viewer, estimated, told):
    estimated["size"] = ValueError("data shows no dark regions")
    add_blob(viewer)
    settle(qtbot, widget)
    assert widget.grid.note.text() == "Not estimated: data shows no dark regions."
    assert widget.panel.reason.text() == "The typical cell diameter is not known: press Estimate, or enter it."
    assert told == []
    widget.grid.form.editors["cell_diameter"].box.setValue(20.0)
    assert widget.panel.action.isEnabled()


def test_a_stack_in_a_file_is_estimated_only_on_request(qtbot, widget, viewer, estimated, tmp_path):
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        viewer.add_image(file.create_dataset("raw", data=blob()), name="lazy", contrast_limits=(0, 255))
        settle(qtbot, widget)
        assert estimated["calls"] == 0
        assert "press Estimate" in widget.panel.reason.text()
        widget.grid.estimate_button.click()
        prepare(qtbot, widget)
        assert estimated["calls"] == 1
        assert viewer.layers["lazy prepared"].data.dtype == np.float32
        viewer.layers.clear()


def test_what_comes_out_is_told_while_a_number_is_typed(qtbot, widget, viewer):
    add_blob(viewer)
    settle(qtbot, widget)
    widget.grid.form.editors["mode"].box.setCurrentText("factors")
    box = widget.grid.form.editors["factors"].boxes[0]
    box.selectAll()
    qtbot.keyClicks(box, "0.25")
    assert box.hasFocus() or widget.grid.effective().factors == (0.25, 1.0, 1.0)
    assert "3 × 40 × 48 voxels of 3.2 × 0.2 × 0.4 µm" in widget.summary.text()
    assert "⚠ The factors 0.25 x 1 x 1 (z, y, x) change the cells' proportions 4x" in widget.summary.text()


def test_a_grid_that_does_not_fit_into_memory_is_refused(qtbot, widget, viewer, monkeypatch):
    add_blob(viewer)
    settle(qtbot, widget)
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 1000})())
    widget.setValue(Recipe(rescale=Rescale(mode="none")))
    assert "of memory while it is made" in widget.panel.reason.text()
    assert "That is too little" in widget.summary.text()
    settle(qtbot, widget)


def test_a_size_in_micrometres_needs_the_images_own(qtbot, widget, viewer):
    add_blob(viewer, None)
    settle(qtbot, widget)
    widget.grid.form.editors["mode"].box.setCurrentText("voxel_size")
    assert "voxel size of the image is not known" in widget.panel.reason.text()


def test_each_viewer_has_its_own(qtbot, widget, viewer):
    other = ViewerModel()
    second = PrepareWidget(other)
    qtbot.addWidget(second)
    add_blob(viewer)
    add_blob(other)
    settle(qtbot, second)
    prepare(qtbot, widget)
    assert len(viewer.layers) == 2
    assert len(other.layers) == 1


def test_nothing_is_asked_after_the_dock_is_closed(qtbot, viewer, estimated):
    from qtpy.QtWidgets import QWidget

    estimated["hold"].clear()
    parent = QWidget()
    qtbot.addWidget(parent)
    widget = PrepareWidget(viewer, parent)
    add_blob(viewer)
    qtbot.waitUntil(lambda: estimated["calls"] == 1)
    widget.setParent(None)
    qtbot.waitUntil(lambda: not widget.grid.is_busy)
    qtbot.waitUntil(lambda: not widget.normalise.is_busy)
    assert widget.grid.known.cell_size is None
    widget.deleteLater()
