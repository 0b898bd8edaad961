"""The compiled loops that count the voxels of regions, and find the boxes they lie in."""

from __future__ import annotations

import numpy as np
from numba import types

from napari_scutoid.steps.compiled import compiled

_LABELS = types.Array(types.uint32, 3, "A", readonly=True)
_SIZES = types.Array(types.int64, 1, "C")
_BOXES = types.Array(types.int64, 2, "C")


@compiled(_SIZES(_LABELS, types.int64, types.int64, types.int64))
def sizes_of(labels, n, first, last):  # type: ignore[no-untyped-def]
    """Return the voxels of ids below n in some planes."""
    _, ny, nx = labels.shape
    sizes = np.zeros(n, np.int64)
    for z in range(first, last):
        for y in range(ny):
            start = 0
            for x in range(1, nx + 1):  # whole runs: neighbouring voxels would wait for each other's count
                if x == nx or labels[z, y, x] != labels[z, y, start]:
                    sizes[labels[z, y, start]] += x - start
                    start = x
    return sizes


@compiled(_BOXES(_LABELS, types.int64, types.int64, types.int64))
def boxes_of(labels, n, first, last):  # type: ignore[no-untyped-def]
    """Return the smallest z, y, x of ids below n in some planes, and the negative of their largest z, y, x.

    Where there is no voxel of an id, they are larger than any place.
    """
    _, ny, nx = labels.shape
    boxes = np.full((n, 6), np.iinfo(np.int64).max)
    for z in range(first, last):
        for y in range(ny):
            start = 0
            for x in range(1, nx + 1):
                if x < nx and labels[z, y, x] == labels[z, y, start]:
                    continue
                box = boxes[labels[z, y, start]]
                box[0], box[1], box[2] = min(box[0], z), min(box[1], y), min(box[2], start)
                box[3], box[4], box[5] = min(box[3], -z), min(box[4], -y), min(box[5], 1 - x)
                start = x
    return boxes


@compiled(
    [
        types.void(
            _LABELS,
            types.Array(element, 1, "C", readonly=True),
            types.Array(element, 3, "A"),
            types.int64,
            types.int64,
        )
        for element in (types.uint32, types.boolean)
    ]
)
def look_up(labels, table, found, first, last):  # type: ignore[no-untyped-def]
    """Write what a table holds for each voxel's id, in some planes; the labels themselves may be written to."""
    _, ny, nx = labels.shape
    for z in range(first, last):
        for y in range(ny):
            for x in range(nx):
                found[z, y, x] = table[labels[z, y, x]]
