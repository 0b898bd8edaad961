"""The compiled loops of filters that work along one axis after another: Gaussian smoothing, distances to walls.

Each does the rows from `first` to `last` of the first axis, so that threads can share it. Those that work across take
volumes with the axis in question in the middle, and keep x last: neighbouring voxels are then computed at once.
"""

from __future__ import annotations

import numpy as np
from numba import types

from napari_scutoid.steps.compiled import compiled

_ACROSS = types.Array(types.float32, 3, "A")
_ROWS = types.Array(types.float32, 2, "C")
_MASKS = types.Array(types.boolean, 2, "C", readonly=True)
_WEIGHTS = types.Array(types.float32, 1, "C")

_CHUNK = np.uint64(64)
_FARTHEST = 48


@compiled(types.void(_ROWS, _WEIGHTS, types.int64, types.int64))
def smooth_rows(volume, weights, first, last):  # type: ignore[no-untyped-def]
    """Smooth rows in place with half a kernel, its middle first; the first and the last voxel go on for ever."""
    nx, radius = volume.shape[1], weights.size - 1
    row, total = np.empty(nx + 2 * radius, np.float32), np.empty(nx, np.float32)
    for y in range(first, last):
        for x in range(row.size):
            row[x] = volume[y, min(max(x - radius, 0), nx - 1)]
        for x in range(nx):
            total[x] = weights[0] * row[np.uint64(radius) + np.uint64(x)]
        for k in range(1, radius + 1):
            before, after, weight = np.uint64(radius - k), np.uint64(radius + k), weights[k]
            for x in range(np.uint64(nx)):
                total[x] += weight * (row[before + x] + row[after + x])
        for x in range(nx):
            volume[y, x] = total[x]


@compiled(types.void(_ACROSS, _WEIGHTS, types.int64, types.int64))
def smooth_across(volume, weights, first, last):  # type: ignore[no-untyped-def]
    """Smooth along the middle axis, in place, as `smooth_rows` does."""
    _, n, nx = volume.shape
    lines, total = np.empty((n, nx), np.float32), np.empty(nx, np.float32)
    for z in range(first, last):
        for i in range(n):
            for x in range(nx):
                lines[i, x] = volume[z, i, x]
        for i in range(n):
            for x in range(nx):
                total[x] = weights[0] * lines[i, x]
            for k in range(1, weights.size):
                before, after, weight = max(i - k, 0), min(i + k, n - 1), weights[k]
                for x in range(nx):
                    total[x] += weight * (lines[before, x] + lines[after, x])
            for x in range(nx):
                volume[z, i, x] = total[x]


@compiled(types.void(_MASKS, _ROWS, types.float32, types.int64, types.int64))
def square_distances(interior, squared, edge, first, last):  # type: ignore[no-untyped-def]
    """Write squared distances to what is not interior in the same row, infinite where all of it is."""
    nx = interior.shape[1]
    for y in range(first, last):
        away = np.float32(np.inf)
        for x in range(nx):
            away = away + edge if interior[y, x] else np.float32(0)
            squared[y, x] = away
        away = np.float32(np.inf)
        for x in range(nx - 1, -1, -1):
            away = away + edge if interior[y, x] else np.float32(0)
            nearest = min(squared[y, x], away)
            squared[y, x] = nearest * nearest


@compiled(types.boolean(_ACROSS, types.float32, types.int64, types.int64))
def nearest_across(squared, edge, first, last):  # type: ignore[no-untyped-def]
    """Lower squared distances to what the lines before and after give, out to where none can be nearer.

    False, with some lines left as they were, where that is very far. Beyond the border its last line stands in: too far
    away to be the nearest.
    """
    _, n, nx = squared.shape
    lines = np.empty((n, nx), np.float32)
    nearest = np.empty(_CHUNK, np.float32)
    for z in range(first, last):
        for i in range(n):
            for x in range(nx):
                lines[i, x] = squared[z, i, x]
        for i in range(n):
            for begin in range(np.uint64(0), np.uint64(nx), _CHUNK):
                width = min(_CHUNK, np.uint64(nx) - begin)
                for x in range(width):
                    nearest[x] = lines[i, begin + x]
                for k in range(1, max(i, n - 1 - i) + 1):
                    away = np.float32((k * edge) * (k * edge))
                    is_near = True
                    for x in range(width):
                        is_near &= nearest[x] <= away
                    if is_near:
                        break
                    if k > _FARTHEST:
                        return False
                    before, after = max(i - k, 0), min(i + k, n - 1)
                    for x in range(width):
                        a, b = lines[before, begin + x] + away, lines[after, begin + x] + away
                        closer = a if a < b else b
                        nearest[x] = closer if closer < nearest[x] else nearest[x]
                for x in range(width):
                    squared[z, i, begin + x] = nearest[x]
    return True
