"""Colours of cells: neighbours differ, and a cell keeps its own."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.layers import Labels as LabelsLayer

PALETTE = (
    *((0.90, 0.62, 0.00), (0.34, 0.71, 0.91), (0.00, 0.62, 0.45), (0.94, 0.89, 0.26), (0.00, 0.45, 0.70)),
    *((0.84, 0.37, 0.00), (0.80, 0.47, 0.65), (0.55, 0.83, 0.35), (0.65, 0.45, 0.95), (0.95, 0.55, 0.55)),
    *((0.40, 0.85, 0.80), (0.72, 0.56, 0.36)),
)
"""Those of Okabe and Ito (2008), which most people with a colour deficiency can tell apart, and five more."""
NEW = (1.0, 1.0, 1.0, 1.0)
"""Of cells drawn since the colours were chosen."""


def colour_cells(layer: LabelsLayer, colours: Mapping[int, int]) -> None:
    """Show a layer's cells in the colours of the palette that were chosen for them."""
    from napari.utils.colormaps import DirectLabelColormap

    shades = [np.array([*shade, 1.0], np.float32) for shade in PALETTE]
    table: dict[int | None, Any] = {cell: shades[colour] for cell, colour in colours.items()}
    table |= {None: np.array(NEW, np.float32), 0: np.zeros(4, np.float32)}
    layer.colormap = DirectLabelColormap(color_dict=defaultdict(lambda: np.array(NEW, np.float32), table))
