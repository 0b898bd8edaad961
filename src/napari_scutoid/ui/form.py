"""A group of settings as a form: titles, tooltips, bounds and units are those that the recipe states.

What the user has not touched stays unset, so that a model's own settings, and then the defaults, count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractSpinBox, QFormLayout, QHBoxLayout, QLabel, QToolButton, QWidget

from napari_scutoid.recipe import Part, validation_message
from napari_scutoid.ui.editors import Editor, editor_for

if TYPE_CHECKING:
    from collections.abc import Sequence


class Form(QWidget):
    """Edit some or all settings of one group.

    Parameters
    ----------
    kind : subclass of Part
    names : sequence of str, optional
        Which settings, and in which order; by default all but groups of settings.

    Signals
    -------
    valueChanged
        By hand; `setValue` and `setBase` are silent.
    """

    valueChanged = Signal()

    def __init__(self, kind: type[Part], names: Sequence[str] | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._kind = kind
        schemas = kind.model_json_schema()["properties"]
        if names is None:
            names = [name for name, schema in schemas.items() if _is_setting(schema)]
        self._base = kind()
        self._given: dict[str, Any] = {}
        self.editors: dict[str, Editor] = {}
        self.labels: dict[str, QLabel] = {}
        self._back: dict[str, QToolButton] = {}
        rows = QFormLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name in names:
            self._add(rows, name, schemas[name])
        self._show()

    def _add(self, rows: QFormLayout, name: str, schema: dict[str, Any]) -> None:
        editor, label, back = editor_for(schema), QLabel(schema["title"]), QToolButton()
        for widget in (editor, label):
            widget.setToolTip(f"<qt>{schema['description']}</qt>")
            widget.setWhatsThis(schema["description"])
        label.setBuddy(editor)
        back.setText("↺")
        back.setToolTip("Back to the model's own value, or the default.")
        back.setAutoRaise(True)
        # Its place is kept while it is hidden, so that fields do not jump.
        policy = back.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        back.setSizePolicy(policy)
        line = QHBoxLayout()
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(editor, 1)
        line.addWidget(back, 0, Qt.AlignmentFlag.AlignTop)
        rows.addRow(label, line)
        editor.valueChanged.connect(lambda: self._on_edited(name))
        back.clicked.connect(lambda: self.forget(name))
        self.editors[name], self.labels[name], self._back[name] = editor, label, back

    def value(self) -> Part:
        """Return the settings; only those that were given are set.

        Raises
        ------
        pydantic.ValidationError
            Where they contradict each other, see `problem`.
        """
        return self._kind.model_validate(self._given)

    def problem(self) -> str | None:
        """Return why the settings cannot be used, or None."""
        try:
            self.effective()
        except ValidationError as error:
            return validation_message(error)
        return None

    def effective(self) -> Part:
        """Return the settings with what was not given filled in, as `value` raises."""
        return self._kind.model_validate({**self._base.model_dump(), **self._given})

    def setValue(self, value: Part) -> None:
        """Show settings: those that are set count as given, all others are forgotten."""
        self._given = value.model_dump(include=value.model_fields_set)
        self._show()

    def setBase(self, base: Part) -> None:
        """State what counts where nothing is given, such as a model's own settings."""
        self._base = base
        self._show()

    def forget(self, name: str) -> None:
        """Take a setting back."""
        if self._given.pop(name, _ABSENT) is not _ABSENT:
            self._show()
            self.valueChanged.emit()

    def given(self) -> frozenset[str]:
        """Return the names of the settings that were given."""
        return frozenset(self._given)

    def show_only(self, names: Sequence[str]) -> None:
        """Hide the settings that do not matter at present."""
        layout = self.layout()
        for name, label in self.labels.items():
            layout.setRowVisible(label, name in names)  # type: ignore[union-attr]
        self._mark()  # Qt has shown every button of the rows that it showed

    def _on_edited(self, name: str) -> None:
        self._given[name] = self.editors[name].value()
        self._mark()
        self.valueChanged.emit()

    def _show(self) -> None:
        shown = {**self._base.model_dump(), **self._given}
        for name, editor in self.editors.items():
            editor.setValue(shown[name])
        self._mark()

    def _mark(self) -> None:
        """Tell what was given from what is taken from elsewhere."""
        for name, label in self.labels.items():
            font = label.font()
            font.setBold(name in self._given)
            label.setFont(font)
            self._back[name].setVisible(name in self._given)


_ABSENT = object()


def _is_setting(schema: dict[str, Any]) -> bool:
    """Tell a single setting from a group of settings, and from the version of the file."""
    return "const" not in schema and not any("$ref" in kind for kind in (schema, *schema.get("anyOf", ())))


def follow_typing(form: Form) -> None:
    """Tell of numbers while they are typed, not only once they are entered: for what is shown at once and is cheap."""
    for box in form.findChildren(QAbstractSpinBox):
        box.setKeyboardTracking(True)
