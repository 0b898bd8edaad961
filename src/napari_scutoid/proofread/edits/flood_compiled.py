"""The compiled loop of splitting: seeds grow level by level, nearest first."""

from __future__ import annotations

import heapq

import numba
import numpy as np
from numba import types

INDEX_BITS, DISTANCE_BITS = 28, 27
_INDEX = np.int64(2**INDEX_BITS - 1)
_FARTHEST = np.int64(2**DISTANCE_BITS - 1)
_NEVER = np.int64(2**63 - 1)
_FINENESS = 16.0


@numba.njit(
    types.void(
        types.Array(types.uint8, 3, "C", readonly=True),
        types.Array(types.uint32, 3, "C"),
        types.Array(types.boolean, 3, "C", readonly=True),
        types.float64,
        types.float64,
        types.float64,
    ),
    cache=True,
    nogil=True,
)
def grow(levels, labels, open_, dz, dy, dx):  # type: ignore[no-untyped-def]
    """Grow ids through the faces of open voxels: over low levels first, and at one level the nearest id first.

    A heap holds ``level, distance to the seed voxel, index`` packed into one number, so that ties are broken always the
    same way. A voxel has the highest level on the way to it, as in Meyer's watershed.

    Parameters
    ----------
    levels : ndarray of uint8, shape (z, y, x)
        High on the walls.
    labels : ndarray of uint32, same shape
        Ids of the seeds; filled in place. Fewer than 2**28 voxels.
    open_ : ndarray of bool, same shape
        What is to be filled; it holds no seed.
    dz, dy, dx : float
        Voxel edges.
    """
    depth, height, width = labels.shape
    plane = height * width
    flat_levels, flat, todo = levels.ravel(), labels.ravel(), open_.ravel()
    done = np.zeros(flat.size, np.bool_)
    best = np.full(flat.size, _NEVER, np.int64)
    root = np.zeros(flat.size, np.int32)
    unit = _FINENESS / min(dz, dy, dx)
    heap = [np.int64(i) for i in range(0)]
    first, key = np.int64(0), np.int64(0)
    while True:
        if first < flat.size:  # every seed, before anything from the heap
            here = first
            first += 1
            if todo[here] or flat[here] == 0:
                continue
            reached, root[here] = np.int64(0), here
        else:
            if len(heap) == 0:
                return
            key = heapq.heappop(heap)
            here = key & _INDEX
            if done[here]:
                continue
            done[here] = True
            reached = key >> (INDEX_BITS + DISTANCE_BITS)
        origin = root[here]
        z0, y0, x0 = origin // plane, origin // width % height, origin % width
        z, y, x = here // plane, here // width % height, here % width
        for side in range(6):
            if side == 0:
                if z == 0:
                    continue
                there, z1, y1, x1 = here - plane, z - 1, y, x
            elif side == 1:
                if y == 0:
                    continue
                there, z1, y1, x1 = here - width, z, y - 1, x
            elif side == 2:
                if x == 0:
                    continue
                there, z1, y1, x1 = here - 1, z, y, x - 1
            elif side == 3:
                if x == width - 1:
                    continue
                there, z1, y1, x1 = here + 1, z, y, x + 1
            elif side == 4:
                if y == height - 1:
                    continue
                there, z1, y1, x1 = here + width, z, y + 1, x
            else:
                if z == depth - 1:
                    continue
                there, z1, y1, x1 = here + plane, z + 1, y, x
            if not todo[there] or done[there]:
                continue
            a, b, c = (z1 - z0) * dz, (y1 - y0) * dy, (x1 - x0) * dx
            distance = min(np.int64(np.sqrt(a * a + b * b + c * c) * unit), _FARTHEST)
            level = max(reached, np.int64(flat_levels[there]))
            key = (level << (INDEX_BITS + DISTANCE_BITS)) | (distance << INDEX_BITS) | there
            if key < best[there]:
                best[there], root[there], flat[there] = key, origin, flat[here]
                heapq.heappush(heap, key)
