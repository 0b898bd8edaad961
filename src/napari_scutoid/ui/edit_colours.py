"""Colours of cells while they are corrected: neighbours differ, and a cell keeps its own as long as that is so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_scutoid.ui.colours import PALETTE
from napari_scutoid.ui.label_refresh import refresh_box
from napari_scutoid.ui.layers import unwrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.layers import Labels as LabelsLayer

    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.index import CellIndex

MOST_IDS = 2**24
"""A table of colours has a byte for each id; larger ids are looked up by napari, several times slower."""


class EditColours:
    """The colours of a session's cells.

    Parameters
    ----------
    layer : napari.layers.Labels
        Shows the cells.
    index : CellIndex
        Of the cells, kept up to date by whoever edits them.
    before : mapping of int to int, optional
        Colours that cells had, as numbers of the palette.
    """

    def __init__(self, layer: LabelsLayer, index: CellIndex, before: Mapping[int, int] | None = None) -> None:
        from napari_scutoid.steps.colouring import colours_of

        self._layer, self._index = unwrapped(layer), index
        neighbours = {int(cell): index.neighbours(int(cell)) for cell in index.cells}
        # Those of cells that went stay known: what is undone looks as it did.
        self.colours = {**(before or {}), **colours_of(neighbours, len(PALETTE), before)}
        self._show()

    def refresh(self, change: Change) -> None:
        """Give the cells that a change made a colour, and show what it changed."""
        from napari_scutoid.proofread.change import cells_in
        from napari_scutoid.steps.colouring import recoloured

        if change.labels is None:
            return
        from napari_scutoid.ui.cell_colormap import CellColormap

        before, after = cells_in(change.labels)
        cells = sorted(cell for cell in before | after if cell in self._index)
        new = recoloured(cells, self._index.neighbours, len(PALETTE), self.colours)
        self.colours |= new
        if not isinstance(self._layer.colormap, CellColormap) or max(new, default=0) >= MOST_IDS:
            self._show()
            return
        self._layer.colormap.add(new)
        refresh_box(self._layer, change.labels.box)
        for cell in new:  # one that has voxels elsewhere takes its new colour there, too
            refresh_box(self._layer, self._index.box(cell))

    def _show(self) -> None:
        from napari_scutoid.ui.colours import colour_cells

        if max(self.colours, default=0) >= MOST_IDS or self._layer.data.dtype.itemsize <= 2:
            colour_cells(self._layer, self.colours)
        else:
            from napari_scutoid.ui.cell_colormap import CellColormap

            self._layer.colormap = CellColormap.of(self.colours)
