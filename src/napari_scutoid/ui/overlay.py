"""One shape that lies over all slices of an image and can be moved with the mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Layer, Shapes
    from numpy.typing import NDArray

ShapeType = Literal["rectangle", "ellipse"]

LINE = 0.005
"""Width of the line, as a share of the image's longer side."""


class Overlay(QObject):
    """A napari layer with one shape, in pixels of the slices of an image.

    Parameters
    ----------
    viewer : napari.Viewer
    name : str
        Of the layer.
    shape_type : {"rectangle", "ellipse"}
    colour : str
        Of its line.

    Signals
    -------
    drawn
        The user drew or moved the shape.
    closed
        The user removed the layer.
    """

    drawn = Signal()
    closed = Signal()

    def __init__(
        self, viewer: napari.Viewer, name: str, shape_type: ShapeType, colour: str, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._name, self._shape_type, self._colour = name, shape_type, colour
        self._layer: Shapes | None = None
        self._corners: NDArray[np.float64] | None = None
        # napari tells of a shape before it has finished drawing it; answering then would disturb it.
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(0)
        self._settled.timeout.connect(self._read)
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def layer(self) -> Shapes | None:
        """The layer, while there is one."""
        return self._layer

    def value(self) -> NDArray[np.float64] | None:
        """Return the shape's four corners (y, x) in pixels, in order; an ellipse has those of the box around it."""
        return self._corners

    def show(self, image: Image, corners: NDArray[np.float64]) -> None:
        """Show a shape over an image."""
        layer = self._on_image(image)
        self._corners = np.asarray(corners, float)
        was_selected = str(layer.mode) == "select"
        with layer.events.data.blocker(self._on_data):
            layer.data = [(self._corners, self._shape_type)]
            layer.edge_width = _line(image)
        layer.visible = True
        if was_selected:
            # New data ends the mode.
            self._take_handles(layer)

    def draw(self, image: Image) -> None:
        """Let the user draw the shape; the one before is taken away."""
        layer = self._on_image(image)
        self._corners = None
        with layer.events.data.blocker(self._on_data):
            layer.data = []
        layer.current_edge_width = _line(image)
        self._viewer.layers.selection.active = layer
        layer.mode = f"add_{self._shape_type}"

    def select(self) -> None:
        """Show the handles of the shape, so that it can be dragged."""
        if self._layer is not None and len(self._layer.data):
            self._viewer.layers.selection.active = self._layer
            self._take_handles(self._layer)

    def cover(self) -> None:
        """Make the layer invisible, until it is shown again."""
        if self._layer is not None:
            self._layer.visible = False

    def hide(self) -> None:
        """Remove the layer."""
        layer, self._layer, self._corners = self._layer, None, None
        self._settled.stop()
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    @staticmethod
    def _take_handles(layer: Shapes) -> None:
        layer.mode = "select"
        layer.selected_data = {0}

    def _on_image(self, image: Image) -> Shapes:
        """Return the layer, in the place of the image's slices."""
        grid = {name: getattr(image, name)[-2:] for name in ("scale", "translate", "units", "axis_labels")}
        if self._layer is None:
            active = self._viewer.layers.selection.active
            layer = self._layer = self._viewer.add_shapes(
                None, ndim=2, name=self._name, edge_color=self._colour, face_color="transparent", **grid
            )
            layer.events.data.connect(self._on_data)
            # What the user worked on stays what the mouse works on.
            self._viewer.layers.selection.active = active
        else:
            for name, value in grid.items():
                setattr(self._layer, name, value)
        return self._layer

    def _on_data(self, _event: object = None) -> None:
        self._settled.start()

    def _read(self) -> None:
        layer = self._layer
        if layer is None or not len(layer.data):
            return
        if len(layer.data) > 1:
            # The shape drawn last is the one that counts.
            with layer.events.data.blocker(self._on_data):
                layer.data = [(layer.data[-1], self._shape_type)]
        if str(layer.mode).startswith("add"):
            self.select()
        self._corners = np.asarray(layer.data[0], float)[:, -2:]
        self.drawn.emit()

    def _on_removed(self, _event: object = None) -> None:
        if self._layer is not None and self._layer not in self._viewer.layers:
            self._layer, self._corners = None, None
            self._settled.stop()
            self.closed.emit()


def shown_part(viewer: napari.Viewer, image: Layer) -> tuple[slice, slice] | None:
    """Return the rows and columns of an image that the window shows; None while it shows no slices along z."""
    if viewer.dims.ndisplay != 2 or tuple(viewer.dims.displayed) != (viewer.dims.ndim - 2, viewer.dims.ndim - 1):
        return None
    top, bottom = np.asarray(image.corner_pixels)[:, -2:].astype(int)
    if not np.any(bottom):  # nothing was drawn yet
        return slice(0, image.data.shape[-2]), slice(0, image.data.shape[-1])
    rows, columns = (slice(int(low), int(high) + 1) for low, high in zip(top, bottom, strict=True))
    return rows, columns


def _line(image: Image) -> float:
    return max(0.5, LINE * max(image.data.shape[-2:]))
