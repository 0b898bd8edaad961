"""Ways to divide a cell, looked at one after the other before one of them is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.ui.dock import embolden
from napari_scutoid.ui.note import Note

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 3


class ProposalBar(QWidget):
    """A button a proposal; hidden while there is none.

    Signals
    -------
    valueChanged
        Another proposal is to be shown.
    taken
        Do the one that is shown.
    dropped
        Do none of them.
    """

    valueChanged = Signal()
    taken = Signal()
    dropped = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._titles: tuple[str, ...] = ()
        self._chosen: int | None = None
        self.words = Note()
        self.choices = [QPushButton(str(number)) for number in range(1, MOST + 1)]
        self.take_button = QPushButton("Take it")
        self.take_button.setToolTip("Divide the cell as it is shown.")
        embolden(self.take_button)
        self.drop_button = QPushButton("None")
        self.drop_button.setToolTip("Leave the cell as it is.")
        row = QHBoxLayout()
        for place, button in enumerate(self.choices):
            button.setCheckable(True)
            button.setProperty("place", place)
            button.setToolTip("Show this proposal in the image; nothing is changed yet.")
            button.clicked.connect(self._on_choice)
            row.addWidget(button)
        row.addWidget(self.take_button, 1)
        row.addWidget(self.drop_button)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.words)
        rows.addLayout(row)
        self.take_button.clicked.connect(self.taken)
        self.drop_button.clicked.connect(self.dropped)
        self.setValue(())

    def value(self) -> int | None:
        """Return which proposal is shown, counted from 0; None where there is none."""
        return self._chosen

    def setValue(self, titles: Sequence[str], chosen: int = 0) -> None:
        """Show proposals, best first, at most `MOST`; none hides the bar."""
        self._titles = tuple(titles[:MOST])
        self._chosen = chosen if chosen < len(self._titles) else None
        for place, button in enumerate(self.choices):
            button.setVisible(place < len(self._titles))
            button.setChecked(place == self._chosen)
        self.words.setText("" if self._chosen is None else f"Proposal {self._chosen + 1}: {self._titles[self._chosen]}")
        self.setVisible(bool(self._titles))

    def _on_choice(self) -> None:
        button = self.sender()
        if button is not None:
            self.setValue(self._titles, int(button.property("place")))
            self.valueChanged.emit()
