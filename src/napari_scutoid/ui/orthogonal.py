"""The stack from three sides: XY in the viewer's canvas, XZ and YZ beside it, and one crosshair that joins them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QSplitter, QVBoxLayout, QWidget

from napari_scutoid.ui import layers
from napari_scutoid.ui.slice_view import LINE, STILL, SliceView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import napari
    from napari.layers import Layer, Vectors

    from napari_scutoid.ui.slice_view import Mark, SideEvent

NAME = "Scutoid crosshair"
WIDTH = 1.5
"""Of the crosshair's lines in the viewer's canvas, in pixels of the screen."""
Z, Y, X = 0, 1, 2


class OrthogonalViews(QWidget):
    """XZ and YZ beside the viewer's own XY, of the same layers.

    A click in any of the three, without a drag, moves the crosshair there.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Labels
        The labels that are corrected; the crosshair lies on their voxels.

    Signals
    -------
    moved : tuple of 3 floats
        The crosshair is at another place, in the world.
    """

    moved = Signal(object)

    def __init__(self, viewer: napari.Viewer, layer: Layer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._layer = viewer, layers.held_weakly(layer)
        self.xz, self.yz = SliceView(viewer, Z, X), SliceView(viewer, Y, Z)
        self.crosshair = Crosshair(viewer, layer, self)
        self.switch = QCheckBox("Crosshair in the image")
        self.switch.setChecked(True)
        self.switch.setToolTip("<qt>Show where the views from the side cut the slice. Clicks move it anyhow.</qt>")
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        for view in self.views:
            self.splitter.addWidget(view)
            view.pointed.connect(self.setPoint)
        rows.addWidget(self.splitter, 1)
        rows.addWidget(self.switch)
        self.switch.toggled.connect(self.crosshair.setShown)
        self.crosshair.closed.connect(lambda: self.switch.setChecked(False))
        viewer.mouse_drag_callbacks.append(self._on_drag)
        viewer.dims.events.point.connect(self._on_dims)
        low, high = layer.extent.world
        self._point = self._clipped((low + high) / 2)
        self._point = self._with_slices()
        self.crosshair.setShown(True)
        self._show(centre=False)

    @property
    def views(self) -> tuple[SliceView, SliceView]:
        """XZ and YZ."""
        return self.xz, self.yz

    def point(self) -> tuple[float, float, float]:
        """Return the place of the crosshair, in the world."""
        return self._point

    def setPoint(self, point: Sequence[float], *, centre: bool = False) -> None:
        """Move the crosshair, and all three views where they would not show it.

        Parameters
        ----------
        point : sequence of 3 floats
            In the world.
        centre : bool
            Whether to move it into the middle of the three views.
        """
        if self._layer() is None:
            return
        self._point = self._clipped(point)
        dims = self._viewer.dims
        hidden = [axis for axis in range(3) if axis + dims.ndim - 3 not in dims.displayed]
        # Where the shown axes have their point makes no picture differ, and setting it would cut all layers again.
        dims.set_point([axis + dims.ndim - 3 for axis in hidden], [self._point[axis] for axis in hidden])
        self._show(centre)

    def look(self, point: Sequence[float], extent: float | None = None) -> None:
        """Bring a place into the middle of the three views, so that it can be seen at once.

        Parameters
        ----------
        point : sequence of 3 floats
            In the world.
        extent : float, optional
            How much of the world around it must be seen; what shows more than ten times as much, or less, is zoomed.
        """
        self.setPoint(point, centre=True)
        camera, dims = self._viewer.scene.camera, self._viewer.dims
        centre = np.array(camera.center, float)
        shown = list(dims.displayed)
        centre[-len(shown) :] = [self._point[axis - (dims.ndim - 3)] for axis in shown]
        camera.center = tuple(centre)
        if extent is None or extent <= 0:
            return
        height = float(min(self._viewer.canvas.size))
        if not 1 < height / camera.zoom / extent < 10:
            camera.zoom = height / (3 * extent)
        for view in self.views:
            side = min(view.width(), view.height())
            if not 1 < side / view.zoom() / extent < 10:
                view.setZoom(side / (2 * extent))

    def setTool(self, tool: Callable[[SideEvent], bool] | None) -> None:
        """Offer what the mouse does in the views from the side to a tool; it returns whether it takes it."""
        for view in self.views:
            view.tool = tool

    def setMarks(self, marks: Sequence[Mark]) -> None:
        """Show in the views from the side what a tool draws."""
        for view in self.views:
            view.setMarks(marks)

    def refresh(self, _change: object = None) -> None:
        """Show the labels as they are now."""
        for view in self.views:
            view.update()

    def stop(self) -> None:
        """Follow the viewer no longer, and take the crosshair out of it."""
        if self._on_drag in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_drag)
            self._viewer.dims.events.point.disconnect(self._on_dims)
            for view in self.views:
                view.stop()
        self.crosshair.stop()

    def resizeEvent(self, event: Any) -> None:
        """Lay the views side by side where that is wider than high."""
        super().resizeEvent(event)
        wide = self.width() > 1.5 * self.height()
        self.splitter.setOrientation(Qt.Orientation.Horizontal if wide else Qt.Orientation.Vertical)

    def _show(self, centre: bool) -> None:
        for view in self.views:
            view.setPoint(self._point, centre=centre)
        self.crosshair.setPoint(self._point)
        self.moved.emit(self._point)

    def _clipped(self, point: Sequence[float]) -> tuple[float, float, float]:
        layer = self._layer()
        low, high = (point, point) if layer is None else layer.extent.world
        z, y, x = (float(n) for n in np.clip(point, low, high))
        return z, y, x

    def _with_slices(self) -> tuple[float, float, float]:
        """Return the crosshair's place, in the slices that the viewer shows."""
        dims = self._viewer.dims
        z, y, x = (
            old if axis + dims.ndim - 3 in dims.displayed else float(dims.point[axis + dims.ndim - 3])
            for axis, old in enumerate(self._point)
        )
        return z, y, x

    def _on_dims(self, _event: object = None) -> None:
        if self._layer() is None or self._viewer.dims.ndim < 3:
            return
        there = self._clipped(self._with_slices())
        if there != self._point:
            self._point = there
            self._show(centre=False)

    def _on_drag(self, _viewer: Any, event: Any) -> Iterator[None]:
        if event.button != 1 or len(event.dims_displayed) != 2 or self._layer() is None:
            return
        pressed = np.asarray(event.pos, float)
        place = event.position[-3:]
        yield
        while event.type == "mouse_move":
            if np.abs(np.asarray(event.pos, float) - pressed).sum() > STILL:
                return
            yield
        self.setPoint(place)


class Crosshair(QObject):
    """Three lines through a place, as a layer, so that all slices and 3D show it.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Layer
        On whose voxels it lies, and whose extent it spans.

    Signals
    -------
    closed
        The user removed its layer.
    """

    closed = Signal()

    def __init__(self, viewer: napari.Viewer, layer: Layer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._shape = np.array(layer.data.shape)
        self._grid = {name: getattr(layer, name) for name in ("scale", "translate", "units", "axis_labels")}
        self._voxel = self._shape // 2
        self.layer: Vectors | None = None
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.scene.camera.events.zoom.connect(self._on_zoom)

    def setShown(self, shown: bool) -> None:
        """Show it, or not."""
        if shown and self.layer is None:
            selected = set(self._viewer.layers.selection)
            active = self._viewer.layers.selection.active
            made = self._viewer.add_vectors(
                self._lines(),
                name=NAME,
                edge_color=LINE,
                vector_style="line",
                edge_width=self._width(),
                opacity=0.8,
                blending="translucent_no_depth",
                metadata={layers.METADATA: {"kind": "crosshair"}},
                **self._grid,
            )
            self.layer = layers.unwrapped(made)
            # What the user worked on stays what the mouse and the keys work on.
            self._viewer.layers.selection = selected
            self._viewer.layers.selection.active = active
        if self.layer is not None:
            self.layer.visible = shown

    def setPoint(self, point: Sequence[float]) -> None:
        """Move it to a place in the world."""
        voxel = np.rint((np.asarray(point) - self._grid["translate"]) / self._grid["scale"]).astype(int)
        voxel = np.clip(voxel, 0, self._shape - 1)
        if np.array_equal(voxel, self._voxel):
            return
        self._voxel = voxel
        if self.layer is None:
            return
        # Its extent stays as it is, and its thumbnail tells nothing; napari would draw the window again for either.
        events = self.layer.events
        with self.layer._block_refresh(), events.extent.blocker(), events.data.blocker():
            self.layer.data = self._lines()
        self.layer.refresh(extent=False, thumbnail=False, highlight=False)

    def stop(self) -> None:
        """Take it out of the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.scene.camera.events.zoom.disconnect(self._on_zoom)
        layer, self.layer = self.layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _lines(self) -> Any:
        """Return a start and a way for each axis, shape (3, 2, 3)."""
        lines = np.zeros((3, 2, 3), np.float32)
        lines[:, 0] = self._voxel
        for axis in range(3):
            lines[axis, 0, axis] = 0
            lines[axis, 1, axis] = self._shape[axis] - 1
        return lines

    def _width(self) -> float:
        # As thin on the screen at any zoom, so that it hides nothing.
        return WIDTH / max(self._viewer.scene.camera.zoom * float(self._grid["scale"][-1]), 1e-6)

    def _on_zoom(self, _event: object = None) -> None:
        if self.layer is not None and self.layer.visible:
            self.layer.edge_width = self._width()

    def _on_removed(self, _event: object = None) -> None:
        if self.layer is not None and self.layer not in self._viewer.layers:
            self.layer = None
            self.closed.emit()
