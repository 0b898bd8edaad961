"""The whole way from probabilities to cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_scutoid.steps.cleanup import clean
from napari_scutoid.steps.memo import AFRESH
from napari_scutoid.steps.partition import partition
from napari_scutoid.steps.watershed import bounded_regions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Cleanup, Recipe
    from napari_scutoid.steps.memo import Memo
    from napari_scutoid.steps.tissue import Stack
    from napari_scutoid.steps.watershed import Regions


_ALL = (slice(None), slice(None), slice(None))


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """One label per cell, and the size that settings refer to.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
        One id per cell, 0 elsewhere.
    diameter : float
        Of a typical cell, in equivalent voxels: edges of a cube with the volume of one voxel.
    """

    labels: NDArray[np.uint32]
    diameter: float


def cells_from_probabilities(
    foreground: NDArray[Any],
    boundary: NDArray[Any],
    recipe: Recipe,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    *,
    seeds: NDArray[Any] | None = None,
    voxel_volume_um3: float | None = None,
    stack: Stack | None = None,
    memo: Memo = AFRESH,
) -> Steps[Cells]:
    """Turn probabilities into cells: watershed, partition, cleaning up.

    Parameters
    ----------
    foreground, boundary : ndarray of float, shape (z, y, x)
        Probabilities, 0 to 1. Foreground is tissue with its walls, without lumen and outside.
    recipe : Recipe
        Its parts `watershed`, `partition` and `cleanup`.
    spacing : sequence of 3 floats
        Voxel edges along z, y, x; only their ratio matters.
    seeds : ndarray of float, same shape, optional
        Probability of being a cell's core, where a model predicts that.
    voxel_volume_um3 : float, optional
        For a smallest size in cubic micrometres.
    stack : Stack, optional
        Of which the maps are a piece.
    memo : Memo
        What remembers stages; by default nothing does.

    Yields
    ------
    Progress
        One per stage or more.

    Returns
    -------
    Cells
        The same input gives the same result.

    Raises
    ------
    ValueError
        When the maps do not fit each other or hold no probabilities, or a size in cubic micrometres meets voxels of
        unknown size.
    """
    if recipe.cleanup.min_size_unit == "um3" and voxel_volume_um3 is None:
        raise ValueError("a smallest size in cubic micrometres needs voxel_volume_um3")
    backend = recipe.watershed.backend
    regions = yield from bounded_regions(foreground, boundary, recipe.watershed, spacing, seeds, stack, memo)
    sizes = None if stack is None else stack.sizes
    labels = yield from partition(regions, boundary, recipe.partition, backend, sizes, memo)
    smallest = smallest_cell(recipe.cleanup, regions, voxel_volume_um3)
    labels = yield from clean(labels, regions.height[_ALL], recipe.cleanup, smallest, backend)
    return Cells(labels, regions.diameter)


def smallest_cell(cleanup: Cleanup, regions: Regions, voxel_volume_um3: float | None = None) -> int:
    """Return the number of voxels of the smallest cell that stays."""
    voxels_per_unit = {"voxels": 1.0, "cells": regions.cell_volume}
    if voxel_volume_um3 is not None:
        voxels_per_unit["um3"] = 1.0 / voxel_volume_um3
    return round(cleanup.min_size * voxels_per_unit[cleanup.min_size_unit])
