"""One editor for each kind of setting, made from what pydantic says about it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

AUTOMATIC = "automatic"
AXES = ("z", "y", "x")
LARGEST = 2**31 - 1


class Editor(QWidget):
    """Edit one value.

    Signals
    -------
    valueChanged
        By hand; `setValue` is silent.
    """

    valueChanged = Signal()

    def value(self) -> Any:
        """Return what is shown."""
        raise NotImplementedError

    def setValue(self, value: Any) -> None:
        """Show a value."""
        raise NotImplementedError

    def _fill(self, *widgets: QWidget) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in widgets:
            row.addWidget(widget, 1)
        self.setFocusProxy(widgets[0])


class _Unhurried:
    """A box that the mouse wheel changes only once it was clicked: else scrolling through a dock changes settings."""

    def wheelEvent(self, event: Any) -> None:
        if self.hasFocus():  # type: ignore[attr-defined]
            super().wheelEvent(event)  # type: ignore[misc]
        else:
            event.ignore()


class IntegerBox(_Unhurried, QSpinBox):
    """A whole number."""


class NumberBox(_Unhurried, QDoubleSpinBox):
    """A number without the zeros that only fill up its decimals."""

    def textFromValue(self, value: float) -> str:
        """Return the number as it is shown."""
        text = super().textFromValue(value)
        point = self.locale().decimalPoint()
        return text.rstrip("0").rstrip(point) if point in text else text


class ChoiceBox(_Unhurried, QComboBox):
    """A list to choose from."""


def number_box(bounds: dict[str, Any], decimals: int, unit: str = "", *, optional: bool = False) -> Any:
    """Return a spin box with the bounds of a JSON schema; an optional one has a step below for "automatic"."""
    whole = bounds["type"] == "integer"
    step = 1 if whole else 10.0**-decimals
    low = bounds.get("minimum", bounds.get("exclusiveMinimum", -LARGEST))
    if "exclusiveMinimum" in bounds:
        low += step
    high = bounds.get("maximum", LARGEST)
    box: Any = IntegerBox() if whole else NumberBox()
    if not whole:
        box.setDecimals(decimals)
    lowest = low - step if optional else low
    box.setRange(int(lowest) if whole else lowest, int(high) if whole else high)
    box.setStepType(box.StepType.AdaptiveDecimalStepType)
    box.setKeyboardTracking(False)
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    if optional:
        box.setSpecialValueText(AUTOMATIC)
    if unit:
        box.setSuffix(f" {unit}")
    return box


class NumberEdit(Editor):
    """A number; None is the step below the smallest, where None is allowed."""

    def __init__(self, bounds: dict[str, Any], decimals: int, unit: str, *, optional: bool) -> None:
        super().__init__()
        self._optional = optional
        self.box: Any = number_box(bounds, decimals, unit, optional=optional)
        self._fill(self.box)
        self.box.valueChanged.connect(self.valueChanged)

    def value(self) -> float | int | None:
        """Return the number."""
        return None if self._optional and self.box.value() == self.box.minimum() else self.box.value()

    def setValue(self, value: float | int | None) -> None:
        """Show a number."""
        before = self.box.blockSignals(True)
        self.box.setValue(self.box.minimum() if value is None else value)
        self.box.blockSignals(before)


class TripleEdit(Editor):
    """Three numbers along z, y, x; None where the box before them is not ticked."""

    def __init__(self, bounds: dict[str, Any], decimals: int, unit: str, *, optional: bool) -> None:
        super().__init__()
        self.given = QCheckBox("give it")
        self.given.setVisible(optional)
        self.given.setChecked(not optional)
        self.boxes: list[Any] = [number_box(bounds, decimals) for _ in AXES]
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.given)
        row = QHBoxLayout()
        for axis, box in zip(AXES, self.boxes, strict=True):
            box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
            box.setAccessibleName(axis)
            row.addWidget(QLabel(axis))
            row.addWidget(box, 1)
            box.valueChanged.connect(self.valueChanged)
        if unit:
            row.addWidget(QLabel(unit))
        rows.addLayout(row)
        self.given.toggled.connect(self._on_given)
        self._enable()

    def value(self) -> tuple[float, ...] | None:
        """Return the numbers along z, y, x."""
        return tuple(box.value() for box in self.boxes) if self.given.isChecked() else None

    def setValue(self, value: Any) -> None:
        """Show three numbers, or none."""
        for widget in (self.given, *self.boxes):
            widget.blockSignals(True)
        self.given.setChecked(value is not None)
        for box, number in zip(self.boxes, value or (), strict=bool(value)):
            box.setValue(number)
        for widget in (self.given, *self.boxes):
            widget.blockSignals(False)
        self._enable()

    def _on_given(self) -> None:
        self._enable()
        self.valueChanged.emit()

    def _enable(self) -> None:
        for box in self.boxes:
            box.setEnabled(self.given.isChecked())


class ChoiceEdit(Editor):
    """One of a few words."""

    def __init__(self, words: list[str]) -> None:
        super().__init__()
        self.box = ChoiceBox()
        self.box.addItems(words)
        self.box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        # The longest word would else set the least width of the dock.
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._fill(self.box)
        self.box.currentIndexChanged.connect(self.valueChanged)

    def value(self) -> str:
        """Return the word."""
        return self.box.currentText()

    def setValue(self, value: str) -> None:
        """Choose a word."""
        before = self.box.blockSignals(True)
        self.box.setCurrentText(value)
        self.box.blockSignals(before)


class SwitchEdit(Editor):
    """Yes or no."""

    def __init__(self) -> None:
        super().__init__()
        self.box = QCheckBox()
        self._fill(self.box)
        self.box.toggled.connect(self.valueChanged)

    def value(self) -> bool:
        """Return whether it is ticked."""
        return self.box.isChecked()

    def setValue(self, value: bool) -> None:
        """Tick it, or not."""
        before = self.box.blockSignals(True)
        self.box.setChecked(value)
        self.box.blockSignals(before)


class TextEdit(Editor):
    """A word, or a list of words between commas."""

    def __init__(self, *, several: bool) -> None:
        super().__init__()
        self._several = several
        self.line = QLineEdit()
        self._fill(self.line)
        self.line.editingFinished.connect(self.valueChanged)

    def value(self) -> str | tuple[str, ...]:
        """Return the text, or the words."""
        text = self.line.text().strip()
        return tuple(word.strip() for word in text.split(",") if word.strip()) if self._several else text

    def setValue(self, value: Any) -> None:
        """Show a text, or words."""
        self.line.setText(", ".join(value) if self._several else value)


def editor_for(schema: dict[str, Any]) -> Editor:
    """Return the editor for a property of a JSON schema, as pydantic writes it.

    Raises
    ------
    TypeError
        When there is no editor for such a property.
    """
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    optional = len(kinds) < len(schema.get("anyOf", ()))
    kind = kinds[0]
    decimals, unit = int(schema.get("decimals", 3)), str(schema.get("unit", ""))
    if "enum" in kind:
        return ChoiceEdit([str(word) for word in kind["enum"]])
    if kind.get("type") in ("number", "integer"):
        return NumberEdit(kind, decimals, unit, optional=optional)
    if kind.get("type") == "boolean":
        return SwitchEdit()
    if kind.get("type") == "array" and kind.get("maxItems") == len(AXES):
        bounds = {**kind["prefixItems"][0], "minimum": schema.get("ge", 0), "maximum": schema.get("le", LARGEST)}
        return TripleEdit(bounds, decimals, unit, optional=optional)
    if kind.get("type") in ("array", "string"):
        return TextEdit(several=kind["type"] == "array")
    raise TypeError(f"there is no editor for {schema}")
