"""Save recipe, Load recipe, Copy as command line, Help: the last row of every dock that has settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QApplication, QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_scutoid.recipe import recipe_yaml
from napari_scutoid.ui.help import HelpButton

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_scutoid.recipe import Recipe, TrainRecipe

FILTER = "Recipe (*.yaml *.yml)"


def write_recipe(file: Path, recipe: Recipe | TrainRecipe) -> None:
    """Write settings as YAML, those that were given only; the file appears whole or not at all.

    Raises
    ------
    ScutoidError
        When it cannot be written.
    """
    from napari_scutoid.io.atomic import replacing

    with replacing(file) as part:
        part.write_text(recipe_yaml(recipe, only_set=True), encoding="utf-8")


class RecipeBar(QWidget):
    """The buttons, and the dialogs behind them.

    Parameters
    ----------
    page : str
        Of the documentation, such as ``"segment.md"``.
    command : callable, optional
        Returns the command line that does what the dock would do now; without it there is no such button.

    Signals
    -------
    saveAsked : Path
        Write the recipe there.
    loadAsked : Path
        Read a recipe from there.
    copied : str
        The command line that lies on the clipboard now.
    """

    saveAsked = Signal(object)
    loadAsked = Signal(object)
    copied = Signal(str)

    def __init__(self, page: str, command: Callable[[], str] | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._command = command
        self.save_button = QPushButton("Save recipe…")
        self.save_button.setToolTip("Write all settings to a file that this window, and `scutoid`, can read.")
        self.load_button = QPushButton("Load recipe…")
        self.load_button.setToolTip("Take the settings from such a file.")
        self.copy_button = QPushButton("Copy command")
        self.copy_button.setToolTip("Copy the command line that does the same without this window.")
        self.copy_button.setVisible(command is not None)
        self.help_button = HelpButton(page)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for button in (self.save_button, self.load_button, self.copy_button):
            row.addWidget(button, 1)
        row.addWidget(self.help_button)
        self.save_button.clicked.connect(self._on_save)
        self.load_button.clicked.connect(self._on_load)
        self.copy_button.clicked.connect(self.copy)

    def copy(self) -> None:
        """Put the command line on the clipboard."""
        clipboard = QApplication.clipboard()
        if self._command is not None and clipboard is not None:
            text = self._command()
            clipboard.setText(text)
            self.copied.emit(text)

    def _on_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save recipe", "recipe.yaml", FILTER)
        if name:
            file = Path(name)
            self.saveAsked.emit(file if file.suffix.lower() in (".yaml", ".yml") else Path(f"{name}.yaml"))

    def _on_load(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load recipe", "", FILTER)
        if name:
            self.loadAsked.emit(Path(name))
