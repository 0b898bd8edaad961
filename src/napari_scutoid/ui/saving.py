"""Where the corrected labels go: to a file of any format, to another grid, or to training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.io.suffixes import save_filters, with_suffix
from napari_scutoid.ui.layer_choice import LayerChoice
from napari_scutoid.ui.note import Note

if TYPE_CHECKING:
    import napari

TRUTH_FILTERS = {name: suffix for name, suffix in save_filters().items() if suffix != ".tif"}
"""Formats that hold an image and its labels."""


class SavePanel(QWidget):
    """The buttons, and the dialogs behind them.

    Parameters
    ----------
    viewer : napari.Viewer

    Signals
    -------
    saveAsked : Path
        Write the labels there, on the grid of `stack`.
    truthAsked : Path
        Write the image and its accepted cells there.
    refused : str
        Why a name that was given is not taken.
    """

    saveAsked = Signal(object)
    truthAsked = Signal(object)
    refused = Signal(str)

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._start = Path("cells")
        self.grid = LayerChoice(viewer, optional=True)
        self.grid.setToolTip(
            "Where the cells were found on a smaller grid: the stack's own image. The cells are written on its grid, "
            "their boundaries on its membranes. None writes them as they are here."
        )
        self.save_button = QPushButton("Save labels…")
        self.save_button.setToolTip(
            "Write the cells, their lumen and a table of what was said of them into a new file. A .mat holds what the "
            "laboratory's MATLAB scripts load: labelledImage, lumenImage, validCells, noValidCells, pixelScale, zScale."
        )
        self.truth_button = QPushButton("Offer accepted cells to training…")
        self.truth_button.setToolTip("Write the image and the accepted cells; all else is marked as unknown.")
        self.about = Note()
        self.about.setText(
            "Every edit is on the disk already, in the journal. Save labels when another program needs them."
        )
        fields = QFormLayout()
        fields.addRow("On the grid of", self.grid)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.about)
        rows.addLayout(fields)
        rows.addWidget(self.save_button)
        rows.addWidget(self.truth_button)
        rows.addStretch(1)
        self.save_button.clicked.connect(self._on_save)
        self.truth_button.clicked.connect(self._on_truth)

    def stack(self) -> Any:
        """Return the image layer on whose grid to write; None for the labels' own."""
        return self.grid.value()

    def setStart(self, file: Path) -> None:
        """State which file the labels came from: names for others are made of its name."""
        self._start = file

    def _on_save(self) -> None:
        self._ask("Save corrected labels", "corrected", save_filters(), self.saveAsked)

    def _on_truth(self) -> None:
        self._ask("Save accepted cells to train with", "accepted", TRUTH_FILTERS, self.truthAsked)

    def _ask(self, title: str, what: str, filters: Any, signal: Any) -> None:
        usual = next(iter(filters.values()))
        start = self._start.with_name(f"{self._start.stem}_{what}{usual}")
        name, chosen = QFileDialog.getSaveFileName(self, title, str(start), ";;".join(filters))
        target = with_suffix(name, filters.get(chosen, usual))
        if name and name != target and Path(target).exists():
            # The dialog has asked about the name without its ending only.
            self.refused.emit(f"{target} is there already: give another name, or all of this one to replace it.")
        elif name:
            signal.emit(Path(target))
