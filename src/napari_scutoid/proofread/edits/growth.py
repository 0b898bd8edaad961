"""Grows a cell from a seed: through free voxels, up to walls, and about as large as a typical cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.box import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WALL_COST = 50.0
"""How much slower the front goes through a certain wall than through none; less where walls are less certain."""

LARGEST_CELL = 4.0
"""Largest cell that is tried, in typical ones."""

SIZE_WEIGHT = 0.15
"""What a cell e times too large or too small must gain in the closedness of its surface, 0 to 1."""

TAKEN = 0.75
"""How far a neighbour closes the surface: were it 1, two cells that neighbours enclose would beat each of them."""

_EXPLORED = 100_000
"""Voxels that the front visits at most; larger cells are grown on a coarser grid."""

_TRIED = 48
"""Sizes between which the best is chosen."""


def coarseness(typical: float, spacing: Sequence[float]) -> tuple[int, int, int]:
    """Return how many voxels along z, y, x to join, so that growing a cell stays quick.

    Parameters
    ----------
    typical : float
        Volume of a typical cell, in the units of the spacing.
    spacing : sequence of 3 floats
        Voxel edges.
    """
    edge = (LARGEST_CELL * typical / _EXPLORED) ** (1 / 3)
    z, y, x = (max(1, round(edge / side)) for side in spacing)
    return z, y, x


def grown(
    seed: NDArray[np.bool_],
    free: NDArray[np.bool_],
    taken: NDArray[np.bool_],
    boundary: NDArray[np.uint8],
    spacing: Sequence[float],
    typical: float,
) -> NDArray[np.bool_]:
    """Return a cell grown from a seed.

    A front travels from the seed through the free voxels, slower where a wall is likely, which is the arrival time of
    a minimal path [1]_. Of the shapes that it passes through, the one is taken whose surface is closed best, by walls
    and by what is taken already, less a penalty for sizes that are not a typical cell's: where nothing bounds the
    seed, the cell is a ball of the typical size.

    Parameters
    ----------
    seed : ndarray of bool, shape (z, y, x)
        Where it starts; part of the cell in any case.
    free : ndarray of bool, same shape
        Where it may grow.
    taken : ndarray of bool, same shape
        Other cells and the lumen: they close the cell's surface as walls do.
    boundary : ndarray of uint8, same shape
        How probable walls are.
    spacing : sequence of 3 floats
        Voxel edges.
    typical : float
        Volume of a typical cell, in the spacing's units.

    References
    ----------
    .. [1] L. D. Cohen and R. Kimmel (1997), Global minimum for active contour models: a minimal path approach,
           International Journal of Computer Vision 24:57-78.
    """
    from scipy.ndimage import gaussian_filter

    free = free | seed
    joined = coarseness(typical, spacing)
    sigma = 0.5 * min(spacing) / np.asarray(spacing)
    start = _joined(seed, joined, np.max)
    wall = _joined(boundary, joined, np.max).astype(np.float32) / np.float32(255)
    if max(joined) == 1:
        wall = gaussian_filter(wall, sigma)
    # Thin gaps and pockets of the free space must not close or open by rounding: most of a voxel decides.
    mostly_free = _joined(free, joined, np.mean) >= 0.5
    edges = [n * edge for n, edge in zip(joined, spacing, strict=True)]
    wanted = typical / float(np.prod(edges))
    arrival = _arrival(start, mostly_free | start, wall, edges, wanted)
    blocked = _joined(taken, joined, np.mean) >= 0.5
    reached = Box.of(np.isfinite(arrival))
    near = (reached or Box.whole(arrival.shape)).padded(1, arrival.shape).slices
    last = _best_moment(arrival[near], blocked[near], wall[near], edges, wanted)
    cell = _refined(arrival, joined, free.shape) <= last if max(joined) > 1 else arrival <= last
    return _tidied((cell & free) | seed, seed, free, sigma)


def _arrival(
    seed: NDArray[np.bool_],
    free: NDArray[np.bool_],
    wall: NDArray[np.float32],
    spacing: Sequence[float],
    wanted: float,
) -> NDArray[np.float64]:
    """Return when the front reaches each voxel; infinite where it does not, or not before the largest cell is full."""
    from skimage.graph import MCP_Geometric

    cost = np.where(free, 1.0 + WALL_COST * np.square(wall, dtype=np.float64), -1.0)
    visited = min(1.0, (np.count_nonzero(seed) + LARGEST_CELL * wanted + 27) / free.size)
    paths = MCP_Geometric(cost, fully_connected=True, sampling=tuple(spacing))
    arrival, _ = paths.find_costs(np.argwhere(seed).tolist(), max_coverage=visited)
    return np.asarray(arrival, np.float64)


def _best_moment(
    arrival: NDArray[np.float64],
    blocked: NDArray[np.bool_],
    wall: NDArray[np.float32],
    spacing: Sequence[float],
    wanted: float,
) -> float:
    """Return when the front's surface is closed best, for its size.

    A face lies on the surface from when the front reaches one of its voxels until it reaches the other, so that one
    pass over all faces gives the surface of every moment.
    """
    reached = np.sort(arrival[np.isfinite(arrival)])
    smallest = int(np.count_nonzero(reached <= 0))
    low, high = max(smallest, 0.1 * wanted), max(smallest, min(len(reached), LARGEST_CELL * wanted))
    if high <= low:
        return float(reached[-1])
    counts = np.unique(np.rint(np.geomspace(max(1, low), high, _TRIED)).astype(np.int64))
    moments = reached[counts - 1]
    area, closed = np.zeros(len(moments) + 1), np.zeros(len(moments) + 1)
    for axis in range(3):
        early, late = (np.delete(arrival, end, axis) for end in (-1, 0))
        first, second = (np.searchsorted(moments, side) for side in (early, late))
        joint = 0.5 * (np.delete(wall, -1, axis) + np.delete(wall, 0, axis))
        beside = np.delete(blocked, -1, axis) | np.delete(blocked, 0, axis)
        evidence = np.where(beside, np.maximum(joint, TAKEN), joint)
        opens, closes = np.minimum(first, second).ravel(), np.maximum(first, second).ravel()
        for total, weight in ((area, np.ones(opens.shape)), (closed, evidence.ravel())):
            weight = weight / spacing[axis]  # a face's area, up to a factor that all share
            total += np.bincount(opens, weight, len(total)) - np.bincount(closes, weight, len(total))
    area, closed = np.cumsum(area)[:-1], np.cumsum(closed)[:-1]
    tightness = np.divide(closed, area, out=np.zeros_like(closed), where=area > 0)
    sizes = np.searchsorted(reached, moments, side="right")
    score = tightness - SIZE_WEIGHT * np.square(np.log(sizes / wanted))
    return float(moments[np.argmax(score)])


def _joined(part: NDArray[Any], by: Sequence[int], how: Any) -> NDArray[Any]:
    """Return blocks of voxels as one each; those at the far sides may be incomplete."""
    if max(by) == 1:
        return part
    padded = np.pad(part, [(0, -n % k) for n, k in zip(part.shape, by, strict=True)], mode="edge")
    z, y, x = (n // k for n, k in zip(padded.shape, by, strict=True))
    return np.asarray(how(padded.reshape(z, by[0], y, by[1], x, by[2]), axis=(1, 3, 5)))


def _refined(arrival: NDArray[np.float64], joined: Sequence[int], shape: Sequence[int]) -> NDArray[np.float64]:
    """Return arrival times between blocks, by linear interpolation of those of the blocks' middles."""
    from scipy.ndimage import map_coordinates

    finite = np.isfinite(arrival)
    filled = np.where(finite, arrival, 2 * arrival[finite].max() + 1)
    places = [(np.arange(n) + 0.5) / k - 0.5 for n, k in zip(shape, joined, strict=True)]
    return np.asarray(map_coordinates(filled, np.meshgrid(*places, indexing="ij"), order=1, mode="nearest"))


def _tidied(
    cell: NDArray[np.bool_], seed: NDArray[np.bool_], free: NDArray[np.bool_], sigma: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return the cell without holes, frayed edges and what does not hang together with the seed."""
    import cc3d
    from scipy.ndimage import binary_fill_holes, gaussian_filter

    inner = Box.of(cell)
    if inner is None:
        return cell
    around = inner.padded(2, cell.shape).slices
    whole, start, allowed = binary_fill_holes(cell[around]), seed[around], free[around]
    # Beyond free voxels the cell is not frayed: what it leans on counts as half there.
    share = gaussian_filter(np.where(allowed, whole, 0.5).astype(np.float32), 2 * sigma)
    smooth = ((share > 0.5) & allowed) | start
    pieces = cc3d.connected_components(smooth.view(np.uint8), connectivity=6)
    kept = np.zeros(cell.shape, np.bool_)
    kept[around] = np.isin(pieces, np.unique(pieces[start]))
    return kept
