"""What another segmentation would change, one difference after the other, to be taken or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.ui.layer_choice import LayerChoice
from napari_scutoid.ui.note import Note

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

ABOUT = (
    "Accepted cells stay as they are, and you choose for all others: go through what another segmentation would change."
)
AGAIN_TIP = (
    "<qt>Accepted cells are walls: nothing grows into them. Settings and model are those of the window Segment where "
    "it is open, else those with which these cells were found.</qt>"
)


class OtherLabels(LayerChoice):
    """A list of the labels layers but the one that is corrected."""

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        self._corrected: Layer | None = None
        super().__init__(viewer, "labels", optional=True, parent=parent)

    def setCorrected(self, layer: Layer | None) -> None:
        """State which layer is corrected."""
        self._corrected = layer
        self._on_layers()

    def _is_listed(self, layer: Layer) -> bool:
        mine = self._corrected
        same_shape = mine is None or getattr(layer.data, "shape", None) == mine.data.shape
        return layer is not mine and same_shape and super()._is_listed(layer)


class DifferencePanel(QWidget):
    """Choose another segmentation, and go through what it would change.

    Parameters
    ----------
    viewer : napari.Viewer

    Signals
    -------
    againAsked
        Segment the stack around the accepted cells.
    approached
        Somebody looks: what segmenting again would do should be up to date.
    compareAsked
        Find the differences to the chosen layer.
    takeAsked, refuseAsked, nextAsked
        Decide on the present one, or leave it for later.
    refusedAsked
        Show what was refused again.
    """

    againAsked = Signal()
    approached = Signal()
    compareAsked = Signal()
    takeAsked = Signal()
    refuseAsked = Signal()
    nextAsked = Signal()
    refusedAsked = Signal()

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.about = Note()
        self.about.setText(ABOUT)
        self.again_button = QPushButton("Segment again around accepted cells")
        self.again_button.setToolTip(AGAIN_TIP)
        self.again_note = Note()
        self.other = OtherLabels(viewer)
        self.compare_button = QPushButton("Compare")
        self.compare_button.setToolTip(
            "List what these labels would change: others that are open here, of any program."
        )
        self.words = Note()
        self.take_button = QPushButton("Take")
        self.take_button.setToolTip("Change the cells as these labels have them. One step of the history.")
        self.refuse_button = QPushButton("Refuse")
        self.refuse_button.setToolTip(
            "<qt>Leave the cells as they are. The journal keeps it: this difference is not shown again, also not "
            "another day.</qt>"
        )
        self.next_button = QPushButton("Later")
        self.next_button.setToolTip("Go on; this difference comes again at the end.")
        self.refused_button = QPushButton()
        self.refused_button.setToolTip("Go through what was refused of these labels, today or another day.")
        first = QHBoxLayout()
        first.addWidget(QLabel("or with"))
        first.addWidget(self.other, 1)
        first.addWidget(self.compare_button)
        decisions = QHBoxLayout()
        for button in (self.take_button, self.refuse_button, self.next_button):
            decisions.addWidget(button, 1)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.about)
        rows.addWidget(self.again_button)
        rows.addWidget(self.again_note)
        rows.addLayout(first)
        rows.addWidget(self.words)
        rows.addLayout(decisions)
        rows.addWidget(self.refused_button)
        rows.addStretch(1)
        self.again_button.clicked.connect(self.againAsked)
        self.compare_button.clicked.connect(self.compareAsked)
        self.take_button.clicked.connect(self.takeAsked)
        self.refuse_button.clicked.connect(self.refuseAsked)
        self.next_button.clicked.connect(self.nextAsked)
        self.refused_button.clicked.connect(self.refusedAsked)
        self.other.valueChanged.connect(self._update)
        self.setValue("", can_decide=False)

    def value(self) -> Any:
        """Return the layer to compare with, or None."""
        return self.other.value()

    def setValue(self, words: str, *, can_decide: bool, refused: int = 0) -> None:
        """Show a difference in words, or what became of the comparison; and how many were refused."""
        self.words.setText(words)
        self.refused_button.setText(f"Show {refused} refused again")
        self.refused_button.setVisible(refused > 0)
        for button in (self.take_button, self.refuse_button, self.next_button):
            button.setEnabled(can_decide)
        self._update()

    def setAgain(self, words: str, *, can_start: bool) -> None:
        """Say what segmenting again would do, or why it cannot."""
        self.again_note.setText(words)
        self.again_button.setEnabled(can_start)

    def enterEvent(self, event: Any) -> None:
        """Ask what there is: settings may have been changed in another window since."""
        self.approached.emit()
        super().enterEvent(event)

    def showEvent(self, event: Any) -> None:
        """Ask what there is."""
        self.approached.emit()
        super().showEvent(event)

    def _update(self) -> None:
        self.compare_button.setEnabled(self.other.value() is not None)
