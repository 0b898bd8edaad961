"""The correct dock in a real napari window: from a file to corrected labels with the mouse and the keys."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from proofread_fakes import no_suspects, tissue
from qtpy.QtCore import QPoint, Qt

from napari_scutoid.io.open import open_labels, save_result
from napari_scutoid.progress import drain
from napari_scutoid.ui import layers
from napari_scutoid.ui.proofread import ProofreadWidget
from napari_scutoid.ui.proofread_core import ProofreadCore, look_beside
from napari_scutoid.ui.sights import SIDE_VIEWS
from napari_scutoid.volume import Labels, Source, Volume, VoxelSize

pytestmark = pytest.mark.usefixtures("own_settings")

SIZE = VoxelSize(0.5, 0.25, 0.25)


@pytest.fixture
def file(tmp_path):
    save_result(tmp_path / "gland.h5", Labels(tissue()[1], SIZE), {}, {})
    return tmp_path / "gland.h5"


def show_stack(viewer, file):
    image, _ = tissue()
    layers.add_image(viewer, layers.Shown(Volume(image, SIZE, source=Source(str(file), "raw")), (0.0, 2000.0)), "gland")
    return layers.unwrapped(layers.add_labels(viewer, open_labels(file, "label"), "gland cells", {}))


def begin(qtbot, viewer, widget):
    qtbot.waitUntil(lambda: not widget._looking.is_busy)
    widget.begin_button.click()
    qtbot.waitUntil(lambda: not widget.is_busy)
    qtbot.wait(50)
    qtbot.waitUntil(lambda: not widget.is_busy)
    return widget


def docked(viewer):
    widget = ProofreadWidget(viewer, ProofreadCore(find_suspects=no_suspects))
    viewer.window.add_dock_widget(widget, name="Correct", area="right")
    return widget


def click(qtbot, viewer, voxel):
    """Click where the canvas shows a voxel of the slice."""
    canvas = viewer.window._qt_viewer.canvas
    corners = [np.array(canvas._map_canvas2world(at, canvas.view))[-2:] for at in ((0, 0), (100, 100))]
    y, x = (np.multiply(voxel, SIZE)[-2:] - corners[0]) / (corners[1] - corners[0]) * 100
    for act in (qtbot.mousePress, qtbot.mouseRelease):
        act(canvas.native, Qt.MouseButton.LeftButton, pos=QPoint(round(x), round(y)))
    qtbot.wait(50)


def press(qtbot, viewer, key, modifier=Qt.KeyboardModifier.NoModifier):
    qtbot.keyClick(viewer.window._qt_viewer.canvas.native, key, modifier)
    qtbot.wait(20)


def ids(cells):
    return set(np.unique(cells.data).tolist()) - {0}


def test_from_the_menu_to_saved_labels(make_napari_viewer, qtbot, file, tmp_path):
    """Nothing is faked: the manifest, the file, the suspects, the mouse, the keys, the journal."""
    viewer = make_napari_viewer(show=True)
    cells = show_stack(viewer, file)
    _dock, widget = viewer.window.add_plugin_dock_widget("napari-scutoid", "Correct")
    begin(qtbot, viewer, widget)
    assert widget.is_correcting and SIDE_VIEWS in viewer.window.dock_widgets
    assert widget.bench.suspects.value() is not None

    viewer.reset_view()
    viewer.dims.set_point(0, 1.0)
    click(qtbot, viewer, (2, 10, 5))
    assert widget.bench.tools.cells() == [1]
    press(qtbot, viewer, Qt.Key.Key_J)
    assert widget.bench.tools.value() == "merge"
    click(qtbot, viewer, (2, 10, 5))
    click(qtbot, viewer, (2, 10, 12))
    assert len(ids(cells)) == 2
    press(qtbot, viewer, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert ids(cells) == {1, 2, 3}
    press(qtbot, viewer, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert len(ids(cells)) == 2
    press(qtbot, viewer, Qt.Key.Key_Q)

    shown = widget.bench.suspects.value()
    press(qtbot, viewer, Qt.Key.Key_Space)
    assert widget.bench.suspects.value() != shown
    press(qtbot, viewer, Qt.Key.Key_A)
    assert sum(state.accepted for state in widget.correction.session.states.values()) == 1

    widget.correction.save(tmp_path / "mine.h5")
    qtbot.waitUntil(lambda: not widget.is_busy)
    np.testing.assert_array_equal(open_labels(tmp_path / "mine.h5", "label").data, cells.data)
    widget.stop_button.click()
    assert SIDE_VIEWS not in viewer.window.dock_widgets
    assert [layer.name for layer in viewer.layers] == ["gland", "gland cells"]
    qtbot.waitUntil(lambda: not widget._looking.is_busy)


# napari leaves outlines out in 3D, and warns of it.
@pytest.mark.filterwarnings("ignore:Contours are not displayed during 3D:UserWarning")
def test_cells_are_merged_by_clicks_in_3d(make_napari_viewer, qtbot, file):
    viewer = make_napari_viewer(show=True)
    cells = show_stack(viewer, file)
    widget = begin(qtbot, viewer, docked(viewer))
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    widget.bench.tools.choose("merge")
    canvas, session = viewer.window._qt_viewer.canvas, widget.correction.session
    middle = QPoint(canvas.native.width() // 2, canvas.native.height() // 2)
    for cell in (1, 2):
        viewer.scene.camera.center = tuple(np.multiply(session.index.centroid(cell), SIZE))
        qtbot.wait(50)
        for act in (qtbot.mousePress, qtbot.mouseRelease):
            act(canvas.native, Qt.MouseButton.LeftButton, pos=middle)
    qtbot.wait(50)
    assert len(ids(cells)) == 2
    widget.stop()
    qtbot.waitUntil(lambda: not widget._looking.is_busy)


@pytest.mark.parametrize("way", ["dock", "window"])
def test_closing_leaves_a_journal_that_continues(make_napari_viewer, qtbot, file, way):
    viewer = make_napari_viewer(show=True)
    show_stack(viewer, file)
    widget = begin(qtbot, viewer, docked(viewer))
    widget.correction.do("delete", [3])
    if way == "dock":
        viewer.window.remove_dock_widget(widget)
        assert SIDE_VIEWS not in viewer.window.dock_widgets and len(viewer.layers) == 2
        widget.deleteLater()
    else:
        viewer.close()
    [found] = drain(look_beside(file))
    assert found.problem is None and found.card.n_edits == 1
    qtbot.waitUntil(lambda: not any(one.name.startswith("scutoid") for one in threading.enumerate()))


def test_a_closed_dock_is_forgotten(make_napari_viewer, qtbot, file):
    viewer = make_napari_viewer()
    show_stack(viewer, file)

    def use_and_close():
        widget = begin(qtbot, viewer, docked(viewer))
        widget.correction.do("delete", [3])
        viewer.window.remove_dock_widget(widget)
        return weakref.ref(widget)

    gone = use_and_close()
    qtbot.wait(50)
    gc.collect()
    assert gone() is None
    viewer.layers.clear()
