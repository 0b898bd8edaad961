"""The compiled loops that find the maxima of a map and the passes between them.

Every voxel leads to its highest neighbour, and so to a maximum: what leads to the same one is its basin. Two maxima are
joined by the same highest way whether basins are grown by flooding or found like this, without a queue.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numba import types

from napari_scutoid.steps.compiled import compiled
from napari_scutoid.steps.threads import in_parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAP = types.Array(types.float32, 3, "C")
_READ = types.Array(types.float32, 3, "C", readonly=True)
_WAYS = types.Array(types.uint8, 3, "C")
_LABELS = types.Array(types.uint32, 3, "C")
_IDS = types.Array(types.uint32, 1, "C")
_HEIGHTS = types.Array(types.float32, 1, "C")
_KEYS = types.Array(types.uint64, 1, "C")
_PLACES = types.Array(types.int64, 1, "C")
_FLAT_WAYS = types.Array(types.uint8, 1, "C")

_SUMMIT = 7
_PEAK, _VISITED = np.uint8(64), np.uint8(128)
_WORTH_A_THREAD = 1 << 18
"""Voxels."""

_TABLE = types.Tuple((_KEYS, _HEIGHTS))  # type: ignore[no-untyped-call]
_COUNTED_TABLE = types.Tuple((types.int64, _KEYS, _HEIGHTS))  # type: ignore[no-untyped-call]

_GOLDEN, _ONE, _PAIR = np.uint64(0x9E3779B97F4A7C15), np.uint64(1), np.uint64(32)


def maxima_and_passes(
    smooth: NDArray[np.float32], distance: NDArray[np.float32], smallest_distance: float, *, with_passes: bool
) -> tuple[NDArray[np.uint32], NDArray[np.uint64], NDArray[np.float32]]:
    """Return numbered maxima, the pairs of them that a pass joins (smaller number << 32 | larger), and its height.

    Parameters
    ----------
    smooth : ndarray of float32, shape (z, y, x)
        At least 0; its signs are changed.
    distance : ndarray of float32, same shape
        Basins do not leave where it is above 0.
    smallest_distance : float
        Maxima at which it is smaller are passed over: their basins fall to others.
    with_passes : bool
        Whether passes are asked for.
    """
    ways = np.empty(smooth.shape, np.uint8)
    slices = smooth.shape[0]
    at_least = _WORTH_A_THREAD * slices // smooth.size
    in_parts(partial(_confine, smooth, distance), slices, at_least=at_least)
    in_parts(partial(_lead_upwards, smooth, ways), slices, at_least=at_least)
    places = _maxima(smooth, distance, np.float32(smallest_distance), ways)
    places.sort()
    seeds = np.zeros(smooth.shape, np.uint32)
    n = _number(places, ways, seeds)
    if not with_passes:
        return seeds, np.zeros(0, np.uint64), np.zeros(0, np.float32)
    basins = seeds.copy()
    n_basins = _number_rest(ways.reshape(-1), basins.reshape(-1), n)
    in_parts(partial(_follow, ways, basins), slices, at_least=at_least)
    met = in_parts(partial(_meet, basins, smooth), slices, at_least=at_least)
    keys, heights = (np.concatenate(parts) for parts in zip(*met, strict=True))
    order = np.lexsort((keys, -heights))
    keys, heights = _fall_to_others(keys[order], heights[order], n, n_basins)
    order = np.argsort(keys, kind="stable")
    return seeds, keys[order], heights[order]


@compiled(types.void(_MAP, _READ, types.int64, types.int64))
def _confine(smooth, distance, first, last):  # type: ignore[no-untyped-def]
    """Make the map negative where the distance is 0, so that no way leads there."""
    _, ny, nx = smooth.shape
    for z in range(first, last):
        for y in range(ny):
            for x in range(nx):
                value = smooth[z, y, x]
                smooth[z, y, x] = value if distance[z, y, x] > 0 else -value


@compiled(types.void(_MAP, _WAYS, types.int64, types.int64))
def _lead_upwards(smooth, ways, first, last):  # type: ignore[no-untyped-def]
    """Note in which of six directions the highest neighbour lies, 0 where the map is not above 0."""
    nz, ny, nx = smooth.shape
    best, way = np.empty(nx + 1, np.float32), np.empty(nx + 1, np.int32)
    for z in range(first, last):
        for y in range(ny):
            for x in range(nx):
                best[x] = smooth[z, y, x]
                way[x] = _SUMMIT
            for direction in (1, 2, 5, 6):
                bz = max(z - 1, 0) if direction == 1 else min(z + 1, nz - 1) if direction == 6 else z
                by = max(y - 1, 0) if direction == 2 else min(y + 1, ny - 1) if direction == 5 else y
                for x in range(nx):
                    value = smooth[bz, by, x]
                    way[x] = direction if value > best[x] else way[x]
                    best[x] = value if value > best[x] else best[x]
            for x in range(nx - 1):
                value = smooth[z, y, x]
                way[x + 1] = 3 if value > best[x + 1] else way[x + 1]
                best[x + 1] = value if value > best[x + 1] else best[x + 1]
            for x in range(nx - 1):
                way[x] = 4 if smooth[z, y, x + 1] > best[x] else way[x]
            for x in range(nx):
                ways[z, y, x] = way[x] if smooth[z, y, x] > 0 else 0


@compiled(_PLACES(_PLACES, types.int64))
def _with_room(places, n):  # type: ignore[no-untyped-def]
    """Return the places, in an array that holds n of them and more."""
    if n <= places.size:
        return places
    larger = np.empty(2 * n, np.int64)
    for k in range(places.size):
        larger[k] = places[k]
    return larger


@compiled(_PLACES(_MAP, _READ, types.float32, _WAYS))
def _maxima(smooth, distance, smallest, ways):  # type: ignore[no-untyped-def]
    """Mark the maxima among 26 neighbours, each a plateau, and return the places of their voxels."""
    nz, ny, nx = smooth.shape
    found, n_found = np.empty(1 << 12, np.int64), 0
    plateau = np.empty(1 << 12, np.int64)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if ways[z, y, x] != _SUMMIT:  # also what was visited
                    continue
                level = abs(smooth[z, y, x])
                plateau[0] = (z * ny + y) * nx + x
                ways[z, y, x] |= _VISITED
                highest, k, n = True, 0, 1
                while k < n:
                    at = plateau[k]
                    k += 1
                    plateau = _with_room(plateau, n + 26)
                    cz, cy, cx = at // (ny * nx), at // nx % ny, at % nx
                    for bz in range(max(cz - 1, 0), min(cz + 2, nz)):
                        for by in range(max(cy - 1, 0), min(cy + 2, ny)):
                            for bx in range(max(cx - 1, 0), min(cx + 2, nx)):
                                value = abs(smooth[bz, by, bx])
                                if value > level:
                                    highest = False
                                elif value == level and not ways[bz, by, bx] & _VISITED:
                                    ways[bz, by, bx] |= _VISITED
                                    plateau[n] = (bz * ny + by) * nx + bx
                                    n += 1
                if highest:
                    found = _with_room(found, n_found + n)
                    for k in range(n):
                        at = plateau[k]
                        cz, cy, cx = at // (ny * nx), at // nx % ny, at % nx
                        if distance[cz, cy, cx] > 0 and distance[cz, cy, cx] >= smallest:
                            ways[cz, cy, cx] |= _PEAK
                            found[n_found] = at
                            n_found += 1
    return found[:n_found]


@compiled(types.uint32(_PLACES, _WAYS, _LABELS))
def _number(places, ways, seeds):  # type: ignore[no-untyped-def]
    """Give maxima numbers in the order of their first voxels, the same where they touch through 26 neighbours."""
    nz, ny, nx = ways.shape
    n = np.uint32(0)
    waiting = np.empty(places.size + 1, np.int64)
    for first in places:
        if seeds[first // (ny * nx), first // nx % ny, first % nx] != 0:
            continue
        n += np.uint32(1)
        seeds[first // (ny * nx), first // nx % ny, first % nx] = n
        waiting[0] = first
        m = 1
        while m > 0:
            m -= 1
            at = waiting[m]
            cz, cy, cx = at // (ny * nx), at // nx % ny, at % nx
            for bz in range(max(cz - 1, 0), min(cz + 2, nz)):
                for by in range(max(cy - 1, 0), min(cy + 2, ny)):
                    for bx in range(max(cx - 1, 0), min(cx + 2, nx)):
                        if ways[bz, by, bx] & _PEAK and seeds[bz, by, bx] == 0:
                            seeds[bz, by, bx] = n
                            waiting[m] = (bz * ny + by) * nx + bx
                            m += 1
    return n


@compiled(types.uint32(_FLAT_WAYS, _IDS, types.uint32))
def _number_rest(ways, basins, n):  # type: ignore[no-untyped-def]
    """Give numbers to what nothing leads away from and has none yet; return the last one."""
    for at in range(ways.size):
        if ways[at] & _SUMMIT == _SUMMIT and basins[at] == 0:
            n += np.uint32(1)
            basins[at] = n
    return n


@compiled(types.void(_WAYS, _LABELS, types.int64, types.int64))
def _follow(ways, basins, first, last):  # type: ignore[no-untyped-def]
    """Give every voxel the number of what it leads to; another thread's slices are read but not written."""
    _, ny, nx = ways.shape
    plane = ny * nx
    steps = np.array([0, -plane, -nx, -1, 1, nx, plane, 0])
    line, way = basins.ravel(), ways.ravel()
    for start in range(first * plane, last * plane):
        # A voxel on a wall has no way, but may be marked as visited: as high, without its sign, as a maximum beside it.
        if way[start] & _SUMMIT == 0 or line[start] != 0:
            continue
        at = start
        while line[at] == 0:
            at += steps[way[at] & _SUMMIT]
        basin, at = line[at], start
        while line[at] == 0:
            if first * plane <= at < last * plane:
                line[at] = basin
            at += steps[way[at] & _SUMMIT]


@compiled(types.int64(_KEYS, types.uint64))
def _row(keys, key):  # type: ignore[no-untyped-def]
    """Return the row of a key in a table, of a size that is a power of 2, taking a free one for a new key."""
    last = np.uint64(keys.size) - _ONE
    row = ((key * _GOLDEN) >> np.uint64(33)) & last
    while keys[row] != key and keys[row] != 0:
        row = (row + _ONE) & last
    keys[row] = key
    return np.int64(row)


@compiled(_COUNTED_TABLE(_KEYS, _HEIGHTS))
def _rehashed(keys, heights):  # type: ignore[no-untyped-def]
    """Return the number of rows in use, and a table twice as large."""
    larger, their_heights = np.zeros(2 * keys.size, np.uint64), np.zeros(2 * keys.size, np.float32)
    n = 0
    for k in range(keys.size):
        if keys[k] != 0:
            their_heights[_row(larger, keys[k])] = heights[k]
            n += 1
    return n, larger, their_heights


@compiled(_TABLE(_LABELS, _MAP, types.int64, types.int64))
def _meet(basins, smooth, first, last):  # type: ignore[no-untyped-def]
    """Return the pairs of basins that touch, and the highest point of the pass between them."""
    _, ny, nx = basins.shape
    keys, heights = np.zeros(1 << 12, np.uint64), np.zeros(1 << 12, np.float32)
    n = 0
    for z in range(first, last):
        for y in range(ny):
            while 2 * (n + 3 * nx) > keys.size:  # room for whatever the next row holds
                n, keys, heights = _rehashed(keys, heights)
            for axis in range(3):
                if (axis == 0 and z == 0) or (axis == 1 and y == 0):
                    continue
                bz, by, shift = z - (axis == 0), y - (axis == 1), 1 if axis == 2 else 0
                for x in range(shift, nx):
                    a, b = basins[bz, by, x - shift], basins[z, y, x]
                    if a == b or a == 0 or b == 0:
                        continue
                    row = _row(keys, np.uint64(min(a, b)) << _PAIR | np.uint64(max(a, b)))
                    if heights[row] == 0:
                        n += 1
                    heights[row] = max(heights[row], min(smooth[bz, by, x - shift], smooth[z, y, x]))
    used = np.flatnonzero(keys)
    return keys[used], heights[used]


@compiled(_TABLE(_KEYS, _HEIGHTS, types.uint32, types.uint32))
def _fall_to_others(keys, heights, n, n_basins):  # type: ignore[no-untyped-def]
    """Return the passes between the first n basins after the others have joined them, over their highest passes first.

    Passes are given, and come back, from the highest down, but for some that come back again, lower.
    """
    parents = np.empty(n_basins + 1, np.uint32)
    for k in range(parents.size):
        parents[k] = k
    kept, kept_heights = np.empty_like(keys), np.empty_like(heights)
    m = 0
    for k in range(keys.size):
        a, b = np.uint32(keys[k] >> _PAIR), np.uint32(keys[k] & np.uint64(0xFFFFFFFF))
        while parents[a] != a:
            parents[a] = parents[parents[a]]
            a = parents[a]
        while parents[b] != b:
            parents[b] = parents[parents[b]]
            b = parents[b]
        low, high = min(a, b), max(a, b)
        if low == high:
            continue
        if high > n:
            parents[high] = low
        else:
            kept[m], kept_heights[m] = np.uint64(low) << _PAIR | np.uint64(high), heights[k]
            m += 1
    return kept[:m].copy(), kept_heights[:m].copy()
