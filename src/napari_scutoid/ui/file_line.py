"""The line with a file's path: paste it, browse for it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_scutoid.io.suffixes import USUAL, open_filter


class FileLine(QWidget):
    """Name the file of a stack.

    Signals
    -------
    chosen : Path
        The user named a file, perhaps the same once more.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._file: Path | None = None
        self._entered = ""
        self.path = QLineEdit()
        self.path.setPlaceholderText("drop a file here, or browse")
        self.path.setToolTip(f"The file of a stack ({USUAL}; .zarr is a folder). Paste its path, drop it, or browse.")
        # Return opens the same file again, too, which may have changed or come into being; Qt tells of it first.
        self.path.returnPressed.connect(self._forget_entered)
        self.path.editingFinished.connect(self._on_entered)
        self.browse = QPushButton("Browse…")
        self.browse.setToolTip("Choose the file of a stack.")
        self.browse.clicked.connect(self._on_browse)
        # No system's dialog offers files and folders at once.
        self.browse_folder = QPushButton("Folder…")
        self.browse_folder.setToolTip("Choose the folder of an OME-Zarr stack (.zarr).")
        self.browse_folder.clicked.connect(self._on_browse_folder)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.path, 1)
        row.addWidget(self.browse)
        row.addWidget(self.browse_folder)

    def value(self) -> Path | None:
        """Return the file that was named last."""
        return self._file

    def setValue(self, file: Path | None) -> None:
        """Show a file's path."""
        self._file, self._entered = file, "" if file is None else str(file)
        self.path.setText(self._entered)

    def _on_browse(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Choose a stack", self._start(), open_filter())
        if name:
            self.chosen.emit(Path(name))

    def _on_browse_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Choose the folder of an OME-Zarr stack", self._start())
        if name:
            self.chosen.emit(Path(name))

    def _start(self) -> str:
        return str(self._file.parent) if self._file is not None else ""

    def _forget_entered(self) -> None:
        self._entered = ""

    def _on_entered(self) -> None:
        # Qt reports the same text again whenever the box loses the keyboard, as it does when a job starts.
        text = self.path.text().strip().strip('"')
        if text and text != self._entered:
            self._entered = text
            self.chosen.emit(Path(text).expanduser())
