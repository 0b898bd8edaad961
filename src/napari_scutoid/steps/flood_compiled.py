"""The compiled loops of seeded watershed: pieces that one seed alone can reach first, and the rest by queues.

A voxel's state is one number: the id of the cell that has it, 0 where none may grow, or its level with `_OPEN` set.
States lie in one line, with a closed voxel between rows and a closed row between slices: no neighbour has to be tested
to exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import types

from napari_scutoid.steps.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVELS = 4096
SURE = 0.35
"""Pieces below this share of the range of heights go to their seed at once, if they hold a single one."""

_OPEN = np.uint32(1 << 31)
_SEVERAL = np.uint32(0xFFFFFFFF)

_HEIGHT = types.Array(types.float32, 3, "C", readonly=True)
_MASK = types.Array(types.boolean, 3, "C", readonly=True)
_SEEDS = types.Array(types.uint32, 3, "C", readonly=True)
_LABELS = types.Array(types.uint32, 3, "C")
_LINE = types.Array(types.uint32, 1, "C")
_COUNTS = types.Array(types.int64, 1, "C")
_RANGE = types.UniTuple(types.float32, 2)  # type: ignore[no-untyped-call]


def grown(
    height: NDArray[np.float32], seeds: NDArray[np.uint32], mask: NDArray[np.bool_], sure: float = SURE
) -> NDArray[np.uint32]:
    """Return the flooded labels; contiguous arrays as for `napari_scutoid.steps.flood.flood`, ids below 2**31.

    A piece of the volume that lies below some height and holds one seed is that seed's: every way in leads higher. The
    rest is flooded from there, level by level and first come, first served within one.
    """
    z, y, x = height.shape
    states = np.zeros((z + 2) * (y + 1) * (x + 1) + 1, np.uint32)
    low, scale = _open(height, mask, states)
    if sure > 0:
        _take_sure(seeds, states, np.uint32(sure * LEVELS))
    counts = np.zeros(LEVELS, np.int64)
    shore = _sow(height, seeds, states, low, scale, counts)
    ends = np.cumsum(counts)
    _flow(states, shore, np.empty(ends[-1], np.uint32), ends - counts, np.array([x + 1, (y + 1) * (x + 1)]))
    labels = np.empty(height.shape, np.uint32)
    _read(states, labels)
    return labels


@compiled(_RANGE(_HEIGHT, _MASK, _LINE))
def _open(height, mask, states):  # type: ignore[no-untyped-def]
    """Note the level of every voxel where cells may grow; return the lowest height, and levels per height."""
    nz, ny, nx = height.shape
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if mask[z, y, x]:
                    low, high = min(low, height[z, y, x]), max(high, height[z, y, x])
    scale = np.float32(LEVELS - 1) / (high - low) if high > low else np.float32(0)
    for z in range(nz):
        for y in range(ny):
            at = ((z + 1) * (ny + 1) + y) * (nx + 1)
            for x in range(nx):
                if mask[z, y, x]:
                    states[at + x] = np.uint32((height[z, y, x] - low) * scale) | _OPEN
    return low, scale


@compiled(types.uint32(_LINE, types.uint32))
def _root(parents, run):  # type: ignore[no-untyped-def]
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@compiled(_LINE(_LINE, types.int64, types.int64))
def _longer(line, n, more):  # type: ignore[no-untyped-def]
    """Return the first n numbers with room for more."""
    longer = np.empty(n + more, np.uint32)
    for k in range(n):
        longer[k] = line[k]
    return longer


@compiled(types.void(_SEEDS, _LINE, types.uint32))
def _take_sure(seeds, states, level):  # type: ignore[no-untyped-def]
    """Give pieces below a level that hold one seed to it. Pieces are found as runs along x that touch."""
    nz, ny, nx = seeds.shape
    below = _OPEN | level
    n_rows = nz * ny
    first = np.zeros(n_rows + 1, np.int64)  # run of each row
    room = max(1024, seeds.size // 16)
    starts, ends = np.empty(room, np.uint32), np.empty(room, np.uint32)
    n = 0
    for row in range(n_rows):
        at = (row // ny + 1) * (ny + 1) * (nx + 1) + (row % ny) * (nx + 1)
        first[row] = n
        if n + nx > starts.size:
            starts, ends = _longer(starts, n, starts.size + nx), _longer(ends, n, starts.size + nx)
        inside = False
        for i in range(at, at + nx + 1):  # the closed voxel at the end ends the last run
            is_low = _OPEN <= states[i] <= below
            if is_low != inside:
                if is_low:
                    starts[n] = i
                else:
                    ends[n] = i
                    n += 1
                inside = is_low
    first[n_rows] = n
    parents = np.empty(n, np.uint32)
    for run in range(n):
        parents[run] = run
    for row in range(n_rows):
        for step in range(2):
            before = row - (1 if step == 0 else ny)
            shift = nx + 1 if step == 0 else (ny + 1) * (nx + 1)
            if before < 0 or (step == 0 and row % ny == 0):
                continue
            a, b = first[row], first[before]
            while a < first[row + 1] and b < first[before + 1]:
                if starts[a] < ends[b] + shift and starts[b] + shift < ends[a]:
                    one, other = _root(parents, np.uint32(a)), _root(parents, np.uint32(b))
                    parents[max(one, other)] = min(one, other)
                if ends[a] < ends[b] + shift:
                    a += 1
                else:
                    b += 1
    owner = np.zeros(n, np.uint32)
    for row in range(n_rows):
        at = (row // ny + 1) * (ny + 1) * (nx + 1) + (row % ny) * (nx + 1)
        for run in range(first[row], first[row + 1]):
            root = _root(parents, np.uint32(run))
            for x in range(starts[run] - at, ends[run] - at):
                seed = seeds[row // ny, row % ny, x]
                if seed != 0 and owner[root] != seed:
                    owner[root] = seed if owner[root] == 0 else _SEVERAL
    for run in range(n):
        seed = owner[_root(parents, np.uint32(run))]
        if seed != 0 and seed != _SEVERAL:
            for i in range(starts[run], ends[run]):
                states[i] = seed


@compiled(_LINE(_HEIGHT, _SEEDS, _LINE, types.float32, types.float32, _COUNTS))
def _sow(height, seeds, states, low, scale, counts):  # type: ignore[no-untyped-def]
    """Write the seeds, count the voxels of each level that the flood has to visit, and return those it starts from.

    Each is followed by its level.
    """
    nz, ny, nx = height.shape
    line, plane = nx + 1, (ny + 1) * (nx + 1)
    for z in range(nz):
        for y in range(ny):
            at = (z + 1) * plane + y * line
            for x in range(nx):
                if seeds[z, y, x] != 0 and states[at + x] & _OPEN:
                    states[at + x] = seeds[z, y, x]
    shore, n = np.empty(1024, np.uint32), 0
    for z in range(nz):
        for y in range(ny):
            at = (z + 1) * plane + y * line
            if n + 2 * nx > shore.size:
                shore = _longer(shore, n, shore.size + 2 * nx)
            for x in range(nx):
                i = at + x
                state = states[i]
                if state & _OPEN:
                    counts[state ^ _OPEN] += 1
                elif state != 0:
                    around = states[i - 1] | states[i + 1] | states[i - line] | states[i + line]
                    if (around | states[i - plane] | states[i + plane]) & _OPEN:
                        level = np.uint32((height[z, y, x] - low) * scale)
                        shore[n], shore[n + 1] = i, level
                        counts[level] += 1
                        n += 2
    return shore[:n].copy()


@compiled(types.void(_LINE, _LINE, _LINE, _COUNTS, _COUNTS))
def _flow(states, shore, queue, head, strides):  # type: ignore[no-untyped-def]
    """Let every cell grow from the shore, lowest level first; `head` is where each level's queue begins."""
    line, plane = strides
    tail = head.copy()
    for k in range(0, shore.size, 2):
        level = shore[k + 1]
        queue[tail[level]] = shore[k]
        tail[level] += 1
    current = np.int64(0)
    while True:
        while current < head.size and head[current] == tail[current]:
            current += 1
        if current == head.size:
            break
        at = np.int64(queue[head[current]])
        head[current] += 1
        cell = states[at]
        for there in (at - plane, at - line, at - 1, at + 1, at + line, at + plane):
            state = states[there]
            if state & _OPEN:
                level = np.int64(state ^ _OPEN)
                states[there] = cell
                queue[tail[level]] = there
                tail[level] += 1
                if level < current:
                    current = level


@compiled(types.void(_LINE, _LABELS))
def _read(states, labels):  # type: ignore[no-untyped-def]
    nz, ny, nx = labels.shape
    for z in range(nz):
        for y in range(ny):
            at = ((z + 1) * (ny + 1) + y) * (nx + 1)
            for x in range(nx):
                state = states[at + x]
                labels[z, y, x] = np.uint32(0) if state & _OPEN else state
