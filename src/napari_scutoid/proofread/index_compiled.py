"""The compiled loop of the index: what a piece of the labels says of its cells and of their contacts.

NumPy would sort every voxel of a piece for each of the six quantities; one pass over runs of equal ids is enough.
"""

from __future__ import annotations

import numpy as np
from numba import types

from napari_scutoid.steps.compiled import compiled

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ONE, _SHIFT, _PAIR = np.uint64(1), np.uint64(33), np.uint64(32)
_MOST_PROBES = 64

_KEYS = types.Array(types.uint64, 1, "C")
_SUMS = types.Array(types.int64, 2, "C")


@compiled(types.int64(_KEYS, types.uint64))
def _slot(keys, key):  # type: ignore[no-untyped-def]
    """Return the row of a key other than 0, taking a free one for a new key; -1 where the table is too crowded."""
    last = np.uint64(keys.size) - _ONE
    row = ((key * _GOLDEN) >> _SHIFT) & last
    for _ in range(_MOST_PROBES):
        if keys[row] == key:
            return np.int64(row)
        if keys[row] == 0:
            keys[row] = key
            return np.int64(row)
        row = (row + _ONE) & last
    return np.int64(-1)


@compiled(types.boolean(_KEYS, _SUMS, types.uint32, types.uint32, types.uint8, types.uint8))
def _meet(pairs, faces, a, b, wall_a, wall_b):  # type: ignore[no-untyped-def]
    """Count a face between two voxels; False where the table is too crowded."""
    low, high = np.uint64(min(a, b)), np.uint64(max(a, b))
    row = _slot(pairs, (low << _PAIR) | high)
    if row < 0:
        return False
    faces[row, 0] += 1
    faces[row, 1] += np.int64(wall_a) + np.int64(wall_b)
    return True


@compiled(
    types.boolean(
        types.Array(types.uint32, 3, "C", readonly=True),
        types.Array(types.uint8, 3, "C", readonly=True),
        types.int64,
        _KEYS,
        _SUMS,
        _KEYS,
        _SUMS,
    ),
)
def tally(labels, walls, planes, ids, cells, pairs, faces):  # type: ignore[no-untyped-def]
    """Add up what the first planes of a piece hold, and their contacts with the plane after them.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
        The ids, 0 where there is no cell.
    walls : ndarray of uint8, same shape
        Evidence for walls.
    planes : int
        How many planes count.
    ids, pairs : ndarray of uint64, shape (a power of two,)
        Hash tables, filled here: a cell's id; two ids, the smaller one times 2**32 plus the larger one. 0 is free.
    cells : ndarray of int64, shape (len(ids), 10)
        Voxels; sums of z, y, x; smallest z, y, x; largest z, y, x.
    faces : ndarray of int64, shape (len(pairs), 2)
        Faces; the sum of both voxels' evidence over them.

    Returns
    -------
    bool
        False where a table is too small; the tables are worth nothing then.
    """
    depth, height, width = labels.shape
    for z in range(planes):
        for y in range(height):
            start = 0
            for x in range(width):
                here, wall = labels[z, y, x], walls[z, y, x]
                if z + 1 < depth and labels[z + 1, y, x] != here:
                    if not _meet(pairs, faces, here, labels[z + 1, y, x], wall, walls[z + 1, y, x]):
                        return False
                if y + 1 < height and labels[z, y + 1, x] != here:
                    if not _meet(pairs, faces, here, labels[z, y + 1, x], wall, walls[z, y + 1, x]):
                        return False
                if x + 1 < width:
                    if labels[z, y, x + 1] == here:
                        continue
                    if not _meet(pairs, faces, here, labels[z, y, x + 1], wall, walls[z, y, x + 1]):
                        return False
                if here != 0:
                    row = _slot(ids, np.uint64(here))
                    if row < 0:
                        return False
                    cell = cells[row]
                    n = x + 1 - start
                    if cell[0] == 0:
                        cell[4], cell[5], cell[6] = z, y, start
                    cell[0] += n
                    cell[1] += n * z
                    cell[2] += n * y
                    cell[3] += n * (start + x) // 2
                    cell[4], cell[5], cell[6] = min(cell[4], z), min(cell[5], y), min(cell[6], start)
                    cell[7], cell[8], cell[9] = max(cell[7], z), max(cell[8], y), max(cell[9], x)
                start = x + 1
    return True
