"""Choose a model, and read its card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QVBoxLayout, QWidget

from napari_scutoid.ui.core import Core, look_at_models
from napari_scutoid.ui.editors import ChoiceBox
from napari_scutoid.ui.inquiry import Inquiry
from napari_scutoid.ui.note import Note

if TYPE_CHECKING:
    from napari_scutoid.network.card import ModelCard
    from napari_scutoid.network.config import ModelConfig

FOLDER = "a model folder…"


class _Box(ChoiceBox):
    """Tells when the mouse comes near: models may have been trained or imported since the list was made."""

    approached = Signal()

    def enterEvent(self, event: Any) -> None:
        self.approached.emit()
        super().enterEvent(event)


class ModelChoice(QWidget):
    """A list of the installed models and of folders, with the card of the chosen one.

    Signals
    -------
    valueChanged
        Another model is chosen, or what is known of it has changed.
    """

    valueChanged = Signal()

    def __init__(self, core: Core, value: str = "builtin", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._core = core
        self._value = value
        self._folders: list[str] = []
        self._cards: dict[str, ModelCard] = {}
        self._inquiry = Inquiry(self)
        self.box = _Box()
        self.box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setToolTip("The network that looks for walls. Models you train or import are listed here too.")
        self.card = Note()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.box)
        rows.addWidget(self.card)
        self.setFocusProxy(self.box)
        self.box.activated.connect(self._on_activated)
        self.box.approached.connect(self.refresh)
        self._inquiry.answered.connect(self._on_cards)
        self._inquiry.failed.connect(self._on_failed)
        self._show()

    def value(self) -> str:
        """Return the model's name, or its folder."""
        return self._value

    def setValue(self, value: str) -> None:
        """Choose a model by name or folder."""
        if value == self._value:
            return
        self._value = value
        if value not in self._cards:
            self._folders = [*self._folders, value]
            self.refresh()
        self._show()
        self.valueChanged.emit()

    def config(self) -> ModelConfig | None:
        """Return what the model says about itself, or None while that is not known."""
        card = self._cards.get(self._value)
        return None if card is None else card.config

    def problem(self) -> str | None:
        """Return why the model cannot be used, or None."""
        card = self._cards.get(self._value)
        return None if card is None else card.problem

    def refresh(self) -> None:
        """Look again which models there are."""
        more = [*self._folders, self._value]
        self._inquiry.ask(lambda: look_at_models(self._core, more))

    def stop(self) -> None:
        """Ask no more."""
        self._inquiry.stop()

    def _on_cards(self, cards: list[ModelCard]) -> None:
        found = {card.value: card for card in cards}
        if found != self._cards:
            self._cards = found
            self._show()
            self.valueChanged.emit()

    def _on_failed(self, error: Exception) -> None:
        self.card.setText(f"⚠ The models could not be listed: {error}")

    def _on_activated(self, index: int) -> None:
        if self.box.itemText(index) == FOLDER:
            chosen = QFileDialog.getExistingDirectory(self, "Choose the folder of a model")
            self._show()
        else:
            chosen = self.box.itemText(index)
        if chosen:
            self.setValue(chosen)

    def _show(self) -> None:
        values = list(dict.fromkeys([*self._cards, self._value]))
        before = self.box.blockSignals(True)
        self.box.clear()
        self.box.addItems([*values, FOLDER])
        self.box.setCurrentIndex(values.index(self._value))
        self.box.blockSignals(before)
        self.card.setText(self._about())

    def _about(self) -> str:
        from napari_scutoid.network.card import card_lines

        config, problem = self.config(), self.problem()
        lines = [] if problem is None else [f"⚠ {problem}"]
        return "\n".join([*lines, *([] if config is None else card_lines(config))])
