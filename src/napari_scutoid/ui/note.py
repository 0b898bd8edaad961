"""A few words on a widget, such as a reason or an error."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

BREAK = "\u200b"


class Note(QLabel):
    """Plain text that wraps, also inside long paths: one long word would widen the whole dock."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWordWrap(True)
        # File names and error messages may hold what Qt takes for HTML.
        self.setTextFormat(Qt.TextFormat.PlainText)

    def setText(self, text: str | None) -> None:
        """Show a text."""
        text = text or ""
        for mark in "/\\_":
            text = text.replace(mark, mark + BREAK)
        super().setText(text)

    def text(self) -> str:
        """Return the text as it was set."""
        return super().text().replace(BREAK, "")
