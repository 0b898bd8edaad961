"""The typical cell as a circle over the image: dragging it says how large cells are, without counting voxels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_scutoid.ui.overlay import Overlay, shown_part

if TYPE_CHECKING:
    import napari
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_scutoid.volume import VoxelSize

NAME = "Scutoid typical cell"
COLOUR = "#ffd24a"


class CellCircle(QObject):
    """A circle that is as large as a typical cell; on pixels that are no squares it is an ellipse of pixels.

    Parameters
    ----------
    viewer : napari.Viewer

    Signals
    -------
    valueChanged
        The user dragged it to another size.
    shownChanged : bool
        It appeared, or went.
    """

    valueChanged = Signal()
    shownChanged = Signal(bool)

    def __init__(self, viewer: napari.Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._diameter = 0.0
        self._spacing: VoxelSize | None = None
        self.overlay = Overlay(viewer, NAME, "ellipse", COLOUR, self)
        self.overlay.drawn.connect(self._on_drawn)
        self.overlay.closed.connect(self._on_closed)

    @property
    def is_shown(self) -> bool:
        """Whether there is a circle to be seen."""
        return self.overlay.layer is not None and bool(self.overlay.layer.visible)

    def value(self) -> float:
        """Return the diameter in voxels: that of a ball of as many voxels as the typical cell."""
        return self._diameter

    def show(self, image: Image, diameter: float, spacing: VoxelSize) -> None:
        """Show the circle, or give it another size where it is.

        Parameters
        ----------
        image : Image
        diameter : float
            In voxels, as `value` returns it.
        spacing : VoxelSize
            Edges of a voxel, in any unit.
        """
        from napari_scutoid.steps.cell_size import extent_of

        corners, was_shown = self.overlay.value(), self.is_shown
        centre = _middle(self._viewer, image) if corners is None else corners.mean(axis=0)
        self._diameter, self._spacing = diameter, spacing
        _, height, width = extent_of(diameter, spacing)
        half = np.array([(-height, -width), (-height, width), (height, width), (height, -width)]) / 2
        self.overlay.show(image, centre + half)
        if not was_shown:
            self.overlay.select()
            self.shownChanged.emit(True)

    def hide(self) -> None:
        """Take the circle away."""
        was_shown = self.is_shown
        self.overlay.hide()
        if was_shown:
            self.shownChanged.emit(False)

    def cover(self) -> None:
        """Make the circle invisible, but leave its layer: napari may crash when others are added as it is removed."""
        if self.is_shown:
            self.overlay.cover()
            self.shownChanged.emit(False)

    def _on_drawn(self) -> None:
        from napari_scutoid.steps.cell_size import diameter_of

        corners = self.overlay.value()
        if corners is None or self._spacing is None:
            return
        # Of an ellipse, also a turned one, the circle of the same area counts.
        (a, b), (c, d) = corners[1] - corners[0], corners[3] - corners[0]
        diameter = diameter_of(math.pi / 4 * abs(a * d - b * c), self._spacing)
        if not math.isclose(diameter, self._diameter, rel_tol=1e-6):
            self._diameter = diameter
            self.valueChanged.emit()

    def _on_closed(self) -> None:
        self.shownChanged.emit(False)


def _middle(viewer: napari.Viewer, image: Image) -> NDArray[np.float64]:
    """Return the middle of what is seen of the image, else of the image."""
    part = shown_part(viewer, image) or tuple(slice(0, n) for n in image.data.shape[-2:])
    return np.array([(run.start + run.stop - 1) / 2 for run in part])
