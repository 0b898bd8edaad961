"""The settings of a training run: the four that matter, and all others folded away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.recipe import TrainRecipe, validation_message
from napari_scutoid.recipe.train import Augment, Loss, Optimise, Sampling, Scoring, Transfer
from napari_scutoid.ui.editors import ChoiceBox, Editor, number_box
from napari_scutoid.ui.folded import FoldedForms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_scutoid.recipe import Part

STRATEGIES = {
    "all": "all layers, gently",
    "freeze": "only the second half (freeze the encoder)",
    "scratch": "from scratch (random weights)",
}
MINUTES = 20.0
MANY_EPOCHS = 100_000
"""Epochs of a run that is ended by the clock."""
OF_THE_RUN = [name for name in Optimise.model_fields if name not in ("epochs", "minutes")]


class BudgetEdit(Editor):
    """How long to train: minutes, or epochs."""

    def __init__(self) -> None:
        super().__init__()
        stated = Optimise.model_json_schema()["properties"]
        minutes = next(kind for kind in stated["minutes"]["anyOf"] if kind["type"] == "number")
        self._boxes = {
            "minutes": number_box(minutes, stated["minutes"]["decimals"]),
            "epochs": number_box(stated["epochs"], 0),
        }
        self.unit = ChoiceBox()
        self.unit.addItems(list(self._boxes))
        self.unit.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._fill(*self._boxes.values(), self.unit)
        self.setToolTip(
            "<qt>Minutes: the learning rate falls to nothing by then. Epochs: passes of a fixed number of steps; after "
            "each one the network is scored and saved.</qt>"
        )
        self.unit.currentIndexChanged.connect(self._on_unit)
        for box in self._boxes.values():
            box.valueChanged.connect(self.valueChanged)
        self.setValue({"minutes": MINUTES})

    def value(self) -> dict[str, Any]:
        """Return it as settings of `Optimise`."""
        unit = self.unit.currentText()
        number = self._boxes[unit].value()
        return {"minutes": number, "epochs": MANY_EPOCHS} if unit == "minutes" else {"epochs": number}

    def setValue(self, value: Any) -> None:
        """Show such settings; minutes count where both are there."""
        unit = "epochs" if value.get("minutes") is None else "minutes"
        widgets: tuple[QWidget, ...] = (self.unit, *self._boxes.values())
        for widget in widgets:
            widget.blockSignals(True)
        self.unit.setCurrentText(unit)
        self._boxes[unit].setValue(value.get(unit) or Optimise.model_fields["epochs"].default)
        for widget in widgets:
            widget.blockSignals(False)
        self._show()

    def _on_unit(self) -> None:
        self._show()
        self.valueChanged.emit()

    def _show(self) -> None:
        for unit, box in self._boxes.items():
            box.setVisible(unit == self.unit.currentText())


class TrainSettings(QWidget):
    """Edit a `TrainRecipe`, but for the stacks' roles, which the table of stacks has.

    Parameters
    ----------
    models : iterable of str
        Names of the models that training can start from.

    Signals
    -------
    valueChanged
        By hand.
    previewAsked
        Draw augmented samples.
    """

    valueChanged = Signal()
    previewAsked = Signal()

    def __init__(self, models: Iterable[str] = ("builtin",), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # What a recipe from a file states and this window does not show.
        self._rest: dict[str, Any] = {}
        fields = Transfer.model_fields
        self.start, self.strategy, self.budget = ChoiceBox(), ChoiceBox(), BudgetEdit()
        for box, name in ((self.start, "start"), (self.strategy, "strategy")):
            box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(14)
            box.setToolTip(f"<qt>{fields[name].description}</qt>")
        for word, shown in STRATEGIES.items():
            self.strategy.addItem(shown, word)
        self.setModels(models)
        self.preview_button = QPushButton("Preview augmented samples…")
        self.preview_button.setToolTip("Show what the network would be shown, changed at random as in training.")
        self.augment = FoldedForms("Augmentation", {"augment": ("", Augment, None)}, (self.preview_button,))
        self.more = FoldedForms(
            "More settings",
            {
                "transfer": ("Starting point", Transfer, ["rate"]),
                "sampling": ("Samples", Sampling, None),
                "optimise": ("Learning", Optimise, OF_THE_RUN),
                "loss": ("Loss", Loss, None),
                "scoring": ("Scoring", Scoring, None),
                "": ("Network", TrainRecipe, ["outputs", "activation", "network"]),
            },
        )
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for title, editor in (("Start from", self.start), ("Train", self.strategy), ("Stop after", self.budget)):
            label = QLabel(title)
            label.setBuddy(editor)
            label.setToolTip(editor.toolTip())
            form.addRow(label, editor)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addLayout(form)
        rows.addWidget(self.augment)
        rows.addWidget(self.more)
        for signal in (
            *(box.currentIndexChanged for box in (self.start, self.strategy)),
            *(editor.valueChanged for editor in (self.budget, self.augment, self.more)),
        ):
            signal.connect(self._on_edited)
        self.preview_button.clicked.connect(self.previewAsked)
        self._update()

    def value(self) -> TrainRecipe:
        """Return the settings; besides the four that are always shown, only those that were given are set.

        Raises
        ------
        pydantic.ValidationError
            Where they contradict each other, see `problem`.
        """
        groups = self.augment.value() | self.more.value()
        parts: dict[str, Any] = {name: given(part) for name, part in groups.items()}
        top = parts.pop("")
        parts["optimise"] |= self.budget.value()
        parts["transfer"] |= {"start": self.start.currentText(), "strategy": self.strategy.currentData()}
        stated = {name: part for name, part in parts.items() if part}
        return TrainRecipe.model_validate(self._rest | top | stated)

    def setValue(self, recipe: TrainRecipe) -> None:
        """Show settings, silently."""
        stated = given(recipe)
        self._rest = {name: stated[name] for name in ("split", "normalise") if name in stated}
        before = self.blockSignals(True)
        self._choose(self.start, recipe.transfer.start)
        self.strategy.setCurrentIndex(self.strategy.findData(recipe.transfer.strategy))
        optimise = stated.get("optimise", {})
        self.budget.setValue(optimise if {"minutes", "epochs"} & set(optimise) else {"minutes": MINUTES})
        self.augment.setValue({"augment": recipe.augment})
        parts: dict[str, Part] = {name: getattr(recipe, name) for name in ("sampling", "loss", "scoring")}
        for name, kind, hidden in (
            ("transfer", Transfer, ("start", "strategy")),
            ("optimise", Optimise, ("epochs", "minutes")),
        ):
            parts[name] = kind.model_validate({k: v for k, v in stated.get(name, {}).items() if k not in hidden})
        top = {name: stated[name] for name in ("outputs", "activation", "network") if name in stated}
        self.more.setValue(parts | {"": TrainRecipe.model_validate(top)})
        self.blockSignals(before)
        self._update()

    def setModels(self, names: Iterable[str]) -> None:
        """List the models to start from; the chosen one stays."""
        chosen = self.start.currentText()
        before = self.start.blockSignals(True)
        self.start.clear()
        self.start.addItems(list(names))
        if chosen:
            self._choose(self.start, chosen)
        self.start.blockSignals(before)

    def problem(self) -> str | None:
        """Return why the settings cannot be used, or None."""
        problem = self.augment.problem() or self.more.problem()
        if problem is not None:
            return problem
        try:
            self.value()
        except ValidationError as error:
            return validation_message(error)
        return None

    @staticmethod
    def _choose(box: QComboBox, text: str) -> None:
        """Choose a model, also one that is in no list, such as a folder."""
        if box.findText(text) < 0:
            box.addItem(text)
        box.setCurrentText(text)
        box.setToolTip(text if Path(text).is_absolute() else box.toolTip())

    def _on_edited(self) -> None:
        self._update()
        self.valueChanged.emit()

    def _update(self) -> None:
        self.start.setEnabled(self.strategy.currentData() != "scratch")


def given(part: Part) -> dict[str, Any]:
    """Return the settings that were given, as plain values."""
    return part.model_dump(mode="json", exclude_unset=True)
