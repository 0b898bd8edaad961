"""Who corrected what, for how long, by which edits: a card for the laboratory book."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QApplication, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.ui.note import Note

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What is known of the corrections of a stack.

    Parameters
    ----------
    labels : str
        What is corrected.
    authors : sequence of str
        Who made edits, the present user first.
    seconds : float
        At work, in all sittings; pauses are left out.
    edits : mapping of str to int
        How many of each kind are in the labels now.
    n_cells : int
    accepted : int
        Cells.
    journal : str
        Where every edit is written.
    """

    labels: str
    authors: Sequence[str] = ()
    seconds: float = 0.0
    edits: Mapping[str, int] = field(default_factory=dict)
    n_cells: int = 0
    accepted: int = 0
    journal: str = ""

    def lines(self) -> list[str]:
        """Return the facts in words, one a line."""
        total = sum(self.edits.values())
        kinds = sorted(self.edits.items(), key=lambda item: (-item[1], item[0]))
        edits = f"{total} edit{'' if total == 1 else 's'}"
        if kinds:
            edits += ": " + ", ".join(f"{number} × {kind.replace('_', ' ')}" for kind, number in kinds)
        lines = [f"What: {self.labels}, {self.n_cells} cells, {self.accepted} accepted"]
        if self.authors:
            lines.append(f"Who: {', '.join(self.authors)}")
        lines += [f"At work: {duration(self.seconds)}", edits]
        return lines + ([f"Journal: {self.journal}"] if self.journal else [])


def duration(seconds: float) -> str:
    """Return how long something took: ``"1 h 20 min"``."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


class SessionCard(QWidget):
    """Shows the facts, and puts them on the clipboard."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._facts: SessionFacts | None = None
        self.words = Note()
        self.copy_button = QPushButton("Copy")
        self.copy_button.setToolTip("Copy these lines, for a laboratory book.")
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.words)
        rows.addWidget(self.copy_button)
        rows.addStretch(1)
        self.copy_button.clicked.connect(self.copy)
        self.setValue(None)

    def value(self) -> SessionFacts | None:
        """Return what is shown."""
        return self._facts

    def setValue(self, facts: SessionFacts | None) -> None:
        """Show facts, or none."""
        self._facts = facts
        self.words.setText("" if facts is None else "\n".join(facts.lines()))
        self.copy_button.setEnabled(facts is not None)

    def copy(self) -> None:
        """Put the lines on the clipboard."""
        clipboard = QApplication.clipboard()
        if clipboard is not None and self._facts is not None:
            clipboard.setText("\n".join(self._facts.lines()))
