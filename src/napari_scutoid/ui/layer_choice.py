"""Choose a layer of the viewer; the list follows what is added, removed, renamed and moved there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_scutoid.ui import layers
from napari_scutoid.ui.editors import ChoiceBox

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

Kind = Literal["image", "labels"]

NOTHING = "none"
LIST_EVENTS = ("inserted", "removed", "renamed", "reordered")
LAYER_EVENTS = ("data", "scale", "translate", "units")


class LayerChoice(QWidget):
    """A list of the image layers, or of the labels layers, of a viewer.

    Probability maps that were made here are no images to choose.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers.
    kind : {"image", "labels"}
        Which of them.
    optional : bool
        Whether "none" can be chosen; then nothing else is chosen unasked.
    parent : QWidget, optional

    Signals
    -------
    valueChanged
        Another layer is chosen, by hand, by `setValue` or because the one before was removed.
    contentChanged
        The chosen layer has other voxels, or another place or size in the world.
    """

    valueChanged = Signal()
    contentChanged = Signal()

    def __init__(
        self, viewer: napari.Viewer, kind: Kind = "image", *, optional: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._kind = kind
        self._optional = optional
        self._listed: list[Layer | None] = []
        self._chosen: Layer | None = None
        self.box = ChoiceBox()
        self.box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        # A layer's name may be as long as a path; it must not widen the dock.
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setMinimumContentsLength(16)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.box)
        self.setFocusProxy(self.box)
        self.box.currentIndexChanged.connect(self._on_index)
        # Bound methods, which napari holds weakly: the viewer does not keep a closed dock alive.
        for event in LIST_EVENTS:
            getattr(viewer.layers.events, event).connect(self._on_layers)
        self._on_layers()

    def value(self) -> Any:
        """Return the chosen layer, or None."""
        return self._chosen

    def setValue(self, layer: Layer | None) -> None:
        """Choose a layer of the list; one that is not in it leaves the choice as it is."""
        index = next((i for i, listed in enumerate(self._listed) if listed is layer), -1)
        if index >= 0:
            self.box.setCurrentIndex(index)

    def problem(self) -> str | None:
        """Return why the chosen layer cannot be used, or None."""
        if self._chosen is None:
            return None if self._optional else f"Open {'an image' if self._kind == 'image' else 'labels'} first."
        problem = layers.problem_of(self._chosen)
        return None if problem is None else f"“{self._chosen.name}” cannot be used: {problem}."

    def _on_layers(self, _event: object = None) -> None:
        """List again what there is, and keep the choice where it is still there."""
        found: list[Layer | None] = [layer for layer in self._viewer.layers if self._is_listed(layer)]
        self._listed = [None, *found] if self._optional else found
        index = next((i for i, layer in enumerate(self._listed) if layer is self._chosen), -1)
        if index < 0 and self._listed:
            usable = (i for i, layer in enumerate(self._listed) if layer is None or layers.problem_of(layer) is None)
            index = next(usable, 0)
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItems([NOTHING if layer is None else layer.name for layer in self._listed])
        self.box.setCurrentIndex(index)
        self.box.setEnabled(bool(found))
        self.box.blockSignals(False)
        self._on_index(index)

    def _is_listed(self, layer: Layer) -> bool:
        from napari.layers import Image, Labels

        if self._kind == "labels":
            return isinstance(layer, Labels)
        return isinstance(layer, Image) and layers.kind_of(layer) in ("", "image")

    def _on_index(self, index: int) -> None:
        before, self._chosen = self._chosen, self._listed[index] if index >= 0 else None
        self.box.setToolTip("" if self._chosen is None else self._chosen.name)
        if self._chosen is before:
            return
        for layer, act in ((before, "disconnect"), (self._chosen, "connect")):
            if layer is not None:
                for event in LAYER_EVENTS:
                    getattr(getattr(layer.events, event), act)(self._on_content)
        self.valueChanged.emit()

    def _on_content(self, _event: object = None) -> None:
        self.contentChanged.emit()
