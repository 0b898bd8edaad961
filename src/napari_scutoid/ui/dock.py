"""What all docks share: a panel for jobs, headings, and an end of their jobs when they are closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_scutoid.ui.job_panel import JobPanel

if TYPE_CHECKING:
    import napari
    from qtpy.QtWidgets import QPushButton


class Dock(QWidget):
    """A dock of the program.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where the layers go.
    action : QPushButton, optional
        See `JobPanel`.
    parent : QWidget, optional
    """

    def __init__(
        self, napari_viewer: napari.Viewer, action: QPushButton | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = napari_viewer
        self.panel = JobPanel(action)
        self.rows = QVBoxLayout(self)

    @property
    def is_busy(self) -> bool:
        """Whether a job runs."""
        return self.panel.is_busy

    def taken_out(self) -> None:
        """Stop what runs beside the job; called when napari takes the widget out of its window."""

    def event(self, event: QEvent | None) -> bool:
        """Stop the job when napari takes the widget out of its window."""
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.panel.cancel()
            self.taken_out()
        return bool(super().event(event))


def heading(text: str) -> QLabel:
    """Return the title of a part of a dock."""
    label = QLabel(text)
    embolden(label)
    label.setContentsMargins(0, 8, 0, 0)
    return label


def embolden(widget: QWidget) -> None:
    """Show a widget's text in bold."""
    font = widget.font()
    font.setBold(True)
    widget.setFont(font)
