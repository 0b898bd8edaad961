"""Where the stacks of a training run come from: files, folders, or layers of the viewer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.errors import ScutoidError
from napari_scutoid.ui import layers
from napari_scutoid.ui.editors import LARGEST, IntegerBox
from napari_scutoid.ui.note import Note
from napari_scutoid.ui.stack_table import StackTable
from napari_scutoid.ui.train_core import check, gather, of_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    import napari

    from napari_scutoid.ui.job_panel import JobPanel
    from napari_scutoid.ui.train_core import Checked, Gathered, Stack, TrainCore

NOBODY = "none"
MOST_TOLD = 5


class TrainStacks(QWidget):
    """The table of stacks, and the buttons that fill it.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose selected layers can be added.
    core : TrainCore
    panel : JobPanel
        Runs the jobs that find and check stacks.

    Signals
    -------
    valueChanged
        Another set of stacks, roles, reports or ignored label.
    """

    valueChanged = Signal()

    def __init__(self, viewer: napari.Viewer, core: TrainCore, panel: JobPanel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._core, self._panel = viewer, core, panel
        self.setAcceptDrops(True)
        self.table = StackTable()
        self.files_button = QPushButton("Add files…")
        self.files_button.setToolTip("Files that hold an image and its true cells, or images with a label file beside.")
        self.folder_button = QPushButton("Add folder…")
        self.folder_button.setToolTip("All stacks of a folder, e.g. images/a.tif with labels/a.tif.")
        self.layers_button = QPushButton("Add layers")
        self.layers_button.setToolTip("The image layer and the labels layer that are selected in the list of layers.")
        self.remove_button = QPushButton("Remove")
        self.remove_button.setToolTip("Take the selected rows out of the table; the files stay.")
        self.ignore = IntegerBox()
        self.ignore.setRange(0, LARGEST)
        self.ignore.setSpecialValueText(NOBODY)
        self.ignore.setToolTip(
            "<qt>For stacks that are corrected in part: the label of voxels that nobody has looked at. Nothing is "
            "learnt from them. Files that <i>Correct</i> has written for training need nothing here.</qt>"
        )
        self.advice = Note()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        buttons = QHBoxLayout()
        for button in (self.files_button, self.folder_button, self.layers_button, self.remove_button):
            button.setMinimumWidth(40)
            buttons.addWidget(button)
        rows.addLayout(buttons)
        rows.addWidget(self.table)
        line = QHBoxLayout()
        line.addWidget(QLabel("Label of “not looked at”"))
        line.addWidget(self.ignore, 1)
        rows.addLayout(line)
        rows.addWidget(self.advice)
        self.files_button.clicked.connect(self._on_files)
        self.folder_button.clicked.connect(self._on_folder)
        self.layers_button.clicked.connect(self.add_layers)
        self.remove_button.clicked.connect(self.table.remove_selected)
        self.ignore.editingFinished.connect(self._on_ignore)
        self.table.valueChanged.connect(self._on_table)
        self._ignored: int | None = None
        self._on_table()

    def value(self) -> dict[str, tuple[Stack, ...]]:
        """Return the usable stacks by role."""
        return self.table.value()

    def problem(self) -> str | None:
        """Return why there is nothing to train on, or None."""
        return self.table.problem()

    def ignored(self) -> int | None:
        """Return the label of voxels that nobody has looked at, or None."""
        return self._ignored

    def setIgnored(self, label: int | None) -> None:
        """Show such a label, silently."""
        self._ignored = label
        self.ignore.setValue(label or 0)

    def add(self, paths: Sequence[Path]) -> None:
        """Find stacks in files and folders, then check them."""
        self._panel.run("Looking for stacks", partial(gather, self._core, tuple(paths)), self._on_gathered)

    def add_layers(self) -> None:
        """Add the selected image with the selected labels, or tell why not."""
        from napari.layers import Image, Labels

        chosen = list(self._viewer.layers.selection)
        images = [one for one in chosen if isinstance(one, Image)]
        truths = [one for one in chosen if isinstance(one, Labels)]
        try:
            if len(images) != 1 or len(truths) != 1 or len(chosen) != 2:
                raise _not_added(
                    f"{len(images)} image layers and {len(truths)} labels layers are selected",
                    "select one of each in the list of layers (Ctrl-click), then press Add layers",
                )
            image, truth = images[0], truths[0]
            for layer in (image, truth):
                if (problem := layers.problem_of(layer)) is not None:
                    raise _not_added(f"{layer.name}: {problem}", "choose other layers")
            if tuple(image.data.shape) != tuple(truth.data.shape):
                raise _not_added(
                    f"{image.name} has shape {tuple(image.data.shape)}, {truth.name} {tuple(truth.data.shape)}",
                    "choose the labels of this image",
                )
        except ScutoidError as error:
            self._panel.complain(error)
            return
        where = f"layers {image.name} + {truth.name}"
        self.table.add([of_layers(self._core, image.name, layers.volume_of(image), truth.data, where)])
        self.check()

    def check(self) -> None:
        """Count the cells of stacks that are not checked yet."""
        table = self.table
        job = partial(check, self._core, table.stacks, table.reports, self._ignored)
        self._panel.run("Checking the stacks", job, self._on_checked)

    def _on_gathered(self, found: Gathered) -> None:
        self.table.add(found.stacks)
        self._left_out = found.left_out
        self.check()

    def _on_checked(self, found: Checked) -> None:
        self.table.setReports(found.reports, found.roles)
        left_out, self._left_out = self._left_out, ()
        told = [f"{path.name} ({why})" for path, why in left_out[:MOST_TOLD]]
        told += [f"and {len(left_out) - MOST_TOLD} more"] if len(left_out) > MOST_TOLD else []
        if told:
            self._panel.say(f"Left out: {', '.join(told)}.")

    _left_out: tuple[tuple[Path, str], ...] = ()

    def _on_ignore(self) -> None:
        given = self.ignore.value() or None
        if given != self._ignored:
            self._ignored = given
            self.table.forget_reports()
            self._on_table()
            if self.table.stacks:
                self.check()

    def _on_table(self) -> None:
        self.remove_button.setEnabled(bool(self.table.stacks))
        advice = self.table.advice()
        self.advice.setText(advice)
        self.advice.setVisible(bool(advice))
        self.valueChanged.emit()

    def _on_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Stacks with their true cells")
        if names:
            self.add([Path(name) for name in names])

    def _on_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder of stacks with their true cells")
        if name:
            self.add([Path(name)])

    def dragEnterEvent(self, event: Any) -> None:
        """Take files and folders."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Add what was dropped, instead of opening it as layers."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.add(paths)


def _not_added(why: str, try_this: str) -> ScutoidError:
    return ScutoidError("The layers were not added", why, try_this)
