"""The settings between probabilities and labels: a few that matter most, and all others folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_scutoid.recipe import Cleanup, Part, Partition, Recipe, Watershed
from napari_scutoid.recipe.starting_points import starting_points
from napari_scutoid.ui.editors import ChoiceBox
from napari_scutoid.ui.form import Form

if TYPE_CHECKING:
    from collections.abc import Mapping

MAIN: Mapping[str, tuple[type[Part], tuple[str, ...]]] = {
    "watershed": (Watershed, ("boundary_threshold", "foreground_threshold", "seed_sigma")),
    "partition": (Partition, ("method", "beta", "weak_wall")),
    "cleanup": (Cleanup, ("min_size", "min_size_unit")),
}
TITLES = {("watershed", "method"): "Regions by", ("partition", "method"): "Partition method"}
OWN = "Your own"
OF_PARTITION = {"beta": ("multicut", "gasp", "mutex"), "weak_wall": ("shape",), "split_gain": ("shape",)}
OF_SEEDS = {"seed_prominence": ("prominent",), "seed_height": ("h-maxima",)}


class PostprocessForm(QWidget):
    """Edit the parts `watershed`, `partition` and `cleanup` of a recipe.

    Signals
    -------
    valueChanged
        By hand; `setValue` and `setBase` are silent.
    """

    valueChanged = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.start = ChoiceBox()
        self.start.setToolTip("<qt>Settings to start from. Those that a start does not set are the model's own.</qt>")
        self.start.setSizeAdjustPolicy(ChoiceBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._starts = starting_points()
        self._base = Recipe()
        self.start.addItems([*self._starts, OWN])
        self.main: dict[str, Form] = {}
        self.more: dict[str, Form] = {}
        for part, (kind, names) in MAIN.items():
            self.main[part] = Form(kind, names)
            self.more[part] = Form(kind, [name for name in kind.model_fields if name not in names])
        for (part, name), title in TITLES.items():
            (self.main if name in MAIN[part][1] else self.more)[part].labels[name].setText(title)
        self.fold = QCollapsible("More settings")
        self.fold.setDuration(0)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        first = QHBoxLayout()
        first.addWidget(QLabel("Start from"))
        first.addWidget(self.start, 1)
        rows.addLayout(first)
        for form in self.main.values():
            rows.addWidget(form)
        for form in self.more.values():
            self.fold.addWidget(form)
        rows.addWidget(self.fold)
        for form in (*self.main.values(), *self.more.values()):
            form.valueChanged.connect(self._on_edited)
        self.start.activated.connect(self._on_start)
        self._show_what_matters()

    def value(self) -> Recipe:
        """Return the settings; only those that were given are set."""
        return Recipe.model_validate({part: given for part in MAIN if (given := self._given(part))})

    def setValue(self, recipe: Recipe) -> None:
        """Show settings: those that are set count as given, all others are forgotten."""
        for part, (kind, _) in MAIN.items():
            stated = getattr(recipe, part).model_dump(exclude_unset=True) if part in recipe.model_fields_set else {}
            for form in (self.main[part], self.more[part]):
                form.setValue(kind.model_validate({name: stated[name] for name in stated if name in form.editors}))
        self._show_what_matters()

    def setBase(self, recipe: Recipe) -> None:
        """State what counts where nothing is given."""
        self._base = recipe
        for part in MAIN:
            for form in (self.main[part], self.more[part]):
                form.setBase(getattr(recipe, part))
        self._show_what_matters()

    def effective(self) -> Recipe:
        """Return the settings with what was not given filled in."""
        return self.value().over(self._base.model_dump())

    def _given(self, part: str) -> dict[str, Any]:
        return {
            name: value
            for form in (self.main[part], self.more[part])
            for name, value in form.value().model_dump(exclude_unset=True).items()
        }

    def _on_start(self) -> None:
        if (recipe := self._starts.get(self.start.currentText())) is not None:
            self.setValue(recipe)
            self.valueChanged.emit()

    def _on_edited(self) -> None:
        self._show_what_matters()
        self.valueChanged.emit()

    def _show_what_matters(self) -> None:
        """Hide settings that the present choices do not read, and name the start that they are."""
        now = self.effective()
        grown, method = now.watershed.method == "watershed", now.partition.method
        for form in (self.main["partition"], self.more["partition"]):
            form.show_only([name for name in form.editors if method in OF_PARTITION.get(name, (method,))])
        kind = now.watershed.seeds
        for form in (self.main["watershed"], self.more["watershed"]):
            form.show_only(
                [
                    name
                    for name in form.editors
                    if not name.startswith("seed") or (grown and kind in OF_SEEDS.get(name, (kind,)))
                ]
            )
        mine = self.value()
        named = (name for name, start in self._starts.items() if _same(start, mine))
        self.start.setCurrentText(next(named, OWN))


def _same(one: Recipe, other: Recipe) -> bool:
    return one.model_dump(exclude_unset=True) == other.model_dump(exclude_unset=True)
