"""From probabilities to cells block by block: for stacks whose intermediate results would fill the memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.steps.blocks import MOST_VOXELS, cut, workers
from napari_scutoid.steps.cells import Cells, cells_from_probabilities, smallest_cell
from napari_scutoid.steps.cleanup import clean_in_place
from napari_scutoid.steps.partition import partition_in_place
from napari_scutoid.steps.watershed_blocks import REACH, halo_of, regions_in_blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Recipe, Watershed
    from napari_scutoid.volume import ArrayLike


MOST_WHOLE = 16_000_000
"""Voxels of a grid that is worked on as a whole."""
WHOLE_BYTES, OWN_BYTES, BLOCK_BYTES = 50, 8, 40
"""Memory that a voxel takes of a grid worked on as a whole, with its maps; of one in blocks, whose maps lie in files;
and of the blocks at work, besides."""


def find_cells(
    foreground: ArrayLike,
    boundary: ArrayLike,
    recipe: Recipe,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    *,
    seeds: ArrayLike | None = None,
    voxel_volume_um3: float | None = None,
) -> Steps[Cells]:
    """Turn probabilities into cells, in blocks where the whole would take much memory.

    Parameters, progress and errors are those of `cells_from_probabilities`; maps in files are read piece by piece, or
    as a whole.
    """
    if in_blocks(math.prod(boundary.shape), recipe.watershed):
        steps = cells_in_blocks(foreground, boundary, recipe, spacing, seeds=seeds, voxel_volume_um3=voxel_volume_um3)
    else:
        steps = cells_from_probabilities(
            _in_memory(foreground),
            _in_memory(boundary),
            recipe,
            spacing,
            seeds=None if seeds is None else _in_memory(seeds),
            voxel_volume_um3=voxel_volume_um3,
        )
    return (yield from steps)


def _in_memory(data: ArrayLike) -> NDArray[Any]:
    found = np.asarray(data)
    return found.astype(np.float32) if found.dtype == np.float16 else found


def in_blocks(voxels: int, settings: Watershed) -> bool:
    """Whether a grid is worked on in blocks; connected components are those of a whole."""
    return voxels > MOST_WHOLE and settings.method == "watershed"


def memory_for(voxels: int, settings: Watershed) -> int:
    """Return the bytes that cells of a grid with so many voxels take to find, with what of its maps is in memory."""
    if not in_blocks(voxels, settings):
        return WHOLE_BYTES * voxels
    return OWN_BYTES * voxels + BLOCK_BYTES * MOST_VOXELS * workers()


def cells_in_blocks(
    foreground: ArrayLike,
    boundary: ArrayLike,
    recipe: Recipe,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    *,
    seeds: ArrayLike | None = None,
    voxel_volume_um3: float | None = None,
    most: int = MOST_VOXELS,
    reach: float = REACH,
) -> Steps[Cells]:
    """Turn probabilities into cells as `cells_from_probabilities` does, but for single voxels, in bounded memory.

    The watershed runs in blocks that overlap; regions and their contacts are those of the whole stack, and so is the
    partition of their graph. What is in memory of the whole: the labels, and 3 bytes a voxel.

    Parameters
    ----------
    foreground, boundary, seeds : array-like of float, shape (z, y, x)
        As for `cells_from_probabilities`; read piece by piece.
    recipe, spacing, voxel_volume_um3
        As for `cells_from_probabilities`; the watershed's method must be "watershed".
    most : int
        Voxels of a block, with its surroundings.
    reach : float
        Surroundings of a block that have a say in it, in diameters of a typical cell.

    Yields
    ------
    Progress
        Once a block and stage.
    """
    if recipe.cleanup.min_size_unit == "um3" and voxel_volume_um3 is None:
        raise ValueError("a smallest size in cubic micrometres needs voxel_volume_um3")
    backend = recipe.watershed.backend
    regions = yield from regions_in_blocks(
        foreground, boundary, recipe.watershed, spacing, seeds, most=most, reach=reach
    )
    labels = yield from partition_in_place(regions, boundary, recipe.partition, backend)
    smallest = smallest_cell(recipe.cleanup, regions, voxel_volume_um3)
    blocks = cut(labels.shape, halo_of(reach * regions.diameter, regions.unit), most)  # one at a time
    labels = yield from clean_in_place(labels, regions.height, recipe.cleanup, smallest, blocks, backend)
    return Cells(labels, regions.diameter)
