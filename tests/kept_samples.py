"""What a network would have said of a small tissue."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_scutoid.pipeline import relabel
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Recipe
from napari_scutoid.result import Kept
from napari_scutoid.volume import Origin, Volume, VoxelSize

SIZE = VoxelSize(2.0, 1.0, 1.0)


def kept_cells(size: VoxelSize | None = SIZE) -> Kept:
    """Return probabilities of twelve cells between walls, one of which is weak, and their labels."""
    boundary = np.zeros((14, 24, 32), np.float32)
    boundary[:, 8::8], boundary[:, :, 8::8] = 0.95, 0.95
    boundary[:, 17:, 16] = 0.45
    boundary = np.clip(gaussian_filter(boundary, 0.3), 0, 1)
    origin = Origin(3.0, 2.0, 1.0) if size else Origin()
    maps = {
        "foreground": Volume(np.ones_like(boundary), size, origin),
        "boundary": Volume(boundary, size, origin),
    }
    shape = boundary.shape
    facts = {"cells": {}, "typical_cell": {}}
    kept = Kept(maps, SIZE, shape, size, origin, None, Recipe(), Recipe(), facts, ())
    found = drain(relabel(kept)).kept
    if found is None:
        raise ValueError("relabel must return what it was made from")
    return found
