"""What is probably wrong, one after the other: why, what would mend it, and four keys to decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_scutoid.ui.dock import embolden
from napari_scutoid.ui.editors import ChoiceBox
from napari_scutoid.ui.note import Note

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FILTERS = {
    "unseen": "not seen yet",
    "near": "not seen yet, near here",
    "border": "not seen yet, cut by the border",
    "flagged": "flagged for later",
    "all": "all cells, seen ones too",
}
"""Which suspects are stepped through."""
KEYS = ("next", "previous", "accept", "fix", "skip", "flag")
"""What keys may stand for, see `setKeys`."""


@dataclass(frozen=True, slots=True)
class SuspectCard:
    """What is shown of a suspect.

    Parameters
    ----------
    title : str
        What it is: ``"Cell 217"``, ``"Wall between 31 and 217"``.
    chance : float or None
        That something is wrong, 0 to 1; None where nobody has measured it.
    reasons : sequence of str
        In words, the strongest first: ``"weak wall to cell 217: 0.18"``.
    fix : str
        What would mend it: ``"Merge 31 and 217"``; empty where nothing is proposed.
    note : str
        What somebody wrote to it.
    """

    title: str
    chance: float | None
    reasons: Sequence[str] = ()
    fix: str = ""
    note: str = ""


class SuspectPanel(QWidget):
    """The present suspect and what can be said of it.

    Signals
    -------
    nextAsked, previousAsked
        Show another suspect.
    acceptAsked, fixAsked, skipAsked
        Decide on the present one.
    flagAsked : str
        Keep it for later, with a note.
    filterChanged
        Others are to be stepped through.
    opinionAsked
        The network is to look at the stack once more.
    """

    nextAsked = Signal()
    previousAsked = Signal()
    acceptAsked = Signal()
    fixAsked = Signal()
    skipAsked = Signal()
    flagAsked = Signal(str)
    filterChanged = Signal()
    opinionAsked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._card: SuspectCard | None = None
        self._keys: dict[str, str] = {}
        self.progress = Note()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.box = ChoiceBox()
        for name, words in FILTERS.items():
            self.box.addItem(words, name)
        self.box.setToolTip("Which suspects the next key steps through.")
        self.title = QLabel()
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        embolden(self.title)
        self.reasons = Note()
        self.next_button = QPushButton()
        self.next_button.setToolTip("Show the next suspect, the most probable mistake first.")
        embolden(self.next_button)
        self.previous_button = QPushButton("◀")
        self.previous_button.setToolTip("Show the suspect before.")
        self.accept_button = QPushButton()
        self.accept_button.setToolTip("It is right: lock it, so that no edit and no new segmentation changes it.")
        self.fix_button = QPushButton()
        self.fix_button.setToolTip("Do what is proposed, look at it, then accept or undo.")
        self.skip_button = QPushButton()
        self.skip_button.setToolTip("Leave it as it is, unlocked, and go on. It counts as seen.")
        self.flag_button = QPushButton()
        self.flag_button.setToolTip("Keep it for later: write why, press Enter, and go on.")
        self.opinion_button = QPushButton("Ask the network once more")
        self.opinion_button.setToolTip(
            "<qt>It looks at the stack mirrored. Cells that it then sees otherwise move up the list. This takes about "
            "as long as to segment the stack, twice where that was on another day; go on correcting meanwhile.</qt>"
        )
        self.note = QLineEdit()
        self.note.setPlaceholderText("why? (Enter flags it, Esc does not)")
        self.note.setMaxLength(500)
        self.note.installEventFilter(self)
        self.note.hide()
        self._lay_out()

        self.next_button.clicked.connect(self.nextAsked)
        self.previous_button.clicked.connect(self.previousAsked)
        self.accept_button.clicked.connect(self.acceptAsked)
        self.fix_button.clicked.connect(self.fixAsked)
        self.skip_button.clicked.connect(self.skipAsked)
        self.flag_button.clicked.connect(self.ask_for_note)
        self.opinion_button.clicked.connect(self.opinionAsked)
        self.note.returnPressed.connect(self._on_note)
        self.box.currentIndexChanged.connect(self.filterChanged)
        self.setKeys({})
        self.setValue(None)
        self.setProgress("", 0, 0)

    def value(self) -> SuspectCard | None:
        """Return what is shown."""
        return self._card

    def setValue(self, card: SuspectCard | None, nothing: str = "") -> None:
        """Show a suspect, or none and why.

        Parameters
        ----------
        card : SuspectCard or None
        nothing : str
            What is shown where there is none.
        """
        self._card = card
        self.note.hide()
        if card is None:
            self.title.setText("")
            self.reasons.setText(nothing)
        else:
            chance = "" if card.chance is None else f": {card.chance:.0%} likely to be wrong"
            self.title.setText(f"{card.title}{chance}")
            lines = [f"• {reason}" for reason in card.reasons]
            lines += [f"Proposed: {card.fix}"] if card.fix else []
            lines += [f"Note: {card.note}"] if card.note else []
            self.reasons.setText("\n".join(lines))
            self.note.setText(card.note)
        self.title.setVisible(card is not None)
        for button in (self.accept_button, self.skip_button, self.flag_button):
            button.setEnabled(card is not None)
        self.fix_button.setEnabled(card is not None and bool(card.fix))

    def setProgress(self, words: str, done: int, total: int) -> None:
        """Show how far the work is.

        Parameters
        ----------
        words : str
            Such as ``"412 of 2310 cells accepted, 61 an hour, about 31 h left"``.
        done, total : int
        """
        self.progress.setText(words)
        self.progress.setVisible(bool(words))
        self.bar.setVisible(total > 0)
        self.bar.setRange(0, max(1, total))
        self.bar.setValue(done)

    def setKeys(self, keys: Mapping[str, str]) -> None:
        """Name the keys on the buttons, by action as in `KEYS`."""
        self._keys |= keys
        for button, words, action in (
            (self.next_button, "Next suspect", "next"),
            (self.accept_button, "Accept", "accept"),
            (self.fix_button, "Apply the fix", "fix"),
            (self.skip_button, "Skip", "skip"),
            (self.flag_button, "Flag…", "flag"),
        ):
            key = self._keys.get(action, "")
            button.setText(f"{words} ({key})" if key else words)

    def filter(self) -> str:
        """Return which suspects are stepped through, of `FILTERS`."""
        return str(self.box.currentData())

    def setFilter(self, name: str) -> None:
        """Choose which suspects are stepped through; silent."""
        before = self.box.blockSignals(True)
        self.box.setCurrentIndex(max(0, self.box.findData(name)))
        self.box.blockSignals(before)

    def ask_for_note(self) -> None:
        """Let the user write why a suspect is flagged."""
        if self._card is not None:
            self.note.show()
            self.note.setFocus()
            self.note.selectAll()

    def eventFilter(self, watched: object, event: QEvent | None) -> bool:
        """Take the note back on Esc."""
        if watched is self.note and event is not None and event.type() == QEvent.Type.KeyPress:
            if event.key() == Qt.Key.Key_Escape:  # type: ignore[attr-defined]
                self.note.hide()
                return True
        return False

    def _on_note(self) -> None:
        self.note.hide()
        self.flagAsked.emit(self.note.text().strip())

    def _lay_out(self) -> None:
        first = QHBoxLayout()
        first.addWidget(self.previous_button)
        first.addWidget(self.next_button, 1)
        which = QHBoxLayout()
        which.addWidget(QLabel("Step through"))
        which.addWidget(self.box, 1)
        decisions = QGridLayout()
        for place, button in enumerate((self.accept_button, self.fix_button, self.skip_button, self.flag_button)):
            decisions.addWidget(button, place // 2, place % 2)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.progress)
        rows.addWidget(self.bar)
        rows.addLayout(which)
        rows.addLayout(first)
        rows.addWidget(self.title)
        rows.addWidget(self.reasons)
        rows.addLayout(decisions)
        rows.addWidget(self.note)
        rows.addWidget(self.opinion_button)
