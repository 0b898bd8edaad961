"""Where a cell would come apart if it were two: by the walls inside it, and by its waist."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_scutoid.steps.flood import flood
from napari_scutoid.steps.shape import SizePrior, emptiness, nearest_part, parts_of
from napari_scutoid.steps.walls import height_map

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.steps.walls import Unit

SMALLEST_SIDE = 0.08
"""Share of the cell that each side of a cut has at least: less is a bump."""
_WALL = 0.5
_POINTS = 250
_MOST_SEEDS = 100
_LEVELLING = 0.12
"""Smoothing of the distance to the wall, as a share of its maximum: two bumps of one ridge are no two cells."""


class Cut(NamedTuple):
    """A cell divided in two.

    Parameters
    ----------
    evidence : float
        Mean boundary evidence over the cut, 0 to 1; 0 where there is no cut.
    area : float
        Of the cut, over the cell's volume to the power 2/3: a waist is small.
    balance : float
        Share of the smaller side, 0 to 0.5.
    faint : float
        The evidence that a quarter of the cut stays below: the cell's own walls run along its rim.
    first, second : tuple of 3 ints, optional
        A voxel deep inside each side, in the box.
    """

    evidence: float = 0.0
    area: float = 0.0
    balance: float = 0.0
    faint: float = 0.0
    first: tuple[int, int, int] | None = None
    second: tuple[int, int, int] | None = None


NO_CUT = Cut()


def strongest_cut(inside: NDArray[np.bool_], boundary: NDArray[np.float32], unit: Unit) -> Cut:
    """Return the cut of a cell along its strongest inner walls.

    Every local maximum of the distance to walls floods its surroundings; what the weakest walls divide is joined,
    smallest pieces first, until two sides are left.

    Parameters
    ----------
    inside : ndarray of bool, shape (z, y, x)
        The cell in its box, with a margin where the stack goes on.
    boundary : ndarray of float32, same shape
        How probable walls are, 0 to 1.
    unit : tuple of 3 floats
        Voxel edges in equivalent voxels.
    """
    from scipy.ndimage import gaussian_filter, maximum_filter

    interior = inside & (boundary <= _WALL)
    if not interior.any():
        interior = inside
    distance = depth_in(interior, unit)
    if not np.isfinite(distance).all():  # nothing bounds the cell: it fills the box
        return NO_CUT
    sigma = _LEVELLING * float(distance.max())
    smooth = gaussian_filter(distance, [sigma / edge for edge in unit])
    peaks = interior & (smooth == maximum_filter(smooth, 3))
    places = np.argwhere(peaks)
    if len(places) < 2:
        return NO_CUT
    if len(places) > _MOST_SEEDS:
        highest = np.argsort(-smooth[peaks], kind="stable")[:_MOST_SEEDS]
        places = places[np.sort(highest)]
        peaks = np.zeros_like(peaks)
        peaks[tuple(places.T)] = True
    seeds = np.zeros(inside.shape, np.uint32)
    seeds[peaks] = np.arange(1, len(places) + 1, dtype=np.uint32)
    regions = flood(height_map(boundary, distance), seeds, inside)
    side = _two_sides(regions, boundary)
    return NO_CUT if side is None else _measured(side[regions], boundary, distance)


def waist(
    inside: NDArray[np.bool_], boundary: NDArray[np.float32], unit: Unit, depth: NDArray[np.float32] | None = None
) -> tuple[float, Cut]:
    """Return how much better two ellipsoids describe a cell than one, in nat, and the cut between these.

    Parameters
    ----------
    inside, boundary, unit
        As for `strongest_cut`.
    depth : ndarray of float32, optional
        `depth_in` of the cell, where it is known.
    """
    places = np.argwhere(inside)
    voxels = float(len(places))
    scaled = places * np.asarray(unit)
    if len(scaled) > _POINTS:
        sample = scaled[np.random.default_rng(0).choice(len(scaled), _POINTS, replace=False)]
    else:
        sample = scaled
    # A prior without weight that expects just this volume: two parts are tried, and no more.
    parts = parts_of(sample, voxels, SizePrior(voxels, 1e-9), 0.0, unit)
    if parts is None or len(parts) != 2:
        return 0.0, NO_CUT
    part = nearest_part(scaled, parts)
    sizes = np.bincount(part, minlength=2)
    if sizes.min() < 8:
        return 0.0, NO_CUT
    apart = sum(n * emptiness(scaled[part == i], float(n), unit) for i, n in enumerate(sizes.tolist()))
    side = np.zeros(inside.shape, np.uint8)
    side[tuple(places.T)] = part + 1
    depth = depth_in(inside, unit) if depth is None else depth
    return emptiness(scaled, voxels, unit) - apart / voxels, _measured(side, boundary, depth)


def depth_in(inside: NDArray[np.bool_], unit: Unit) -> NDArray[np.float32]:
    """Return how far each voxel of a cell is from what is none, in equivalent voxels; infinite where nothing else is.

    The border of the box, which is that of the stack, is nothing else.
    """
    import edt

    depth: NDArray[np.float32] = edt.edt(np.ascontiguousarray(inside), anisotropy=unit, black_border=False)
    return depth


def _two_sides(regions: NDArray[np.uint32], boundary: NDArray[np.float32]) -> NDArray[np.uint8] | None:
    """Return 1 or 2 for each region, 0 for the background; None where no two sides are left to tell."""
    from napari_scutoid.proofread.inner_cut_compiled import joined

    n = int(regions.max()) + 1
    sizes = np.bincount(regions.ravel(), minlength=n).astype(np.float64)
    smallest = SMALLEST_SIDE * sizes[1:].sum()
    walls, faces = _contacts(regions, boundary, n)
    part_of = joined(walls, faces, sizes, smallest)
    left = np.unique(part_of[part_of > 0])
    if len(left) < 2:
        return None
    side = np.zeros(n, np.uint8)
    side[part_of == left[0]], side[part_of == left[1]] = 1, 2
    return side


def _contacts(
    regions: NDArray[np.uint32], boundary: NDArray[np.float32], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return, for each two regions, the sum of the evidence over their faces, and the number of these."""
    walls, faces = np.zeros(n * n), np.zeros(n * n)
    for a, b, evidence in _along_axes(regions, boundary):
        pair = a.astype(np.int64) * n + b
        faces += np.bincount(pair, minlength=n * n)
        walls += np.bincount(pair, evidence, minlength=n * n)
    both = [table.reshape(n, n) for table in (walls, faces)]
    return both[0] + both[0].T, both[1] + both[1].T


def _measured(side: NDArray[np.uint8], boundary: NDArray[np.float32], distance: NDArray[np.float32]) -> Cut:
    sizes = np.bincount(side.ravel(), minlength=3)[1:3]
    evidence = np.concatenate([found for _, _, found in _along_axes(side, boundary)])
    voxels = int(sizes.sum())
    if not evidence.size or sizes.min() < SMALLEST_SIDE * voxels:
        return NO_CUT
    # 1.5: voxel faces overstate a surface in the mean over its directions.
    area = evidence.size / 1.5 / voxels ** (2 / 3)
    deepest = [np.unravel_index(int(np.argmax(np.where(side == i, distance, -1))), side.shape) for i in (1, 2)]
    first, second = ((int(z), int(y), int(x)) for z, y, x in deepest)
    faint = float(np.quantile(evidence, 0.25))
    return Cut(float(evidence.mean()), area, float(sizes.min()) / voxels, faint, first, second)


def _along_axes(
    regions: NDArray[np.unsignedinteger], boundary: NDArray[np.float32]
) -> list[tuple[NDArray[np.unsignedinteger], NDArray[np.unsignedinteger], NDArray[np.float32]]]:
    """Return the regions and the evidence on both sides of every face between two of them, axis by axis."""
    found = []
    for axis in range(3):
        near = tuple(slice(None, -1) if i == axis else slice(None) for i in range(3))
        far = tuple(slice(1, None) if i == axis else slice(None) for i in range(3))
        a, b = regions[near], regions[far]
        meet = (a != b) & (a > 0) & (b > 0)
        found.append((a[meet], b[meet], 0.5 * (boundary[near][meet] + boundary[far][meet])))
    return found
