"""Groups of settings that are folded away, and made only when somebody looks: a form of thirty fields takes time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_scutoid.ui.dock import heading
from napari_scutoid.ui.form import Form

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_scutoid.recipe import Part

    Group = tuple[str, type[Part], Sequence[str] | None]


class FoldedForms(QWidget):
    """Forms under a line that unfolds them.

    Parameters
    ----------
    title : str
    groups : mapping of str to (str, subclass of Part, sequence of str or None)
        By name: heading ("" for none), kind and the settings shown, as `Form` takes them.
    above : sequence of QWidget
        Shown first, when unfolded.

    Signals
    -------
    valueChanged
        By hand; `setValue` is silent.
    """

    valueChanged = Signal()

    def __init__(
        self, title: str, groups: Mapping[str, Group], above: Sequence[QWidget] = (), parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._groups = dict(groups)
        self._values: dict[str, Part] = {name: kind() for name, (_, kind, _) in groups.items()}
        self._bases: dict[str, Part] = {}
        self.forms: dict[str, Form] = {}
        self.fold = QToolButton()
        self.fold.setText(title)
        self.fold.setCheckable(True)
        self.fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.fold.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._content = QWidget()
        self._rows = QVBoxLayout(self._content)
        self._rows.setContentsMargins(12, 0, 0, 0)
        for widget in above:
            self._rows.addWidget(widget)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.fold)
        rows.addWidget(self._content)
        self.fold.toggled.connect(self._on_toggled)
        self._on_toggled(False)

    def value(self) -> dict[str, Part]:
        """Return the settings of each group; only those that were given are set."""
        if not self.forms:
            return dict(self._values)
        return {name: form.value() for name, form in self.forms.items()}

    def setValue(self, values: Mapping[str, Part]) -> None:
        """Show settings; a group that is not named keeps its own."""
        # Settings that contradict each other have no value, and are no reason not to take others in their place.
        kept = {} if set(values) >= set(self._groups) else self.value()
        self._values = kept | dict(values)
        for name, form in self.forms.items():
            form.setValue(self._values[name])

    def setBase(self, bases: Mapping[str, Part]) -> None:
        """State what counts where nothing is given, such as a model's own settings."""
        self._bases = dict(bases)
        for name, form in self.forms.items():
            if name in bases:
                form.setBase(bases[name])

    def problem(self) -> str | None:
        """Return why a group cannot be used, or None."""
        return next((problem for form in self.forms.values() if (problem := form.problem())), None)

    def unfold(self) -> None:
        """Show the forms."""
        self.fold.setChecked(True)

    def _on_toggled(self, is_open: bool) -> None:
        self.fold.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
        self._content.setVisible(is_open)
        if not is_open or self.forms:
            return
        for name, (title, kind, names) in self._groups.items():
            form = Form(kind, names)
            form.setValue(self._values[name])
            if name in self._bases:
                form.setBase(self._bases[name])
            form.valueChanged.connect(self.valueChanged)
            if title:
                self._rows.addWidget(heading(title))
            self._rows.addWidget(form)
            self.forms[name] = form
