"""A table of colours that an edit adds to. Imports napari: only what shows cells imports it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from pydantic import PrivateAttr

from napari_scutoid.ui.colours import NEW, PALETTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

UNKNOWN, NONE, FIRST = 0, 1, 2
"""Rows of the colours on the graphics card: of ids without one, of no cell, and the first of the palette."""
SHADES = (NEW, (0.0, 0.0, 0.0, 0.0), *((*shade, 1.0) for shade in PALETTE))


class CellColormap(DirectLabelColormap):
    """napari's table of colours, that can be added to without doing all of it again.

    napari numbers the colours anew for each colormap, and looks up each voxel in a dictionary. Here the numbers are
    those of the palette, so that a cell's new colour needs no other one to be sent to the graphics card again, and an
    array has the number of each cell.
    """

    _table: NDArray[np.uint8] = PrivateAttr(default_factory=lambda: np.array([NONE, UNKNOWN], np.uint8))

    @classmethod
    def of(cls, colours: Mapping[int, int]) -> CellColormap:
        """Return a colormap of the palette's numbers of cells."""
        unknown = np.array(NEW, np.float32)
        made = cls(color_dict=defaultdict(lambda: unknown, {None: unknown, 0: np.zeros(4, np.float32)}))
        made.add(colours)
        return made

    def add(self, colours: Mapping[int, int]) -> None:
        """Give cells colours, in place; layers show them once their voxels are taken anew."""
        if not colours:
            return
        most = max(colours)
        if most >= len(self._table) - 1:
            larger = np.zeros(2 * most + 2, np.uint8)
            larger[: len(self._table)] = self._table
            self._table = larger
        for cell, colour in colours.items():
            self._table[cell] = FIRST + colour
            self.color_dict[cell] = np.array([*PALETTE[colour], 1.0], np.float32)

    @property
    def _num_unique_colors(self) -> int:
        return FIRST + len(PALETTE)

    def _values_mapping_to_minimum_values_set(self, apply_selection: bool = True) -> tuple[dict, dict]:
        if self.use_selection and apply_selection:
            return super()._values_mapping_to_minimum_values_set(apply_selection)
        table = self._table
        numbers = {None: UNKNOWN, **{cell: int(table[cell]) for cell in self.color_dict if cell is not None}}
        return numbers, dict(enumerate(np.array(SHADES, np.float32)))

    def _data_to_texture(self, values: Any) -> Any:
        if np.ndim(values) == 0:
            return self._data_to_texture(np.array([values]))[0]
        return super()._data_to_texture(values) if values.dtype.itemsize <= 2 else self.numbers(values)

    def numbers(self, values: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """Return the rows of `shades` that ids have."""
        if self.use_selection:
            return (values == self.selection).astype(np.uint8)
        # Ids beyond the table are cut to its last row, which is never in use.
        return self._table.take(values, mode="clip")

    @property
    def shades(self) -> NDArray[np.float32]:
        """The colours, shape (rows, 4)."""
        # Which cells there are plays no part in it: views ask for it each time they are painted.
        shades = self._values_mapping_to_minimum_values_set()[1].values() if self.use_selection else SHADES
        return np.array(list(shades), np.float32)

    def map(self, values: Any) -> Any:
        """Return the colours of ids, with a last axis for red, green, blue and opacity."""
        if np.ndim(values) == 0 or np.asarray(values).dtype.itemsize <= 2:
            return super().map(values)
        return self.shades[self.numbers(np.asarray(values))]
