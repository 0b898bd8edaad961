"""The widget in a real napari window, as the plugin manifest brings it there."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

from napari_scutoid.io.open import open_labels
from napari_scutoid.io.save import save_stack
from napari_scutoid.synth.tissue import synthesise


@pytest.fixture
def window(make_napari_viewer, program):
    """A shown viewer with the widget docked, its program replaced by fakes."""
    viewer = make_napari_viewer(show=True)
    _dock, widget = viewer.window.add_plugin_dock_widget("napari-scutoid", "Segment")
    widget._core = program.core()
    return viewer, widget


def job_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("scutoid")]


def open_file(qtbot, widget, path="/stacks/gland.h5"):
    widget.choose_file(path)
    qtbot.waitUntil(lambda: not widget.is_busy)


def test_the_manifest_brings_the_widget_and_the_canvas_shows_the_cells(window, qtbot):
    viewer, widget = window
    open_file(qtbot, widget)
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
    open_file(qtbot, widget)
    widget.segment_button.click()
    qtbot.waitUntil(program.running.is_set)
    viewer.close()
    qtbot.waitUntil(program.closed.is_set)
    qtbot.waitUntil(lambda: not job_threads())


def test_closing_the_dock_during_a_job_ends_the_job_and_leaves_the_viewer(window, qtbot, program):
    viewer, widget = window
    program.hold = True
    open_file(qtbot, widget)
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
        widget._core = program.core()
        open_file(qtbot, widget)
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
    open_file(qtbot, widget, stack)

    widget.segment_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 1 and widget.is_busy)
    widget.cancel_button.click()
    qtbot.waitUntil(lambda: not widget.is_busy)
    assert widget.status.text() == "Cancelled."

    widget.segment_button.click()
    qtbot.waitUntil(lambda: not widget.is_busy)
    image, *maps, cells = viewer.layers
    assert [layer.name.split()[-1] for layer in maps] == ["foreground", "boundary"]
    for layer in (image, cells):
        assert layer.data.shape == tissue.image.shape
        assert tuple(layer.scale) == pytest.approx(tissue.image.voxel_size_um)
        assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
    assert f"Found {np.count_nonzero(np.unique(cells.data))} cell" in widget.status.text()
    viewer.canvas.overlays.scale_bar.visible = False
    picture = viewer.screenshot(canvas_only=True, flash=False)
    assert np.mean(np.ptp(picture[..., :3].astype(int), axis=-1) > 20) > 0.05

    widget.save_labels(output)
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
    program.fail_with = ScutoidError("“gland.h5” could not be opened", "it is empty", "copy it again")
    open_file(qtbot, widget)
    shown = viewer.window._qt_window.findChildren(NapariQtNotification)
    assert [dialog.message.text() for dialog in shown] == [widget.status.text().removeprefix("⚠ ")]
    assert "it is empty" in widget.status.text()
