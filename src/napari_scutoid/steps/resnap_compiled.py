"""The loops of `resnap` over every voxel, compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.steps.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

THIN, SUPPORTED, INSIDE = 0, 1, 2
"""Of a coarse voxel: no voxel beside it lies inside its region; one does; it lies inside itself."""


@compiled()
def depth_of(numbers: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Say of every coarse voxel whether it is `INSIDE` its region (all neighbours are of it), `SUPPORTED` or `THIN`.

    Parameters
    ----------
    numbers : ndarray of uint32, shape (z, y, x)
        The regions.
    """
    nz, ny, nx = numbers.shape
    depth = np.zeros(numbers.shape, np.uint8)
    for wanted in (INSIDE, SUPPORTED):
        for z in range(nz):
            for y in range(ny):
                for x in range(nx):
                    if depth[z, y, x] == INSIDE:
                        continue
                    own, is_same, is_beside = numbers[z, y, x], True, False
                    for i in range(max(0, z - 1), min(nz, z + 2)):
                        for j in range(max(0, y - 1), min(ny, y + 2)):
                            for k in range(max(0, x - 1), min(nx, x + 2)):
                                if numbers[i, j, k] != own:
                                    is_same = False
                                elif depth[i, j, k] == INSIDE:
                                    is_beside = True
                    if is_same if wanted == INSIDE else is_beside:
                        depth[z, y, x] = wanted
    return depth


@compiled()
def starts(
    numbers: NDArray[np.uint32],
    depth: NDArray[np.uint8],
    dazzling: NDArray[np.bool_],
    band: float,
    nearest: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]],
    lower: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]],
    upper_share: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    inside: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    is_middle: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]],
) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return where fine voxels keep the region of their coarse one, and what is known of the others.

    Parameters
    ----------
    numbers, depth : ndarray, shape (cz, cy, cx)
        Regions of the coarse voxels, with a layer around, and what `depth_of` says of them.
    dazzling : ndarray of bool
        By region: whether it outshines the membranes beside it.
    band : float
        Distance from a boundary, in coarse voxels, up to which voxels may change; at most 1.
    nearest, lower : three arrays of int, shapes (nz,), (ny,), (nx,)
        The coarse voxel that a fine one lies in, and the lower of the two whose centres are beside its own.
    upper_share : three arrays of float32
        Linear weight of the upper of those two.
    inside : three arrays of float32
        Place of the fine voxel's centre in its coarse voxel, 0 to 1.
    is_middle : three arrays of bool
        Whether no other fine voxel is closer to the middle of its coarse voxel.

    Returns
    -------
    seeds : ndarray of uint32, shape (nz, ny, nx)
        Regions; 0 in the band.
    closeness : ndarray of float32, same shape
        To the smoothed coarse boundary: 1 where the two regions with most linear weight are equal, 0 where there is
        but one.
    is_dazzled : ndarray of bool, same shape
        Where a dazzling region is beside.
    """
    nz, ny, nx = len(nearest[0]), len(nearest[1]), len(nearest[2])
    seeds = np.zeros((nz, ny, nx), np.uint32)
    closeness = np.zeros((nz, ny, nx), np.float32)
    is_dazzled = np.zeros((nz, ny, nx), np.bool_)
    votes, shares = np.zeros(8, np.uint32), np.zeros(8, np.float32)
    for z in range(nz):
        cz, fz, wz, lz = nearest[0][z], inside[0][z], upper_share[0][z], lower[0][z]
        for y in range(ny):
            cy, fy, wy, ly = nearest[1][y], inside[1][y], upper_share[1][y], lower[1][y]
            for x in range(nx):
                cx = nearest[2][x]
                own, state = numbers[cz, cy, cx], depth[cz, cy, cx]
                if state == INSIDE:
                    seeds[z, y, x] = own
                    continue
                fx, wx, lx = inside[2][x], upper_share[2][x], lower[2][x]
                distance = np.float32(2.0)  # squared, to the nearest coarse voxel of another region
                for i in range(-1, 2):
                    gz = fz if i < 0 else (1 - fz if i > 0 else np.float32(0))
                    for j in range(-1, 2):
                        gy = fy if j < 0 else (1 - fy if j > 0 else np.float32(0))
                        for k in range(-1, 2):
                            gx = fx if k < 0 else (1 - fx if k > 0 else np.float32(0))
                            other = numbers[cz + i, cy + j, cx + k]
                            if other != own:
                                distance = min(distance, gz * gz + gy * gy + gx * gx)
                            if dazzling[other]:
                                is_dazzled[z, y, x] = True
                is_core = state == THIN and is_middle[0][z] and is_middle[1][y] and is_middle[2][x]
                if is_core or distance >= band * band:
                    seeds[z, y, x] = own
                n = 0
                for corner in range(8):
                    i, j, k = corner >> 2, (corner >> 1) & 1, corner & 1
                    share = (wz if i else 1 - wz) * (wy if j else 1 - wy) * (wx if k else 1 - wx)
                    number, at = numbers[lz + i, ly + j, lx + k], 0
                    while at < n and votes[at] != number:
                        at += 1
                    if at == n:
                        votes[n], shares[n] = number, 0.0
                        n += 1
                    shares[at] += share
                first = second = np.float32(0.0)
                for at in range(n):
                    if shares[at] > first:
                        first, second = shares[at], first
                    elif shares[at] > second:
                        second = shares[at]
                closeness[z, y, x] = 1 - (first - second)
    return seeds, closeness, is_dazzled


@compiled()
def divide(
    regions: NDArray[np.uint32],
    slowness: NDArray[np.uint8],
    steps: tuple[int, int, int],
    n_lengths: int,
) -> None:
    """Give every voxel of 0 to the region whose front arrives first, in place.

    Fronts start at once from all other voxels, and go through faces; entering a voxel takes its slowness times the
    length of the step. Dijkstra's algorithm, with a queue for each arrival time [1]_.

    Parameters
    ----------
    regions : ndarray of uint32, shape (z, y, x)
        0 where they are to grow.
    slowness : ndarray of uint8, same shape
        At least 1.
    steps : tuple of 3 ints
        Lengths of a step along z, y, x; at least 1.
    n_lengths : int
        How many different ones: a voxel is reached earlier than before only by a shorter step, so at most so often.

    References
    ----------
    .. [1] R. B. Dial (1969), Algorithm 360: shortest-path forest with topological ordering, Communications of the ACM
           12(11):632-633.
    """
    _, ny, nx = regions.shape
    flat, slow = regions.ravel(), slowness.ravel()
    strides = (ny * nx, nx, 1)
    arrival = np.full(flat.size, np.iinfo(np.int32).max, np.int32)
    is_done = flat > 0
    room = n_lengths * (flat.size - np.count_nonzero(is_done))
    voxel_of, region_of, after = np.empty(room, np.int32), np.empty(room, np.uint32), np.empty(room, np.int32)
    n_times = max(steps) * int(slow.max()) + 1
    first, last = np.full(n_times, -1, np.int32), np.full(n_times, -1, np.int32)
    used = waiting = now = at = 0
    while at < flat.size or waiting:
        # First all voxels that have a region, at time 0; then those that wait, in the order of their times.
        if at < flat.size:
            voxel, at = at, at + 1
            region = flat[voxel]
            if not is_done[voxel]:
                continue
        else:
            entry = first[now % n_times]
            if entry < 0:
                now += 1
                continue
            first[now % n_times] = after[entry]
            waiting -= 1
            voxel, region = voxel_of[entry], region_of[entry]
            if is_done[voxel]:
                continue
            is_done[voxel] = True
            flat[voxel] = region
        place = (voxel // strides[0], voxel // nx % ny, voxel % nx)
        for axis in range(3):
            for way in (-1, 1):
                if not 0 <= place[axis] + way < regions.shape[axis]:
                    continue
                other = voxel + way * strides[axis]
                if is_done[other]:
                    continue
                time = now + steps[axis] * slow[other]
                if time >= arrival[other]:
                    continue
                arrival[other], voxel_of[used], region_of[used], after[used] = time, other, region, -1
                queue = time % n_times
                if first[queue] < 0:
                    first[queue] = used
                else:
                    after[last[queue]] = used
                last[queue] = used
                used += 1
                waiting += 1
