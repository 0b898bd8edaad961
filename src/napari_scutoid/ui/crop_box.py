"""The part of a stack to keep: typed, taken from the view, or drawn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.ui.editors import AXES, IntegerBox
from napari_scutoid.ui.note import Note
from napari_scutoid.ui.overlay import Overlay, shown_part

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

    from napari_scutoid.steps.crop import Box

NAME = "Scutoid crop"
COLOUR = "#4ac0ff"
SLICES_FIRST = "Show slices along z in 2D first: the cube below the layer list switches between 2D and 3D."
DRAW_NOW = "Now draw a rectangle on the image: press the left mouse button and drag."


class CropBox(QWidget):
    """Choose a box of voxels; a rectangle in the viewer shows it.

    Parameters
    ----------
    viewer : napari.Viewer

    Signals
    -------
    valueChanged
        By hand, here or in the viewer; `setValue` is silent.
    """

    valueChanged = Signal()

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._image: Image | None = None
        self._shape: tuple[int, ...] = ()
        self.whole_button = QPushButton("Whole")
        self.whole_button.setToolTip("Keep the whole stack.")
        self.view_button = QPushButton("The view")
        self.view_button.setToolTip("Keep the rows and columns that the window shows now. The slices stay as chosen.")
        self.draw_button = QPushButton("Draw")
        self.draw_button.setToolTip(f"Draw a rectangle on the image, in a layer named “{NAME}”; drag it as you like.")
        self.boxes = {(axis, end): self._index_box(axis, end) for axis in AXES for end in ("from", "to")}
        self.note = Note()
        self.overlay = Overlay(viewer, NAME, "rectangle", COLOUR, self)

        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        buttons = QHBoxLayout()
        buttons.addWidget(QLabel("Keep"))
        for button in (self.whole_button, self.view_button, self.draw_button):
            buttons.addWidget(button, 1)
        rows.addLayout(buttons)
        grid = QGridLayout()
        for row, (axis, what) in enumerate(zip(AXES, ("slices (z)", "rows (y)", "columns (x)"), strict=True)):
            grid.addWidget(QLabel(what), row, 0)
            grid.addWidget(self.boxes[axis, "from"], row, 1)
            grid.addWidget(QLabel("to"), row, 2)
            grid.addWidget(self.boxes[axis, "to"], row, 3)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        rows.addLayout(grid)
        rows.addWidget(self.note)

        self.whole_button.clicked.connect(self.take_whole)
        self.view_button.clicked.connect(self.take_view)
        self.draw_button.clicked.connect(self.draw)
        for box in self.boxes.values():
            box.valueChanged.connect(self._on_edited)
        self.overlay.drawn.connect(self._on_drawn)
        self.overlay.closed.connect(self._on_closed)
        self.setImage(None)

    def value(self) -> Box | None:
        """Return the box; None for the whole stack, and where there is no box (see `problem`)."""
        z, y, x = (slice(low, high + 1) for low, high in self._bounds())
        if self.problem() is not None or not self._shape or (z, y, x) == tuple(slice(0, n) for n in self._shape):
            return None
        return z, y, x

    def setValue(self, box: Box | None) -> None:
        """Show a box; None is the whole stack."""
        self._show(box or tuple(slice(0, n) for n in self._shape or (1, 1, 1)))

    def problem(self) -> str | None:
        """Return why there is no box, or None."""
        wrong = [axis for axis, (low, high) in zip(AXES, self._bounds(), strict=True) if low > high]
        return f"Nothing is left along {', '.join(wrong)}: “from” lies behind “to”." if wrong else None

    def setImage(self, image: Image | None) -> None:
        """State whose voxels the box counts; it is kept where the image has as many, such as another channel."""
        shape = () if image is None else tuple(int(n) for n in image.data.shape)
        self._image = image
        self.setEnabled(image is not None)
        if shape != self._shape:
            self._shape = shape
            self.overlay.hide()
            for (axis, _), box in self.boxes.items():
                box.blockSignals(True)
                box.setMaximum(shape[AXES.index(axis)] - 1 if shape else 0)
                box.blockSignals(False)
            self.setValue(None)
        else:
            self._follow()

    def take_whole(self) -> None:
        """Keep everything."""
        self.overlay.hide()
        self.setValue(None)
        self.valueChanged.emit()

    def take_view(self) -> None:
        """Keep the rows and columns that the window shows."""
        part = None if self._image is None else shown_part(self._viewer, self._image)
        if part is None:
            self.note.setText(SLICES_FIRST)
            return
        self._set_plane(*part)

    def draw(self) -> None:
        """Let the user draw the rectangle."""
        if self._image is None:
            return
        if shown_part(self._viewer, self._image) is None:
            self.note.setText(SLICES_FIRST)
            return
        self.overlay.draw(self._image)
        self.note.setText(DRAW_NOW)

    def _set_plane(self, rows: slice, columns: slice) -> None:
        (z_from, z_to), _, _ = self._bounds()
        self._show((slice(z_from, z_to + 1), rows, columns))
        self.valueChanged.emit()

    def _show(self, box: tuple[slice, ...]) -> None:
        for axis, part in zip(AXES, box, strict=True):
            for end, index in (("from", part.start), ("to", part.stop - 1)):
                self.boxes[axis, end].blockSignals(True)
                self.boxes[axis, end].setValue(index)
                self.boxes[axis, end].blockSignals(False)
        self._follow()

    def _follow(self) -> None:
        """Lay the rectangle where the box is, and say how large that is."""
        box = self.value()
        kept = box or tuple(slice(0, n) for n in self._shape)
        all_of_it = " × ".join(map(str, self._shape))
        part = " × ".join(str(run.stop - run.start) for run in kept)
        self.note.setText("" if not self._shape else f"{part} of {all_of_it} voxels.")
        if box is not None and self._image is not None and kept[1:] != tuple(slice(0, n) for n in self._shape[1:]):
            (top, left), (bottom, right) = ((run.start - 0.5 for run in kept[1:]), (run.stop - 0.5 for run in kept[1:]))
            corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
            self.overlay.show(self._image, np.array(corners))
        elif self.problem() is None and self.overlay.value() is not None:
            self.overlay.hide()

    def _bounds(self) -> list[tuple[int, int]]:
        return [(self.boxes[axis, "from"].value(), self.boxes[axis, "to"].value()) for axis in AXES]

    def _on_edited(self) -> None:
        self._follow()
        self.valueChanged.emit()

    def _on_drawn(self) -> None:
        corners = self.overlay.value()
        if corners is None or not self._shape:
            return
        # A voxel belongs to the box when its centre does.
        low, high = np.ceil(corners.min(axis=0)), np.floor(corners.max(axis=0))
        rows, columns = (
            slice(max(0, math.trunc(start)), min(n, math.trunc(stop) + 1))
            for start, stop, n in zip(low, high, self._shape[1:], strict=True)
        )
        if rows.stop <= rows.start or columns.stop <= columns.start:
            self.setValue(None)
            self.note.setText("That rectangle holds no voxel of the image. Draw it again.")
            self.valueChanged.emit()
        else:
            self._set_plane(rows, columns)

    def _on_closed(self) -> None:
        """Follow the user, who removed the rectangle: rows and columns are whole again."""
        if self._shape:
            self._set_plane(slice(0, self._shape[1]), slice(0, self._shape[2]))

    def _index_box(self, axis: str, end: str) -> IntegerBox:
        box = IntegerBox()
        box.setButtonSymbols(box.ButtonSymbols.NoButtons)
        box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        box.setAccessibleName(f"{axis} {end}")
        box.setToolTip(
            f"{'First' if end == 'from' else 'Last'} voxel to keep along {axis}, counted from 0 as napari does."
        )
        return box
