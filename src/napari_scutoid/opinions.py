"""What else could have been seen in a stack: where second opinions differ from the labels, a cell is suspect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.pipeline import maps_of, predicted, voxel_volume
from napari_scutoid.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.result import Kept
    from napari_scutoid.volume import Volume

OTHER = Recipe.model_validate({"watershed": {"seeds": "maxima"}, "partition": {"method": "multicut"}})
"""A post-processing that errs elsewhere than the default: walls alone decide, where the default asks shapes, too."""


def other_partition(kept: Kept) -> Steps[NDArray[np.uint32]]:
    """Return the cells that another post-processing makes of what the network said.

    Parameters
    ----------
    kept : Kept
        From `napari_scutoid.pipeline.run`.

    Returns
    -------
    ndarray of uint32, shape of the working grid
        One id per cell; ids have nothing to do with those of the labels.
    """
    return (yield from _cells(kept, kept.with_postprocessing(OTHER)))


def flipped_prediction(volume: Volume, kept: Kept, model: str | Path = "builtin") -> Steps[NDArray[np.uint32]]:
    """Return the cells that are found when the network sees the stack back to front along all axes.

    Parameters
    ----------
    volume : Volume
        What was segmented.
    kept : Kept
        From `napari_scutoid.pipeline.run`: its settings count, the estimated cell size among them.
    model : str or path
        Name of an installed model, or a model folder.

    Returns
    -------
    ndarray of uint32, shape of the working grid
        As for `other_partition`.
    """
    size = kept.facts["cell_size"]
    recipe = kept.recipe
    if size is not None and recipe.rescale.cell_diameter is None:  # an estimate of its own could make another grid
        recipe = recipe.model_copy(
            update={"rescale": recipe.rescale.model_copy(update={"cell_diameter": size["diameter"]})}
        )
    turned = volume.with_data(np.asarray(volume.data[:])[::-1, ::-1, ::-1], "flipped")
    again = yield from predicted(turned, recipe, model)
    cells = yield from _cells(again, kept.recipe)
    return cells[::-1, ::-1, ::-1]


def _cells(kept: Kept, settings: Recipe) -> Steps[NDArray[np.uint32]]:
    from napari_scutoid.steps.cells import cells_from_probabilities

    foreground, boundary, seeds = maps_of(kept)
    volume = voxel_volume(kept.probabilities["boundary"])
    found = yield from cells_from_probabilities(
        foreground, boundary, settings, kept.spacing, seeds=seeds, voxel_volume_um3=volume
    )
    return found.labels
