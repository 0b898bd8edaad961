"""Whether a stack is read, or shown from its file slice by slice; and what either takes."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QRadioButton, QVBoxLayout, QWidget

from napari_scutoid.ui.layers import MEMORY_SHARE
from napari_scutoid.ui.note import Note


def free_memory() -> int:
    """Return the bytes of memory that are free now."""
    import psutil

    return int(psutil.virtual_memory().available)


class MemoryChoice(QWidget):
    """Choose between memory and file.

    Signals
    -------
    valueChanged
        By hand; `setValue` and `setNeeds` are silent.
    """

    valueChanged = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image = self._labels = self._free = self._maps = 0
        self.read = QRadioButton("Read it into memory (fastest)")
        self.read.setToolTip(f"Right for stacks that take less than {MEMORY_SHARE:.0%} of the free memory.")
        self.leave = QRadioButton("Leave it in its file, read what is shown")
        self.leave.setToolTip(
            "<qt>For stacks that are too large for the memory. A packed file is unpacked once into your cache "
            "folder, so that moving through the slices does not stutter. 3D view still reads all of it.</qt>"
        )
        self.read.setChecked(True)
        self.note = Note()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        for widget in (self.read, self.leave, self.note):
            rows.addWidget(widget)
        self.read.toggled.connect(self._on_toggled)

    def value(self) -> bool:
        """Return whether to read the stack into memory."""
        return self.read.isChecked()

    def setValue(self, in_memory: bool) -> None:
        """Choose."""
        self.read.blockSignals(True)
        (self.read if in_memory else self.leave).setChecked(True)
        self.read.blockSignals(False)
        self._describe()

    def setNeeds(self, image: int, labels: int, free: int, maps: int = 0) -> None:
        """State the bytes of the image, the labels and the maps of probabilities, and those that are free."""
        self._image, self._labels, self._free, self._maps = image, labels, free, maps
        self._describe()

    def is_sensible(self) -> bool:
        """Whether there is memory for the stack and for what is done with it."""
        return self._image + self._maps <= MEMORY_SHARE * self._free

    def problem(self) -> str | None:
        """Return why the choice cannot be made, or None."""
        needed = self._labels + (self._image + self._maps if self.value() else 0)
        if needed <= self._free:
            return None
        other = "leave the stack in its file" if self.value() and self._labels <= self._free else "close other programs"
        return f"This takes {in_words(needed)} of memory, and {in_words(self._free)} are free: {other}."

    def _on_toggled(self) -> None:
        self._describe()
        self.valueChanged.emit()

    def _describe(self) -> None:
        image, maps = (self._image, self._maps) if self.value() else (0, 0)
        needs = ((image, "image"), (self._labels, "labels"), (maps, "maps"))
        parts = [f"{in_words(size)} {what}" for size, what in needs if size]
        self.note.setText(f"Takes {' + '.join(parts) or 'next to nothing'} of memory; free: {in_words(self._free)}.")
        self.note.setVisible(bool(self._image or self._labels or self._maps))


def in_words(size: int) -> str:
    """Return a number of bytes as a person reads it."""
    for unit, power in (("GB", 30), ("MB", 20), ("kB", 10)):
        if size >= 2**power:
            return f"{size / 2**power:.1f} {unit}"
    return f"{size} bytes"
