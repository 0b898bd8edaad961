"""What is asked of every region of a stack at once: its size, its box, and what a table says of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from napari_scutoid.steps.threads import in_parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T", np.uint32, np.bool_)
Slices: TypeAlias = tuple[slice, slice, slice]

_WORTH_A_THREAD = 1 << 18
"""Voxels."""
_VOXELS_AN_ELEMENT = 4
"""Of a thread's table: all tables together take no more memory than the labels."""


def label_sizes(labels: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return the number of voxels of every id from 0 to the largest.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
    """
    from napari_scutoid.steps.by_label_compiled import sizes_of

    n = int(labels.max(initial=0)) + 1
    parts = in_parts(partial(sizes_of, labels, n), len(labels), at_least=_at_least(labels, n))
    sizes: NDArray[np.int64] = parts[0]
    for other in parts[1:]:
        sizes += other
    return sizes


def label_boxes(labels: NDArray[np.uint32]) -> dict[int, Slices]:
    """Return the box of every id other than 0 that there is, in rising order, as `scipy.ndimage.find_objects` does.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
    """
    from napari_scutoid.steps.by_label_compiled import boxes_of

    n = int(labels.max(initial=0)) + 1
    found, *others = in_parts(partial(boxes_of, labels, n), len(labels), at_least=_at_least(labels, 6 * n))
    for other in others:
        np.minimum(found, other, out=found)
    ids = np.flatnonzero(found[:, 0] < np.iinfo(np.int64).max)
    ids = ids[ids > 0]
    starts, ends = found[ids, :3].tolist(), (1 - found[ids, 3:]).tolist()
    return {
        number: (slice(z, z_end), slice(y, y_end), slice(x, x_end))
        for number, (z, y, x), (z_end, y_end, x_end) in zip(ids.tolist(), starts, ends, strict=True)
    }


def looked_up(table: NDArray[T], labels: NDArray[np.uint32]) -> NDArray[T]:
    """Return ``table[labels]``, several times faster.

    Parameters
    ----------
    table : ndarray of uint32 or bool, shape (n,)
        One element for every id from 0 to the largest.
    labels : ndarray of uint32, shape (z, y, x)

    Raises
    ------
    IndexError
        When the table is shorter.
    """
    found: NDArray[T] = np.empty(labels.shape, table.dtype)
    _look_up(table, labels, found)
    return found


def renumber(labels: NDArray[np.uint32], new: NDArray[np.uint32]) -> None:
    """Give each region its new id, in place; parameters and errors as for `looked_up`."""
    _look_up(new, labels, labels)


def _look_up(table: NDArray[T], labels: NDArray[np.uint32], found: NDArray[T]) -> None:
    from napari_scutoid.steps.by_label_compiled import look_up

    if labels.size and labels.max() >= len(table):
        raise IndexError(f"table has {len(table)} elements, and labels go up to {labels.max()}")
    in_parts(partial(look_up, labels, table, found), len(labels), at_least=_at_least(labels))


def _at_least(labels: NDArray[np.uint32], table: int = 0) -> int:
    """Return the planes that are worth a thread, and a table of its own with so many elements."""
    return max(_WORTH_A_THREAD, _VOXELS_AN_ELEMENT * table) * len(labels) // max(1, labels.size)
