"""Remove from a segmentation what cannot be a cell: fragments, holes, gaps in the numbering."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.progress import Progress
from napari_scutoid.steps.by_label import label_sizes, looked_up, renumber
from napari_scutoid.steps.flood import flood

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Cleanup
    from napari_scutoid.steps.blocks import Block
    from napari_scutoid.steps.flood import Backend
    from napari_scutoid.steps.watershed import Surface


def clean(
    labels: NDArray[np.uint32],
    height: NDArray[np.float32],
    cleanup: Cleanup,
    min_size: int,
    backend: Backend = "compiled",
) -> Steps[NDArray[np.uint32]]:
    """Give small cells to their neighbours, fill holes and renumber, as the settings say.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
        One id per cell, 0 elsewhere.
    height : ndarray of float32, same shape
        High on the walls: what a small cell leaves is flooded over it.
    cleanup : Cleanup
        Whether to fill holes and to renumber.
    min_size : int
        Voxels of the smallest cell that stays.
    backend : {"compiled", "bioimage-cpp", "scikit-image"}
        Implementation of the flooding.

    Yields
    ------
    Progress
        One per stage.

    Returns
    -------
    ndarray of uint32, shape (z, y, x)
    """
    yield Progress("Cleaning up: small cells", 0, 3)
    labels = give_away_small(labels, min_size, height, backend)
    yield Progress("Cleaning up: holes", 1, 3)
    if cleanup.fill_holes:
        labels = fill_holes(labels)
    yield Progress("Cleaning up: numbering", 2, 3)
    if cleanup.relabel:
        labels = relabel(labels)
    yield Progress("Cleaning up: numbering", 3, 3)
    return labels


def clean_in_place(
    labels: NDArray[np.uint32],
    height: Surface,
    cleanup: Cleanup,
    min_size: int,
    blocks: Sequence[Block],
    backend: Backend = "compiled",
) -> Steps[NDArray[np.uint32]]:
    """Do what `clean` does in the array of the labels, block by block; parameters as there.

    Parameters
    ----------
    blocks : sequence of Block
        Whose halo is wider than what is too small, and than holes.

    Yields
    ------
    Progress
        Once a block and stage.
    """
    too_small = _too_small(labels, min_size)
    for number, block in enumerate(blocks if too_small.any() else ()):
        yield Progress("Cleaning up: small cells", number, len(blocks))
        piece = labels[block.outer.slices]
        if too_small[piece].any():
            found = given_away(np.ascontiguousarray(piece), too_small, height[block.outer.slices], backend)
            labels[block.core.slices] = found[block.inner]
    for number, block in enumerate(blocks if cleanup.fill_holes else ()):
        yield Progress("Cleaning up: holes", number, len(blocks))
        labels[block.core.slices] = fill_holes(np.ascontiguousarray(labels[block.outer.slices]))[block.inner]
    yield Progress("Cleaning up: numbering", 0, 1)
    if cleanup.relabel:
        renumber(labels, _consecutive(labels))
    return labels


def give_away_small(
    labels: NDArray[np.uint32], min_size: int, height: NDArray[np.float32], backend: Backend = "compiled"
) -> NDArray[np.uint32]:
    """Remove cells with fewer voxels and let their neighbours flood the space they leave.

    Flooding, rather than the largest contact, decides who gets it, because a fragment usually belongs to the neighbour
    from which no wall divides it. Fragments that touch no remaining cell are removed.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
        One id per cell, 0 elsewhere; every cell connected.
    min_size : int
        Smallest number of voxels that stays.
    height : ndarray of float32, same shape
        High on the walls.
    backend : {"compiled", "bioimage-cpp", "scikit-image"}
        Implementation of the flooding.

    Returns
    -------
    ndarray of uint32, same shape
        The input itself where no cell is too small.
    """
    too_small = _too_small(labels, min_size)
    return given_away(labels, too_small, height, backend) if too_small.any() else labels


def _too_small(labels: NDArray[np.uint32], min_size: int) -> NDArray[np.bool_]:
    sizes = label_sizes(labels)
    too_small = (sizes > 0) & (sizes < min_size)
    too_small[0] = False
    return too_small


def given_away(
    labels: NDArray[np.uint32], too_small: NDArray[np.bool_], height: NDArray[np.float32], backend: Backend
) -> NDArray[np.uint32]:
    """Return the labels without some cells, by their ids, whose space their neighbours have flooded."""
    from scipy.ndimage import binary_dilation, generate_binary_structure

    removed = looked_up(too_small, labels)
    # Only the space they leave and the voxels around it: the rest of the stack need not be flooded again.
    mask = binary_dilation(removed, generate_binary_structure(3, 1)) & (labels > 0)
    kept = np.where(removed, np.uint32(0), labels)
    return np.where(removed, flood(height, kept, mask, backend), kept)


def fill_holes(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Give a cell every hole that it alone encloses.

    A hole is background, connected through faces, that touches one cell only and not the stack's border. So nothing is
    filled that holds another cell, nor a lumen between cells.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
        One id per cell, 0 elsewhere.

    Returns
    -------
    ndarray of uint32, same shape
        The input itself where there are no holes.
    """
    import cc3d

    found, n_spaces = cc3d.connected_components(labels == 0, connectivity=6, out_dtype=np.uint32, return_N=True)
    space = found.astype(np.uint32, copy=False)
    closed = np.ones(n_spaces + 1, dtype=np.bool_)
    closed[0] = False
    for axis in range(3):
        for end in (0, -1):
            closed[space.take(end, axis=axis)] = False
    if not closed.any():
        return labels
    owner = np.zeros(n_spaces + 1, dtype=labels.dtype)
    for axis in range(3):
        for step in (1, -1):
            _note_owners(labels, space, axis, step, owner, closed)
    return np.where(closed[space], owner[space], labels)


def relabel(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Renumber the cells 1, 2, 3, ... in the order of their present ids."""
    return looked_up(_consecutive(labels), labels)


def _consecutive(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    present = label_sizes(labels) > 0
    present[0] = False
    new = np.zeros(present.size, dtype=np.uint32)
    new[present] = np.arange(1, np.count_nonzero(present) + 1, dtype=np.uint32)
    return new


def _note_owners(
    labels: NDArray[np.uint32],
    space: NDArray[np.uint32],
    axis: int,
    step: int,
    owner: NDArray[np.uint32],
    closed: NDArray[np.bool_],
) -> None:
    """Note in `owner` which cell each space touches in one direction; a second cell opens the space in `closed`."""
    here = [slice(None)] * 3
    there = [slice(None)] * 3
    here[axis], there[axis] = (slice(None, -1), slice(1, None)) if step > 0 else (slice(1, None), slice(None, -1))
    spaces, cells = space[tuple(here)], labels[tuple(there)]
    touching = closed[spaces] & (cells > 0)
    spaces, cells = spaces[touching], cells[touching]
    unowned = owner[spaces] == 0
    owner[spaces[unowned]] = cells[unowned]
    closed[spaces[owner[spaces] != cells]] = False
