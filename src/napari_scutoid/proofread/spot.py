"""A few cells, or the wall between two, cut out of the stack to be shown by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from napari_scutoid.box import Box
    from napari_scutoid.proofread.index import CellIndex


def cells_alone(labels: NDArray[np.uint32], index: CellIndex, cells: Collection[int]) -> tuple[Box, NDArray[np.uint32]]:
    """Return the box that holds some cells, and the labels in it without any other.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
    index : CellIndex
        Of the labels.
    cells : collection of int
        At least one; KeyError for one that is not there.
    """
    if not cells:
        raise ValueError("cells must be at least one")
    first, *others = cells
    box = index.box(first)
    for cell in others:
        box = box.union(index.box(cell))
    # One voxel more, so that outlines and surfaces close.
    box = box.padded(1, labels.shape)
    part = labels[box.slices]
    return box, np.where(np.isin(part, np.fromiter(cells, np.uint32)), part, np.uint32(0))


def wall_alone(labels: NDArray[np.uint32], index: CellIndex, a: int, b: int) -> tuple[Box, NDArray[np.bool_]] | None:
    """Return the box that holds the wall between two cells, and the voxels of either that touch the other in it.

    None where they do not touch; labels and index as for `cells_alone`.
    """
    if index.contact(a, b) is None:
        return None
    box = index.box(a).padded(1, labels.shape).overlap(index.box(b).padded(1, labels.shape))
    part = labels[box.slices]
    one, other = part == a, part == b
    wall = np.zeros(part.shape, np.bool_)
    for axis in range(3):
        low: list[slice] = [slice(None)] * 3
        high: list[slice] = [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        before, after = tuple(low), tuple(high)
        meets = (one[before] & other[after]) | (other[before] & one[after])
        wall[before] |= meets
        wall[after] |= meets
    return box, wall
