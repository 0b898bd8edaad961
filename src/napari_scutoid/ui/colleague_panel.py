"""A colleague's corrections of the same labels: choose their journal, and whose version counts where both collide."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_scutoid.ui.note import Note

LAID_OUT_MS, FRESH_MS = 100, 3000
TITLE = "Add a colleague's corrections…"
TIP = (
    "<qt>Choose the journal (….corrections.sqlite) that somebody else has made of the same file of labels. Your edits "
    "and theirs become a new journal; both others stay as they are.</qt>"
)


class ColleaguePanel(QWidget):
    """A button, and below it what is to be decided.

    Signals
    -------
    fileAsked
        Choose a journal.
    decided : object
        Whose version of the collision that is shown to make: "first" is one's own, "second" the colleague's, None is
        neither.
    addAsked
        Write both together.
    dropped
        Leave it.
    """

    fileAsked = Signal()
    decided = Signal(object)
    addAsked = Signal()
    dropped = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.file_button = QPushButton(TITLE)
        self.file_button.setToolTip(TIP)
        self.words = Note()
        self.mine_button = QPushButton("Keep mine")
        self.theirs_button = QPushButton("Take theirs")
        self.neither_button = QPushButton("Neither")
        self.neither_button.setToolTip("Leave this place as it was before both.")
        self.all_box = QCheckBox("and so for all that are left")
        self.add_button = QPushButton("Add them")
        self.add_button.setToolTip("Write a new journal with both, and go on with it.")
        self.drop_button = QPushButton("Do not add")
        self._choices = (self.mine_button, self.theirs_button, self.neither_button)
        grid = QGridLayout()
        for column, button in enumerate((self.mine_button, self.theirs_button, self.neither_button)):
            grid.addWidget(button, 0, column)
        grid.addWidget(self.all_box, 1, 0, 1, 2)
        grid.addWidget(self.add_button, 2, 0, 1, 2)
        grid.addWidget(self.drop_button, 2, 2)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.file_button)
        rows.addWidget(self.words)
        rows.addLayout(grid)
        self.file_button.clicked.connect(self.fileAsked)
        self.add_button.clicked.connect(self.addAsked)
        self.drop_button.clicked.connect(self.dropped)
        for button, choice in (
            (self.mine_button, "first"),
            (self.theirs_button, "second"),
            (self.neither_button, None),
        ):
            button.setProperty("choice", choice)
            button.clicked.connect(self._on_choice)
        # Words that wrap find their height in several rounds; while they are fresh, each is followed.
        self._soon, self._fresh = QTimer(self), QTimer(self)
        for timer, wait in ((self._soon, LAID_OUT_MS), (self._fresh, FRESH_MS)):
            timer.setSingleShot(True)
            timer.setInterval(wait)
        self._soon.timeout.connect(self._come_into_view)
        self.setValue("")

    def setValue(self, words: str, *, choices: int = 0, can_add: bool = False) -> None:
        """Show words, and the buttons that answer them: the first of some choices, or the consent to add."""
        self.words.setText(words)
        self.words.setVisible(bool(words))
        for widget in self._choices:
            widget.setVisible(choices > 0)
        self.all_box.setVisible(choices > 1)
        self.add_button.setVisible(can_add)
        self.drop_button.setVisible(choices > 0 or can_add)
        if not choices:
            self.all_box.setChecked(False)
        if words:
            self._soon.start()
            self._fresh.start()

    def for_all(self) -> bool:
        """Return whether the next choice counts for all that are left."""
        return bool(self.all_box.isChecked())

    def resizeEvent(self, event: Any) -> None:
        """Follow words that were just shown."""
        super().resizeEvent(event)
        if self._fresh.isActive():
            self._soon.start()

    def _come_into_view(self) -> None:
        """Scroll to what is asked: it lies at the end of a long column."""
        above = self.parentWidget()
        while above is not None and not isinstance(above, QScrollArea):
            above = above.parentWidget()
        if isinstance(above, QScrollArea) and self.isVisible():
            above.ensureWidgetVisible(self)
            # Rather the buttons than the first words, where there is no room for both.
            if self.drop_button.isVisible():
                above.ensureWidgetVisible(self.drop_button)

    def _on_choice(self) -> None:
        button: Any = self.sender()
        self.decided.emit(button.property("choice"))
