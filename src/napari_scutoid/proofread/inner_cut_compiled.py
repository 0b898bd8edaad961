"""The compiled loop of the inner cut: regions of a cell are joined until two sides are left.

There may be a hundred regions; NumPy would look at each two of them again before each of as many joins.
"""

from __future__ import annotations

import numpy as np
from numba import types

from napari_scutoid.steps.compiled import compiled

_TABLE = types.Array(types.float64, 2, "C")
_ROW = types.Array(types.float64, 1, "C")


@compiled(types.int64[::1](_TABLE, _TABLE, _ROW, types.float64))
def joined(walls, faces, sizes, smallest):  # type: ignore[no-untyped-def]
    """Join regions that the weakest walls divide, the smallest ones first, until two are left or none touch.

    Parameters
    ----------
    walls, faces : ndarray of float64, shape (n, n)
        The sum of the evidence between each two regions, and the number of their faces; both symmetric, used up here.
    sizes : ndarray of float64, shape (n,)
        Voxels of each region, 0 for none; the first one is no region. Used up here.
    smallest : float
        Regions below this size are joined first, to whoever the weakest wall divides them from.

    Returns
    -------
    ndarray of int64, shape (n,)
        For each region the one that it has become a part of, itself where it is left, 0 where it touches nothing.
    """
    n = sizes.size
    part_of = np.arange(n)
    alive = sizes > 0
    alive[0] = False
    left = 0
    for region in range(n):
        left += alive[region]
        if not alive[region]:
            part_of[region] = 0
    while left > 2:
        small = -1
        for region in range(n):
            if alive[region] and sizes[region] < smallest and (small < 0 or sizes[region] < sizes[small]):
                small = region
        first, last = (0, n) if small < 0 else (small, small + 1)
        a, b, weakest = small, -1, np.inf
        for one in range(first, last):
            for other in range(n):
                if faces[one, other] > 0 and walls[one, other] / faces[one, other] < weakest:
                    a, b, weakest = one, other, walls[one, other] / faces[one, other]
        if b < 0 and small < 0:
            break
        alive[a] = False
        left -= 1
        for region in range(n):
            if part_of[region] == a:
                part_of[region] = max(b, 0)  # a crumb of its own belongs to none
        if b < 0:
            continue
        for table in (walls, faces):
            for other in range(n):
                table[b, other] += table[a, other]
            for other in range(n):
                table[other, b] += table[other, a]
            table[a, :] = 0
            table[:, a] = 0
            table[b, b] = 0
        sizes[b] += sizes[a]
    return part_of
