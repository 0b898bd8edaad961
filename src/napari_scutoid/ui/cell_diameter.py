"""The one setting that decides most: how large a typical cell is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDoubleSpinBox

from napari_scutoid.recipe import Recipe, Rescale

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


class CellDiameterEdit(QDoubleSpinBox):
    """A diameter in voxels, or the program's own estimate while it stands at its lowest value."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        about = Rescale.model_json_schema()["properties"]["cell_diameter"]
        bounds = about["anyOf"][0]
        step = 10.0 ** -about["decimals"]
        self.setDecimals(about["decimals"])
        self._lowest = bounds["minimum"]
        self.setRange(self._lowest - step, bounds["maximum"])
        self.setSpecialValueText("estimated from the image")
        self.setSuffix(f" {about['unit']}")
        self.setToolTip(about["description"])
        self.setValue(self.minimum())

    def diameter(self) -> float | None:
        """Return the diameter given by the user; None leaves it to the estimate."""
        return self.value() if self.value() >= self._lowest else None

    def recipe(self) -> Recipe:
        """Return the recipe of a run with this diameter."""
        given = self.diameter()
        return Recipe() if given is None else Recipe.model_validate({"rescale": {"cell_diameter": given}})
