"""The compiled loops of splitting: seeds grow level by level, nearest first."""

from __future__ import annotations

import numpy as np
from numba import types

from napari_scutoid.steps.compiled import compiled

_FINENESS = 16.0
_MOST_DISTANCES = 1 << 14
_NOWHERE, _DONE = np.int32(-1), np.int32(-2)

_LINKS = types.Array(types.int32, 1, "C")


@compiled(types.void(_LINKS, _LINKS, _LINKS, types.int64, types.int32))
def _leave(heads, after, before, queue, voxel):  # type: ignore[no-untyped-def]
    """Take a voxel out of a queue."""
    if before[voxel] == _NOWHERE:
        heads[queue] = after[voxel]
    else:
        after[before[voxel]] = after[voxel]
    if after[voxel] != _NOWHERE:
        before[after[voxel]] = before[voxel]


@compiled(types.void(_LINKS, _LINKS, _LINKS, types.int64, types.int32))
def _join(heads, after, before, queue, voxel):  # type: ignore[no-untyped-def]
    """Put a voxel at the head of a queue."""
    after[voxel], before[voxel] = heads[queue], _NOWHERE
    if heads[queue] != _NOWHERE:
        before[heads[queue]] = voxel
    heads[queue] = voxel


@compiled(
    types.void(
        types.Array(types.uint8, 3, "C", readonly=True),
        types.Array(types.uint32, 3, "C"),
        types.Array(types.boolean, 3, "C", readonly=True),
        types.float64,
        types.float64,
        types.float64,
    ),
)
def grow(levels, labels, open_, dz, dy, dx):  # type: ignore[no-untyped-def]
    """Grow ids through the faces of open voxels: over low levels first, and at one level the nearest id first.

    There is a queue for each level and distance to the seed voxel, and each voxel waits in the first queue that any of
    its neighbours put it in. A voxel has the highest level on the way to it, as in Meyer's watershed.

    Parameters
    ----------
    levels : ndarray of uint8, shape (z, y, x)
        High on the walls.
    labels : ndarray of uint32, same shape
        Ids of the seeds; filled in place. Fewer than 2**31 voxels.
    open_ : ndarray of bool, same shape
        What is to be filled; it holds no seed.
    dz, dy, dx : float
        Voxel edges.
    """
    depth, height, width = labels.shape
    plane = height * width
    flat_levels, flat, todo = levels.ravel(), labels.ravel(), open_.ravel()
    farthest = np.sqrt((depth * dz) ** 2 + (height * dy) ** 2 + (width * dx) ** 2)
    unit = min(_FINENESS / min(dz, dy, dx), (_MOST_DISTANCES - 2) / farthest)
    n_distances = np.int64(farthest * unit) + 2
    heads = np.full((np.int64(flat_levels.max()) + 1) * n_distances, _NOWHERE, np.int32)
    after, before = np.empty(flat.size, np.int32), np.empty(flat.size, np.int32)
    queue_of = np.full(flat.size, _NOWHERE, np.int32)
    root = np.empty(flat.size, np.int32)
    waiting, current, first = 0, np.int64(0), np.int64(0)
    while True:
        if first < flat.size:  # every seed comes before what waits
            here, reached = first, np.int64(0)
            first += 1
            if todo[here] or flat[here] == 0:
                continue
            root[here] = here
        else:
            if waiting == 0:
                return
            while heads[current] == _NOWHERE:
                current += 1
            here, reached = np.int64(heads[current]), current // n_distances
            _leave(heads, after, before, current, np.int32(here))
            queue_of[here] = _DONE
            waiting -= 1
        origin = np.int64(root[here])
        z0, y0, x0 = origin // plane, origin // width % height, origin % width
        z, y, x = here // plane, here // width % height, here % width
        for side in range(6):
            axis, step = side // 2, 2 * (side % 2) - 1
            z1, y1, x1, there = z, y, x, here
            if axis == 0:
                z1, there = z + step, here + step * plane
            elif axis == 1:
                y1, there = y + step, here + step * width
            else:
                x1, there = x + step, here + step
            if not (0 <= z1 < depth and 0 <= y1 < height and 0 <= x1 < width):
                continue
            if not todo[there] or queue_of[there] == _DONE:
                continue
            a, b, c = (z1 - z0) * dz, (y1 - y0) * dy, (x1 - x0) * dx
            level = max(reached, np.int64(flat_levels[there]))
            queue = level * n_distances + np.int64(np.sqrt(a * a + b * b + c * c) * unit)
            if queue_of[there] != _NOWHERE:
                if queue >= queue_of[there]:
                    continue
                _leave(heads, after, before, np.int64(queue_of[there]), np.int32(there))
            else:
                waiting += 1
            _join(heads, after, before, queue, np.int32(there))
            queue_of[there], root[there], flat[there] = queue, origin, flat[here]
            current = min(current, queue)
