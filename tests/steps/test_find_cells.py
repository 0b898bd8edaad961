"""Large grids are worked on in blocks, small ones as a whole."""

from __future__ import annotations

import numpy as np

from napari_scutoid.progress import drain
from napari_scutoid.recipe import Recipe, Watershed
from napari_scutoid.steps import cells_blocks
from napari_scutoid.steps.cells_blocks import find_cells, memory_for


def test_only_large_grids_are_cut_into_blocks(monkeypatch):
    asked = []

    def note(name):
        def work(foreground, *_given, **_named):
            asked.append((name, foreground.size))
            yield from ()

        return work

    monkeypatch.setattr(cells_blocks, "cells_in_blocks", note("blocks"))
    monkeypatch.setattr(cells_blocks, "cells_from_probabilities", note("whole"))
    monkeypatch.setattr(cells_blocks, "MOST_WHOLE", 1000)
    components = Recipe.model_validate({"watershed": {"method": "components"}})
    for side, recipe in ((10, Recipe()), (11, Recipe()), (11, components)):
        grid = np.zeros((side, side, side), np.float32)
        drain(find_cells(grid, grid, recipe))
    assert asked == [("whole", 1000), ("blocks", 1331), ("whole", 1331)]


def test_blocks_take_less_memory_than_a_whole():
    large = 250_000_000
    assert memory_for(large, Watershed()) < memory_for(large, Watershed(method="components")) / 2
    assert memory_for(1000, Watershed()) == memory_for(1000, Watershed(method="components"))
