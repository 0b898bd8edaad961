"""The keys of the corrections: what each does, listed, changeable, and remembered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QHeaderView,
    QKeySequenceEdit,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from napari_scutoid.ui.note import Note
from napari_scutoid.ui.user_file import UserFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import napari
    from napari.layers import Layer

MOST_BYTES = 2**16
_IN_QT = {"Control": "Ctrl", "Delete": "Del", "Escape": "Esc", "PageUp": "PgUp", "PageDown": "PgDown", "Insert": "Ins"}
_MODIFIERS = ("Ctrl", "Shift", "Alt", "Meta")
_TEXT_INPUTS = (QLineEdit, QTextEdit, QPlainTextEdit, QAbstractSpinBox, QComboBox)


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a key does.

    Parameters
    ----------
    name : str
        As the program calls it.
    does : str
        As the list shows it.
    key : str
        By default, as napari writes keys: ``"Control-Z"``; empty for none.
    """

    name: str
    does: str
    key: str = ""


ACTIONS = (
    Action("next", "Next suspect", "Space"),
    Action("previous", "Previous suspect", "Backspace"),
    Action("accept", "Accept: it is right and stays as it is", "A"),
    Action("fix", "Apply the proposed fix", "D"),
    Action("skip", "Skip: leave it as it is", "S"),
    Action("flag", "Flag for later, with a note", "N"),
    Action("merge", "Tool: merge", "J"),
    Action("split", "Tool: split", "K"),
    Action("cut", "Tool: cut", "C"),
    Action("add", "Tool: add a cell", "I"),
    Action("delete", "Tool: delete", "Delete"),
    Action("new_cell", "Paint a new cell", "M"),
    Action("propose", "Propose cuts of the chosen cell", "U"),
    Action("no_tool", "No tool: choose cells", "Q"),
    Action("unlock", "Unlock the chosen cells", "Shift-A"),
    Action("undo", "Undo", "Control-Z"),
    Action("redo", "Redo", "Control-Shift-Z"),
    Action("image", "Show or hide the image", "R"),
    Action("walls", "Show or hide the probability of walls", "W"),
    Action("outlines", "Cells as outlines, or filled", "O"),
    Action("alone", "Only this cell and its neighbours", "H"),
    Action("sides", "Show or hide the crosshair", "Y"),
    Action("save", "Save"),
)
"""napari's own keys for painting (1 to 7, E, P, F, L, Z, X, B, [ and ]) stay as they are, as does Ctrl+S.

Its M takes the largest id of the stack and adds one, which may have been another cell's before an undo.
"""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(default=1, ge=1, le=1)
    keys: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=64)]] = Field(
        default_factory=dict, max_length=256
    )


class RememberedKeys:
    """The file of keys that the user changed. It is never trusted: what is no key, or of no action, is ignored.

    Parameters
    ----------
    file : path, optional
        By default in the user's folder of settings.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = UserFile("keys.json", _File, MOST_BYTES, file)

    @property
    def file(self) -> Path:
        """Where it is."""
        return self._file.path

    def read(self) -> dict[str, str]:
        """Return the keys by action."""
        return {name: key for name, key in self._file.read().keys.items() if not key or problem_of(key) is None}

    def write(self, keys: Mapping[str, str]) -> None:
        """Remember keys; where that cannot be written, they hold until napari is closed."""
        self._file.write(_File(keys=dict(keys)))


class Keys(QObject):
    """Keys that do something in a viewer, whichever of its layers is active, and in the docks given to `watch`.

    They are bound to the viewer and to one layer, not to their classes: what napari does with the same key comes back
    with `stop`.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Layer
        Its own keys would come before the viewer's.
    remembered : RememberedKeys, optional
    actions : sequence of Action, optional

    Signals
    -------
    pressed : str
        The name of an action.
    changed
        Other keys hold from now on.
    """

    pressed = Signal(str)
    changed = Signal()

    def __init__(
        self,
        viewer: napari.Viewer,
        layer: Layer,
        remembered: RememberedKeys | None = None,
        actions: Sequence[Action] = ACTIONS,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.actions = {action.name: action for action in actions}
        self._owners = (viewer, layer)
        self._remembered = remembered or RememberedKeys()
        self._bound: list[tuple[Any, str, Callable[..., Any] | None]] = []
        kept = self._remembered.read()
        self._keys = {name: kept.get(name, action.key) for name, action in self.actions.items()}
        self._bind()

    def value(self) -> dict[str, str]:
        """Return the key of each action, empty for none."""
        return dict(self._keys)

    def shown(self) -> dict[str, str]:
        """Return the keys as this computer names them, by action."""
        return {name: shown_as(key) for name, key in self._keys.items() if key}

    def setKey(self, name: str, key: str) -> str | None:
        """Give an action another key, or none; return why that cannot be, or None.

        Parameters
        ----------
        name : str
            Of the action.
        key : str
            As napari writes keys; empty for none.
        """
        if key:
            problem = problem_of(key)
            if problem is not None:
                return problem
            for other, taken in self._keys.items():
                if other != name and taken and _same(taken, key):
                    return f"{shown_as(key)} is taken: {self.actions[other].does}."
        self._keys[name] = key
        self._keep()
        return None

    def reset(self) -> None:
        """Go back to the usual keys."""
        self._keys = {name: action.key for name, action in self.actions.items()}
        self._keep()

    def watch(self, dock: QWidget) -> None:
        """Let the keys hold in a dock as well: whoever clicked a button there would else press it again with Space."""
        for widget in (dock, *dock.findChildren(QAbstractButton)):
            widget.installEventFilter(self)

    def stop(self) -> None:
        """Give the keys back to napari."""
        for owner, key, before in reversed(self._bound):
            owner.bind_key(key, before, overwrite=True)
        self._bound.clear()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Do what a key pressed in a dock stands for, unless something is being written."""
        if event is None or event.type() != QEvent.Type.KeyPress or isinstance(watched, _TEXT_INPUTS):
            return False
        pressed = QKeySequence(event.keyCombination()).toString(QKeySequence.SequenceFormat.PortableText)  # type: ignore[attr-defined]
        for name, key in self._keys.items():
            if key and _qt(key) == pressed:
                self.pressed.emit(name)
                return True
        return False

    def _keep(self) -> None:
        self.stop()
        self._bind()
        usual = {name: action.key for name, action in self.actions.items()}
        self._remembered.write({name: key for name, key in self._keys.items() if key != usual[name]})
        self.changed.emit()

    def _bind(self) -> None:
        for name, key in self._keys.items():
            if not key:
                continue
            for owner in self._owners:
                before = owner.bind_key(key, None)
                owner.bind_key(key, self._caller(name), overwrite=True)
                self._bound.append((owner, key, before))

    def _caller(self, name: str) -> Callable[[object], None]:
        # napari makes methods of what it binds, so it must be a function of one argument.
        def press(_owner: object) -> None:
            self.pressed.emit(name)

        return press


class KeyList(QWidget):
    """The keys as a table; a click on one and a key pressed give it another.

    Parameters
    ----------
    keys : Keys
    """

    def __init__(self, keys: Keys, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keys = keys
        self.table = QTableWidget(len(keys.actions), 2)
        self.table.setHorizontalHeaderLabels(["What it does", "Key"])
        rows_header: Any = self.table.verticalHeader()
        rows_header.hide()
        header: Any = self.table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.edits: dict[str, QKeySequenceEdit] = {}
        for row, action in enumerate(keys.actions.values()):
            words = QTableWidgetItem(action.does)
            words.setFlags(Qt.ItemFlag.ItemIsEnabled)
            words.setToolTip(action.does)
            edit = QKeySequenceEdit()
            edit.setMaximumSequenceLength(1)
            edit.setClearButtonEnabled(True)
            edit.setToolTip("Click here and press another key.")
            edit.setAccessibleName(f"Key: {action.does}")
            edit.setProperty("action", action.name)
            edit.editingFinished.connect(self._on_edited)
            self.edits[action.name] = edit
            self.table.setItem(row, 0, words)
            self.table.setCellWidget(row, 1, edit)
        self.note = Note()
        self.reset_button = QPushButton("Usual keys")
        self.reset_button.setToolTip("Go back to the keys that the program comes with.")
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.table, 1)
        rows.addWidget(self.note)
        rows.addWidget(self.reset_button)
        self.reset_button.clicked.connect(self._on_reset)
        keys.changed.connect(self._show)
        self._show()

    def _on_edited(self) -> None:
        edit = self.sender()
        if not isinstance(edit, QKeySequenceEdit):
            return
        name = str(edit.property("action"))
        key = _napari(edit.keySequence().toString(QKeySequence.SequenceFormat.PortableText))
        if key == self._keys.value()[name]:
            return
        problem = self._keys.setKey(name, key)
        self.note.setText("" if problem is None else f"⚠ {problem}")
        self._show()

    def _on_reset(self) -> None:
        self._keys.reset()
        self.note.clear()

    def _show(self) -> None:
        for name, key in self._keys.value().items():
            before = self.edits[name].blockSignals(True)
            self.edits[name].setKeySequence(QKeySequence(_qt(key)))
            self.edits[name].blockSignals(before)


def problem_of(key: str) -> str | None:
    """Return why napari can take no such key, or None."""
    from napari.utils.key_bindings import coerce_keybinding

    try:
        binding = coerce_keybinding(key)
    except (ValueError, TypeError, KeyError):
        return f"“{key}” is no key."
    last = str(binding.parts[-1].key) if len(binding.parts) == 1 else "unknown"
    return f"“{key}” is not one key." if last in ("unknown", *_MODIFIERS) else None


def shown_as(key: str) -> str:
    """Return a key as this computer names it."""
    return QKeySequence(_qt(key)).toString(QKeySequence.SequenceFormat.NativeText)


def _same(one: str, other: str) -> bool:
    return QKeySequence(_qt(one)) == QKeySequence(_qt(other))


def _qt(key: str) -> str:
    """Return a key as Qt writes it: ``Control-Shift-Z`` is ``Ctrl+Shift+Z`` there."""
    parts = [*key[:-1].split("-")[:-1], "-"] if key.endswith("-") else key.split("-")
    return "+".join(_IN_QT.get(part, part) for part in parts)


def _napari(key: str) -> str:
    """Return a key as napari writes it."""
    in_napari = {ours: theirs for theirs, ours in _IN_QT.items()} | {"Return": "Enter"}
    parts = [*key[:-1].split("+")[:-1], "+"] if key.endswith("+") else key.split("+")
    return "-".join(in_napari.get(part, part) for part in parts)
