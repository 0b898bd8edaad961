"""What each axis of a data set is, where its file does not say it or is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_scutoid.ui.editors import ChoiceBox

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = {"Z": "z", "Y": "y", "X": "x", "C": "channel", "T": "time"}
TIP = (
    "What the axis of this length is. z counts the slices, y the rows of a slice, x its columns. "
    "To swap two axes, choose for one what the other is now."
)


class AxesEdit(QWidget):
    """One list for each axis; they are always different, for choosing a name takes it from the axis that had it.

    Signals
    -------
    valueChanged
        By hand; `setValue` is silent.
    """

    valueChanged = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._axes = ""
        self.boxes: list[ChoiceBox] = []
        self._row = QGridLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)

    def value(self) -> str:
        """Return a letter of T, C, Z, Y, X for each axis, in the order of the file's list."""
        return self._axes

    def setValue(self, axes: str, shape: Sequence[int] | None = None) -> None:
        """Show the axes of a data set.

        Parameters
        ----------
        axes : str
            A letter for each.
        shape : sequence of int, optional
            Their lengths; without it, those of the data set before.
        """
        if shape is not None:
            self._lay_out(shape)
        self._axes = axes
        for box, letter in zip(self.boxes, axes, strict=True):
            box.blockSignals(True)
            box.setCurrentText(NAMES[letter])
            box.blockSignals(False)

    def _lay_out(self, shape: Sequence[int]) -> None:
        while (item := self._row.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.deleteLater()
        letters = "ZYX" if len(shape) <= 3 else "ZYXCT"
        self.boxes = []
        for column, length in enumerate(shape):
            box = ChoiceBox()
            box.addItems([NAMES[letter] for letter in letters])
            box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            box.setToolTip(f"<qt>{TIP}</qt>")
            box.setAccessibleName(f"Axis {column + 1}, of length {length}")
            box.setMinimumContentsLength(1)
            box.currentTextChanged.connect(self._on_edited)
            label = QLabel(str(length))
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            label.setToolTip(f"<qt>{TIP}</qt>")
            self._row.addWidget(label, 0, column)
            self._row.addWidget(box, 1, column)
            self.boxes.append(box)

    def _on_edited(self) -> None:
        letters = {name: letter for letter, name in NAMES.items()}
        now = [letters[box.currentText()] for box in self.boxes]
        changed = next(i for i, (old, new) in enumerate(zip(self._axes, now, strict=True)) if old != new)
        # The axis that has this name already takes the other's; y and x so never get lost.
        for other, letter in enumerate(now):
            if other != changed and letter == now[changed]:
                now[other] = self._axes[changed]
        if not set("YX") <= set(now):
            now = list(self._axes)
        before = self._axes
        self.setValue("".join(now))
        if self._axes != before:
            self.valueChanged.emit()
