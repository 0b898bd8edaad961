"""Three pictures of a stack, side by side, to see whether its axes are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.io.preview import Sections
    from napari_scutoid.volume import VoxelSize

SIDE = 104
FLATTEST = 8
PLANES = {
    "xy": "One slice: x to the right, y downwards. Cells should look as they do under the microscope.",
    "xz": "The stack from the side: x to the right, z downwards.",
    "yz": "The stack from the other side: z to the right, y downwards.",
}


def pixmap_of(greys: NDArray[np.uint8]) -> QPixmap:
    """Return a picture for Qt; `greys` has shape (rows, columns)."""
    rows, columns = greys.shape
    image = QImage(np.ascontiguousarray(greys).tobytes(), columns, rows, columns, QImage.Format.Format_Grayscale8)
    # fromImage copies, so the bytes may go.
    return QPixmap.fromImage(image)


class SectionsView(QWidget):
    """Show planes through the middle of a stack, in the proportions that its voxels have."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sections: Sections | None = None
        self._shape = (1, 1, 1)
        self._size: VoxelSize | None = None
        self.pictures: dict[str, QLabel] = {}
        rows = QGridLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        for column, (name, meaning) in enumerate(PLANES.items()):
            picture = QLabel()
            picture.setFixedSize(SIDE, SIDE)
            picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
            picture.setToolTip(meaning)
            picture.setAccessibleName(f"Plane {name} through the middle of the stack")
            title = QLabel(name)
            title.setToolTip(meaning)
            title.setAlignment(Qt.AlignmentFlag.AlignCenter)
            rows.addWidget(picture, 0, column, Qt.AlignmentFlag.AlignCenter)
            rows.addWidget(title, 1, column)
            self.pictures[name] = picture
        self.setValue(None)

    def value(self) -> Sections | None:
        """Return what is shown."""
        return self._sections

    def setValue(
        self, sections: Sections | None, shape: tuple[int, int, int] = (1, 1, 1), reason: str = "no picture"
    ) -> None:
        """Show pictures of a stack.

        Parameters
        ----------
        sections : Sections or None
        shape : tuple of int
            Voxels along z, y, x: the pictures may be thinned.
        reason : str
            What is said instead of a picture.
        """
        self._sections, self._shape = sections, shape
        for name, picture in self.pictures.items():
            greys = None if sections is None else getattr(sections, name)
            picture.setText("" if greys is not None else reason)
        self._draw()

    def setVoxelSize(self, size: VoxelSize | None) -> None:
        """State the proportions of a voxel; unknown ones are taken for a cube's."""
        self._size = size
        self._draw()

    def _draw(self) -> None:
        for name, picture in self.pictures.items():
            greys = None if self._sections is None else getattr(self._sections, name)
            if greys is not None:
                width, height = self._extent(name[0]), self._extent(name[1])
                if name == "yz":
                    width, height = height, width
                longest = max(width, height)
                # What is nearly a line shows nothing.
                columns, rows = (max(SIDE // FLATTEST, round(SIDE * side / longest)) for side in (width, height))
                smooth, stretch = Qt.TransformationMode.SmoothTransformation, Qt.AspectRatioMode.IgnoreAspectRatio
                picture.setPixmap(pixmap_of(greys).scaled(columns, rows, stretch, smooth))

    def _extent(self, axis: str) -> float:
        at = "zyx".index(axis)
        return self._shape[at] * (1.0 if self._size is None else self._size[at])
