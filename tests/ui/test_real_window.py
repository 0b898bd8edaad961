"""The widget in a real napari window, as the plugin manifest brings it there."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

from napari_scutoid.io.open import open_labels, open_volume
from napari_scutoid.io.save import save_stack
from napari_scutoid.progress import drain
from napari_scutoid.synth.tissue import synthesise
from napari_scutoid.ui import layers
from napari_scutoid.volume import Source, Volume, VoxelSize


@pytest.fixture
def window(make_napari_viewer, program):
    """A shown viewer with the widget docked, its program replaced by fakes."""
    viewer = make_napari_viewer(show=True)
    _dock, widget = viewer.window.add_plugin_dock_widget("napari-scutoid", "Segment")
    use(widget, program)
    return viewer, widget


def use(widget, program):
    """Put fakes in the place of the program."""
    for part in (widget, widget.model, widget.device, widget.estimate, widget.result):
        part._core = program.core()


def job_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("scutoid")]


def add_stack(viewer):
    data = np.arange(6 * 16 * 20, dtype=np.uint16).reshape(6, 16, 20)
    volume = Volume(data, VoxelSize(0.5, 0.25, 0.25), source=Source("/stacks/gland.h5", "raw"))
    return layers.add_image(viewer, layers.Shown(volume, (0.0, 1900.0)), "gland")


def test_the_manifest_brings_the_widget_and_the_canvas_shows_the_cells(window, qtbot):
    viewer, widget = window
    add_stack(viewer)
    widget.segment_button.click()
    qtbot.waitUntil(lambda: not widget.is_busy)
    viewer.canvas.overlays.scale_bar.visible = False
    with_cells = viewer.screenshot(canvas_only=True, flash=False)
    viewer.layers["gland cells"].visible = False
    without = viewer.screenshot(canvas_only=True, flash=False)
    coloured = np.ptp(with_cells[..., :3].astype(int), axis=-1) > 20
    # Two cells of 6 x 6 voxels in a slice of 16 x 20 are over a fifth of the picture; the image itself is grey.
    assert np.mean(coloured[np.any(with_cells != without, axis=-1)]) > 0.9
    assert len(np.unique(with_cells[coloured][:, :3], axis=0)) > 2
    assert not np.any(np.ptp(without[..., :3].astype(int), axis=-1) > 20)


def test_closing_the_window_during_a_job_ends_the_job(window, qtbot, program):
    viewer, widget = window
    program.hold = True
    add_stack(viewer)
    widget.segment_button.click()
    qtbot.waitUntil(program.running.is_set)
    viewer.close()
    qtbot.waitUntil(program.closed.is_set)
    qtbot.waitUntil(lambda: not job_threads())


def test_closing_the_dock_during_a_job_ends_the_job_and_leaves_the_viewer(window, qtbot, program):
    viewer, widget = window
    program.hold = True
    add_stack(viewer)
    widget.segment_button.click()
    qtbot.waitUntil(program.running.is_set)
    viewer.window.remove_dock_widget(widget)
    qtbot.waitUntil(program.closed.is_set)
    qtbot.waitUntil(lambda: not job_threads())
    assert len(viewer.layers) == 1
    widget.deleteLater()


def test_a_closed_dock_is_forgotten(make_napari_viewer, qtbot, program):
    viewer = make_napari_viewer()

    def use_and_close():
        _dock, widget = viewer.window.add_plugin_dock_widget("napari-scutoid", "Segment")
        use(widget, program)
        add_stack(viewer)
        widget.segment_button.click()
        qtbot.waitUntil(lambda: not widget.is_busy)
        viewer.window.remove_dock_widget(widget)
        return weakref.ref(widget)

    gone = use_and_close()
    qtbot.wait(10)
    gc.collect()
    assert gone() is None
    viewer.layers.clear()


def test_the_real_program_segments_a_real_file(make_napari_viewer, qtbot, tmp_path):
    """Nothing is faked: a file, the built-in model, the pipeline, napari's canvas, and a saved result."""
    tissue = synthesise("packed", (16, 48, 48), 5, cell_diameter=16)
    stack, output = tmp_path / "tissue.h5", tmp_path / "cells.h5"
    save_stack(stack, tissue.image, tissue.labels)
    viewer = make_napari_viewer(show=True)
    _dock, widget = viewer.window.add_plugin_dock_widget("napari-scutoid", "Segment")
    layers.add_image(viewer, drain(layers.load(open_volume(stack))), "tissue")
    widget.cell_diameter.setValue(16)
    widget.segment_button.click()
    widget.panel.cancel_button.click()
    qtbot.waitUntil(lambda: not widget.is_busy)
    assert widget.panel.status.text() == "Cancelled."
    assert len(viewer.layers) == 1

    widget.segment_button.click()
    qtbot.waitUntil(lambda: not widget.is_busy, timeout=300_000)
    image, *maps, cells = viewer.layers
    assert [layer.name.split()[-1] for layer in maps] == ["foreground", "boundary"]
    for layer in (image, cells):
        assert layer.data.shape == tissue.image.shape
        assert tuple(layer.scale) == pytest.approx(tissue.image.voxel_size_um)
        assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
    assert f"Found {np.count_nonzero(np.unique(cells.data))} cell" in widget.panel.status.text()
    viewer.canvas.overlays.scale_bar.visible = False
    picture = viewer.screenshot(canvas_only=True, flash=False)
    assert np.mean(np.ptp(picture[..., :3].astype(int), axis=-1) > 20) > 0.05

    widget.result.save_labels(output)
    qtbot.waitUntil(lambda: not widget.is_busy)
    np.testing.assert_array_equal(open_labels(output, "label").data, cells.data)


def test_the_layers_menu_opens_the_widget(make_napari_viewer):
    from napari._app_model import get_app_model

    viewer = make_napari_viewer()
    get_app_model().commands.execute_command("napari-scutoid.segment")
    [widget] = viewer.window.dock_widgets.values()
    assert widget.segment_button.text() == "Segment"


def test_an_error_shows_one_notification_in_the_window(window, qtbot, program):
    from napari._qt.dialogs.qt_notification import NapariQtNotification

    from napari_scutoid.errors import ScutoidError

    viewer, widget = window
    program.fail_with = ScutoidError("“gland” could not be segmented", "it is empty", "copy it again")
    add_stack(viewer)
    widget.segment_button.click()
    qtbot.waitUntil(lambda: not widget.is_busy)
    shown = viewer.window._qt_window.findChildren(NapariQtNotification)
    assert [dialog.message.text() for dialog in shown] == [widget.panel.status.text().removeprefix("⚠ ")]
    assert "it is empty" in widget.panel.status.text()
