"""What is corrected, by whom, and whether somebody has begun already."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QLineEdit, QWidget

from napari_scutoid.ui import layers
from napari_scutoid.ui.layer_choice import LayerChoice
from napari_scutoid.ui.note import Note

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

BOUNDARY = "boundary"
"""How Segment's map of walls is called at the end."""


class WallsChoice(LayerChoice):
    """A list of the maps of probabilities, and of all other images: any program's map of walls may do."""

    def _is_listed(self, layer: Layer) -> bool:
        from napari.layers import Image

        return isinstance(layer, Image)


class SessionStart(QWidget):
    """Choose the labels to correct, and what the program may look at to help.

    Parameters
    ----------
    viewer : napari.Viewer

    Signals
    -------
    valueChanged
        Something else is chosen.
    """

    valueChanged = Signal()

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.labels = LayerChoice(viewer, "labels")
        self.labels.setToolTip("The cells to correct. Their file is never changed.")
        self.image = LayerChoice(viewer, "image", optional=True)
        self.image.setToolTip("The stack itself: without a map of walls, cells are divided along its bright lines.")
        self.walls = WallsChoice(viewer, "image", optional=True)
        self.walls.setToolTip("How probable walls are, as Segment leaves it: it shows where cells meet.")
        self.author = QLineEdit(_user())
        self.author.setMaxLength(100)
        self.author.setToolTip("Written beside every edit, so that two people can share the work.")
        self.labels_note = Note()
        self.found_note = Note()
        rows = QFormLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addRow("Cells", self.labels)
        rows.addRow(self.labels_note)
        rows.addRow("Image", self.image)
        rows.addRow("Walls", self.walls)
        rows.addRow("Your name", self.author)
        rows.addRow(self.found_note)
        self.labels.valueChanged.connect(self._on_labels)
        self.labels.contentChanged.connect(self._update)
        for choice in (self.image, self.walls):
            choice.valueChanged.connect(self._update)
        self.author.editingFinished.connect(self.valueChanged)
        for event in ("inserted", "renamed"):
            # After the lists themselves; napari calls who came last first.
            getattr(viewer.layers.events, event).connect(self._guess, position="last")
        self._by_hand: set[str] = set()
        for name in ("image", "walls"):
            getattr(self, name).box.activated.connect(getattr(self, f"_on_{name}"))
        self.setFound("")
        self._on_labels()

    def value(self) -> tuple[Any, Any, Any, str]:
        """Return the layers of the cells, the image and the walls, each None where there is none, and the author."""
        return self.labels.value(), self.image.value(), self.walls.value(), self.author.text().strip()

    def setValue(self, labels: Layer, image: Layer | None, walls: Layer | None, author: str = "") -> None:
        """Choose layers that are in the lists."""
        self.labels.setValue(labels)
        self._by_hand = {"image", "walls"}
        self.image.setValue(image)
        self.walls.setValue(walls)
        if author:
            self.author.setText(author)
        self._update()

    def problem(self) -> str | None:
        """Return why these cannot be corrected, or None."""
        if self.labels.value() is None:
            return "Open labels first: segment a stack, or open a file that has cells in it."
        problem = self.labels.problem() or self.image.problem() or self.walls.problem()
        return problem or (None if self.author.text().strip() else "Enter your name: it is written beside every edit.")

    def setFound(self, words: str) -> None:
        """Say what was found beside the labels' file; empty for nothing."""
        self.found_note.setText(words)
        self.found_note.setVisible(bool(words))

    def _on_image(self) -> None:
        self._by_hand.add("image")

    def _on_walls(self) -> None:
        self._by_hand.add("walls")

    def _on_labels(self) -> None:
        self._by_hand.clear()
        self._guess()

    def _guess(self, _event: object = None) -> None:
        """Choose the image and the walls that belong to the labels, unless somebody has chosen others."""
        labels = self.labels.value()
        if labels is not None:
            images = [layer for layer in self._viewer.layers if _is_image(layer)]
            for name, found in (("image", _image_of(labels, images)), ("walls", _walls_of(labels, images))):
                if name not in self._by_hand:
                    getattr(self, name).setValue(found)
        self._update()

    def _update(self, _event: object = None) -> None:
        problem = None if self.labels.value() is None else self.labels.problem()
        self.labels_note.setText(problem and f"⚠ {problem}")
        self.labels_note.setVisible(problem is not None)
        self.valueChanged.emit()


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # nobody is logged in, as in some containers
        return ""


def _is_image(layer: Layer) -> bool:
    from napari.layers import Image

    return isinstance(layer, Image) and layers.problem_of(layer) is None


def _image_of(labels: Layer, images: list[Any]) -> Any:
    """Return the image that the labels were made from, else the one that lies under all of them, else None."""
    stacks = [layer for layer in images if layers.kind_of(layer) in ("", "image")]
    source = layers.source_of(labels)
    same = [
        layer
        for layer in stacks
        if source is not None and (found := layers.source_of(layer)) is not None and found.path == source.path
    ]
    return next((layer for layer in (*same, *stacks) if layer.data.shape == labels.data.shape), None)


def _walls_of(labels: Layer, images: list[Any]) -> Any:
    """Return the map of walls whose name begins as the labels' does, else the only one, else None."""
    maps = [
        layer for layer in images if layers.kind_of(layer) == "probability" and _plain(layer.name).endswith(BOUNDARY)
    ]
    stem = _plain(labels.name).removesuffix(" cells").removesuffix(" labels")
    named = [layer for layer in maps if layer.name.startswith(f"{stem} ")]
    return next(iter(named), maps[0] if len(maps) == 1 else None)


def _plain(name: str) -> str:
    """Return a name without the number that napari adds to one that is there already."""
    return name.split(" [")[0]
