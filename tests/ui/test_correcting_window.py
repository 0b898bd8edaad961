"""The parts of the corrections in a real napari window: what is clicked reaches the cells, and what changed is seen."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_scutoid.progress import drain
from napari_scutoid.proofread.evidence import GridEvidence
from napari_scutoid.proofread.scene import Guards
from napari_scutoid.proofread.session import Session
from napari_scutoid.ui import layers
from napari_scutoid.ui.edit_colours import EditColours
from napari_scutoid.ui.edit_tools import EditTools
from napari_scutoid.ui.orthogonal import OrthogonalViews
from napari_scutoid.ui.slice_view import LINE
from napari_scutoid.ui.stroke_capture import StrokeCapture
from napari_scutoid.volume import Labels, Volume, VoxelSize

SIZE = VoxelSize(1.0, 0.5, 0.5)
SHAPE = (9, 40, 60)
LEFT = Qt.MouseButton.LeftButton


class Desk:
    """A session, shown; its own wiring is the dock's to test."""

    def __init__(self, viewer, qtbot):
        image = np.full(SHAPE, 30, np.uint8)
        cells = np.zeros(SHAPE, np.uint32)
        for cell in range(1, 6):  # five in a row, the wall between two of them bright, and room for a sixth
            cells[1:8, 8:32, 10 * cell - 6 : 10 * cell + 4] = cell
            image[:, :, 10 * cell + 4] = 200
        volume = Volume(image, SIZE)
        labels = Labels(cells, SIZE)
        self.viewer, self.qtbot = viewer, qtbot
        layers.add_image(viewer, layers.Shown(volume, (0.0, 255.0)), "tissue").visible = False
        self.session = drain(Session.begin(labels, GridEvidence.of(labels, image=volume)))
        self.layer = layers.unwrapped(layers.add_labels(viewer, labels, "cells", {}))
        assert self.layer.data is self.session.labels
        self.layer.opacity = 1.0
        self.palette = EditColours(self.layer, self.session.index)
        self.views = OrthogonalViews(viewer, self.layer)
        self.tools = EditTools(viewer, self.layer, self.session.index)
        self.strokes = StrokeCapture(self.layer)
        for wishing in (self.tools, self.strokes):
            wishing.wished.connect(self.session.do)
        self.session.heard.append(self.palette.refresh)
        viewer.window.add_dock_widget(self.views, name="from the side")
        viewer.canvas.overlays.scale_bar.visible = False
        viewer.dims.set_point(0, 4.0)
        self.canvas = viewer.window._qt_viewer.canvas
        self.settle()
        viewer.reset_view()  # the dock has taken some of the canvas
        self.settle()

    def settle(self):
        """Let napari draw, and its throttled mouse events through."""
        self.qtbot.wait(30)

    def pixel(self, voxel):
        """Return where the canvas shows a voxel of the slice."""
        corners = [np.array(self.canvas._map_canvas2world(at, self.canvas.view))[-2:] for at in ((0, 0), (100, 100))]
        y, x = (np.multiply(voxel, SIZE)[-2:] - corners[0]) / (corners[1] - corners[0]) * 100
        return QPoint(round(x), round(y))

    def drag(self, *pixels, modifier=Qt.KeyboardModifier.NoModifier):
        native = self.canvas.native
        self.qtbot.mousePress(native, LEFT, modifier, pixels[0])
        for pixel in pixels[1:]:
            self.qtbot.mouseMove(native, pixel)
            self.settle()
        self.qtbot.mouseRelease(native, LEFT, modifier, pixels[-1])
        self.settle()

    def click(self, voxel):
        self.drag(self.pixel(voxel))

    def draw(self, *voxels):
        self.drag(*(self.pixel(voxel) for voxel in voxels))

    def picture(self):
        return self.viewer.screenshot(canvas_only=True, flash=False)[..., :3]

    def colours(self, voxel, reach=2):
        """Return the colours of the pixels around a voxel's middle."""
        where, picture = self.pixel(voxel), self.picture()
        scale = picture.shape[0] / self.canvas.size[0]
        x, y = round(where.x() * scale), round(where.y() * scale)
        return picture[y - reach : y + reach + 1, x - reach : x + reach + 1].reshape(-1, 3).astype(int)

    def colour(self, voxel):
        return self.colours(voxel, 0)[0]

    def stop(self):
        self.strokes.stop()
        self.tools.stop()
        self.views.stop()
        self.session.close()


@pytest.fixture
def desk(make_napari_viewer, qtbot):
    made = Desk(make_napari_viewer(show=True), qtbot)
    yield made
    made.stop()


def near(colour, other):
    return np.abs(np.subtract(colour, other)).max() <= 6


def test_a_click_moves_the_crosshair_and_merged_cells_have_one_colour(desk):
    desk.click((4, 12, 20))
    line = tuple(int(LINE[at : at + 2], 16) for at in (1, 3, 5))
    for beside in ((4, 36, 20), (4, 12, 2)):
        assert any(near(seen, np.multiply(0.8, line)) for seen in desk.colours(beside))
    np.testing.assert_allclose(np.divide(desk.views.point(), SIZE)[1:], (12, 20), atol=0.6)

    desk.views.switch.setChecked(False)
    before = desk.picture()
    first, second = (4, 25, 8), (4, 25, 18)
    assert not near(desk.colour(first), desk.colour(second))
    desk.tools.setTool("merge")
    desk.draw(first, (4, 25, 13), second)
    assert near(desk.colour(first), desk.colour(second))
    merged = desk.session.labels[4, 25, 8]
    assert (desk.session.labels[4, 8:32, 4:24] == merged).all()
    desk.session.undo()
    np.testing.assert_array_equal(desk.picture(), before)
    desk.session.redo()
    desk.viewer.dims.ndisplay = 3
    desk.settle()
    assert len(np.unique(desk.picture().reshape(-1, 3), axis=0)) > 4
    desk.session.undo()  # in 3D, the box is sent to the volume
    shown = desk.canvas.layer_to_visual[desk.layer].node._texture
    assert shown.shape[:3] == SHAPE


def test_every_tool_in_a_slice(desk, qtbot):
    labels = desk.session.labels
    desk.tools.setTool("split")
    desk.click((4, 12, 8))
    desk.click((4, 28, 8))
    qtbot.keyClick(desk.canvas.native, Qt.Key.Key_Return)
    assert labels[4, 12, 8] != labels[4, 28, 8]
    desk.tools.setTool("cut")
    desk.draw((4, 20, 12), (4, 20, 18), (4, 20, 26))
    assert labels[4, 12, 18] != labels[4, 28, 18]
    desk.tools.setTool("delete")
    desk.click((4, 12, 28))
    assert (labels != 3).all()
    desk.tools.setTool("add")
    desk.click((4, 20, 28))
    new = labels[4, 20, 28]
    assert new > 5
    desk.tools.setTool("merge")
    desk.click((4, 20, 38))
    desk.click((4, 20, 48))
    assert labels[4, 20, 38] == labels[4, 20, 48] != 0

    desk.tools.setTool("polygon")
    desk.tools.setDrawn(900, Guards(outside=True))
    for corner in ((4, 34, 10), (4, 34, 20), (4, 38, 20)):
        desk.click(corner)
    qtbot.keyClick(desk.canvas.native, Qt.Key.Key_Return)
    assert labels[4, 35, 18] == 900

    desk.tools.setTool("paint")
    desk.layer.mode, desk.layer.brush_size, desk.layer.selected_label = "paint", 3, labels[4, 12, 8]
    desk.draw((4, 20, 8), (4, 24, 8), (4, 30, 8))
    qtbot.waitUntil(lambda: desk.strokes.is_settled)
    assert (labels[4, 20:30, 8] == labels[4, 12, 8]).all()
    n = 0
    while desk.session.undo() is not None:
        n += 1
    assert n == 7
    desk.layer.mode = "pan_zoom"
    expected = np.repeat(np.arange(1, 6), 10)
    np.testing.assert_array_equal(labels[4, 20, 4:54], expected)


def test_click_tools_in_3d(desk):
    labels, camera = desk.session.labels, desk.viewer.scene.camera
    desk.viewer.dims.ndisplay = 3
    middle = QPoint(desk.canvas.native.width() // 2, desk.canvas.native.height() // 2)

    def click(cell):
        camera.center = tuple(np.multiply(desk.session.index.centroid(cell), SIZE))
        desk.settle()
        desk.drag(middle)

    picked = []
    desk.tools.picked.connect(lambda cell, _more: picked.append(cell))
    for cell in (2, 5):
        click(cell)
    assert picked == [2, 5]
    desk.tools.setTool("merge")
    click(1)
    click(2)
    assert 1 in desk.session.index
    assert 2 not in desk.session.index
    desk.tools.setTool("delete")
    click(4)
    assert not (labels == 4).any()
    before = camera.angles
    desk.drag(middle, *(middle + QPoint(20 * step, 0) for step in range(1, 4)))
    assert camera.angles != before  # a drag still turns the view
