"""Move a layer with the mouse: Shift and drag, as one moves a window by its frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_scutoid.ui import layers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from weakref import ref

    import napari
    from napari.layers import Layer

KEY = "Shift"


class BoxDrag(QObject):
    """Lets the user drag one layer through the slices that are shown, and tells where it was let go.

    Parameters
    ----------
    viewer : napari.Viewer

    Signals
    -------
    moved : tuple of float
        How far it was moved, in world coordinates, one number for each of the layer's axes.
    """

    moved = Signal(object)

    def __init__(self, viewer: napari.Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: ref[Layer] | None = None

    def follow(self, layer: Layer) -> None:
        """Let this layer be dragged."""
        self._layer = layers.held_weakly(layer)
        if self._dragged not in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.append(self._dragged)

    def stop(self) -> None:
        """Let nothing be dragged."""
        self._layer = None
        # napari holds its callbacks for as long as the window lives.
        if self._dragged in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._dragged)

    def _dragged(self, viewer: napari.Viewer, event: Any) -> Iterator[None]:
        layer = None if self._layer is None else self._layer()
        if layer is None or KEY not in event.modifiers or viewer.dims.ndisplay != 2 or not _holds(layer, event):
            return
        camera, start, first = viewer.scene.camera, np.array(event.position), np.array(layer.translate)
        pans, camera.mouse_pan = camera.mouse_pan, False
        by = np.zeros(layer.ndim)
        try:
            yield
            while event.type == "mouse_move":
                by = (np.array(event.position) - start)[-layer.ndim :]
                layer.translate = first + by
                yield
        finally:
            camera.mouse_pan = pans
        if by.any():
            self.moved.emit(tuple(map(float, by)))


def _holds(layer: Layer, event: Any) -> bool:
    """Whether the mouse is over the layer."""
    place = np.array(layer.world_to_data(event.position))[-layer.ndim :]
    return bool(np.all(place >= -0.5) and np.all(place <= np.array(layer.data.shape) - 0.5))
