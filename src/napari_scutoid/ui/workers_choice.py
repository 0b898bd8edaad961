"""How many stacks at once, and on which computers."""

from __future__ import annotations

import os
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QWidget

from napari_scutoid.ui.editors import number_box

TIP = (
    "How many stacks are segmented at once, each in a process of its own with its part of cores and memory. 1: one "
    "after the other, with the whole computer. More are quicker only where there are cores and memory for them."
)
SCHEDULER_TIP = (
    "Address of a Dask scheduler, or the file it has written: its workers segment the stacks, one each. Only use one "
    "that you trust. Empty: this computer."
)


class WorkersChoice(QWidget):
    """Workers of this computer, or a scheduler's.

    Signals
    -------
    valueChanged
    """

    valueChanged = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.workers: Any = number_box({"type": "integer", "minimum": 1, "maximum": os.cpu_count() or 1}, 0)
        self.workers.setToolTip(TIP)
        self.scheduler = QLineEdit()
        self.scheduler.setPlaceholderText("this computer")
        self.scheduler.setToolTip(SCHEDULER_TIP)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.workers)
        row.addWidget(QLabel("on"))
        row.addWidget(self.scheduler, 1)
        self.workers.valueChanged.connect(self.valueChanged)
        self.scheduler.textChanged.connect(self._on_scheduler)

    def value(self) -> tuple[int, str | None]:
        """Return how many workers of this computer, or the scheduler of others."""
        scheduler = self.scheduler.text().strip()
        return (1, scheduler) if scheduler else (self.workers.value(), None)

    def setValue(self, workers: int, scheduler: str | None = None) -> None:
        """Show how many workers, or a scheduler."""
        self.workers.setValue(workers)
        self.scheduler.setText(scheduler or "")

    def _on_scheduler(self, text: str) -> None:
        # A scheduler's workers are as many as somebody has started.
        self.workers.setEnabled(not text.strip())
        self.valueChanged.emit()
