"""How many stacks at once, and on which computers."""

from __future__ import annotations

import os
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from napari_scutoid.ui.editors import number_box

TIP = (
    "How many stacks are segmented at once, each in a process of its own with its part of cores and memory. 1: one "
    "after the other, with the whole computer. More are quicker only where there are cores and memory for them."
)
SCHEDULER_TIP = (
    "Address of a Dask scheduler, or the file it has written: its workers segment the stacks, one each. Only use one "
    "that you trust. Empty: this computer."
)
SHARE_TIP = (
    "Segment one stack after the other, and divide the work of the network on each among all workers. For a few large "
    "stacks and many computers without graphics cards; many stacks are quicker one to each worker."
)


class WorkersChoice(QWidget):
    """Workers of this computer, or a scheduler's, and whether they have a stack each or share one.

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
        self.share = QCheckBox("share each stack")
        self.share.setToolTip(SHARE_TIP)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.workers)
        row.addWidget(QLabel("on"))
        row.addWidget(self.scheduler, 1)
        rows.addLayout(row)
        rows.addWidget(self.share)
        self.workers.valueChanged.connect(self._on_changed)
        self.scheduler.textChanged.connect(self._on_changed)
        self.share.toggled.connect(self.valueChanged)
        self._on_changed()

    def value(self) -> dict[str, Any]:
        """Return how many workers of this computer, or the scheduler of others, as `run_batch` takes them."""
        scheduler = self.scheduler.text().strip() or None
        workers = 1 if scheduler else self.workers.value()
        share = self.share.isEnabled() and self.share.isChecked()
        return {"workers": workers, "scheduler": scheduler, "share_stacks": share}

    def setValue(self, workers: int, scheduler: str | None = None, share_stacks: bool = False) -> None:
        """Show how many workers, or a scheduler, and whether they share each stack."""
        self.workers.setValue(workers)
        self.scheduler.setText(scheduler or "")
        self.share.setChecked(share_stacks)

    def _on_changed(self) -> None:
        is_elsewhere = bool(self.scheduler.text().strip())
        # A scheduler's workers are as many as somebody has started.
        self.workers.setEnabled(not is_elsewhere)
        self.share.setEnabled(is_elsewhere or self.workers.value() > 1)
        self.valueChanged.emit()
