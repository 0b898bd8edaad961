"""Walls, how far a voxel is from them, and the typical cell's size that this tells.

Distances are in *equivalent voxels*, the edge of a cube with the volume of one voxel.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from napari_scutoid.steps.by_label import label_sizes, looked_up
from napari_scutoid.steps.lines import distance_inside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Unit: TypeAlias = tuple[float, float, float]
"""Voxel edges along z, y, x in equivalent voxels."""

BOUNDARY_WEIGHT = 0.9
"""Share of the boundary probability in the height map; the rest is nearness to a wall (elf's ``alpha``)."""


def typical_diameter(distance: NDArray[np.float32]) -> float:
    """Return the diameter of balls in which the mean distance to the wall is the same as in these regions.

    In a ball the distance to its surface is a quarter of the radius in the mean. Large cells count by their volume, so
    that fragments and specks hardly matter. Cells that the stack's border cuts seem larger than they are, as it is no
    wall; none is taken to be larger than what the stack shows of it.

    Parameters
    ----------
    distance : ndarray of float32
        To the nearest wall, 0 on walls and in the background.

    Returns
    -------
    float
        In the unit of the distance; 0 where there is nothing but wall.
    """
    return diameter_of(float(distance.sum(dtype=np.float64)), int(np.count_nonzero(distance)), distance.size)


def diameter_of(total: float, inside: int, size: int) -> float:
    """Return `typical_diameter` from the sum of all distances, the number of those above 0, and of all voxels."""
    return min(8.0 * total / max(1, inside), float(np.cbrt(size)))


def ball_volume(diameter: float, shape: Sequence[int], unit: Sequence[float]) -> float:
    """Return the voxels of a ball as far as a stack can hold it: one slice holds but a slice of a cell.

    Parameters
    ----------
    diameter : float
        In equivalent voxels.
    shape : sequence of 3 ints
        Of the stack.
    unit : sequence of 3 floats
        Voxel edges in equivalent voxels.
    """
    return math.pi / 6 * math.prod(min(diameter, n * edge) for n, edge in zip(shape, unit, strict=True))


def relative_spacing(spacing: Sequence[float]) -> tuple[float, float, float]:
    """Return voxel edges in equivalent voxels: the same ratios, with product 1.

    Raises
    ------
    ValueError
        Unless there are three finite, positive edges.
    """
    edges = np.asarray(spacing, dtype=np.float64)
    if edges.shape != (3,) or not np.all(np.isfinite(edges) & (edges > 0)):
        raise ValueError(f"spacing must be three positive numbers (z, y, x), not {tuple(spacing)}")
    z, y, x = edges / np.cbrt(edges.prod())
    return float(z), float(y), float(x)


def without_specks(interior: NDArray[np.bool_], smallest: int) -> NDArray[np.bool_]:
    """Return the interior together with the pieces of wall or background, corners included, that have fewer voxels.

    A speck of bright cytoplasm would else halve the distance to the wall around it, and split its cell.
    """
    import cc3d

    if smallest <= 1:
        return interior
    # As integers: on bool with 26 neighbours, cc3d 4.1.1 makes its table too small for densely sown voxels and fails.
    found = cc3d.connected_components((~interior).view(np.uint8), connectivity=26, out_dtype=np.uint32)
    pieces = found.astype(np.uint32, copy=False)
    speck = label_sizes(pieces) < smallest
    speck[0] = False
    if not speck.any():
        return interior
    speck[0] = True  # no piece at all: the interior itself
    return looked_up(speck, pieces)


def wall_distance(interior: NDArray[np.bool_], unit: Sequence[float]) -> NDArray[np.float32]:
    """Return each voxel's distance to the nearest voxel that is not interior; the stack's border is none.

    Where nothing bounds the interior, all distances are the stack's diagonal: nowhere is more central than elsewhere.
    """
    if interior.all():
        diagonal = np.linalg.norm(np.multiply(interior.shape, unit))
        return np.full(interior.shape, diagonal, dtype=np.float32)
    return distance_inside(interior, unit)


def height_map(
    boundary: NDArray[Any], distance: NDArray[np.float32], deepest: float | None = None
) -> NDArray[np.float32]:
    """Return the surface that is flooded: ``a * boundary + (1 - a) * (1 - distance / max(distance))``.

    Without the distance, cells whose wall has a gap would meet wherever noise has it, and flat regions in the order in
    which an implementation happens to visit them; with it they meet at the narrowest place. The largest distance of the
    stack can be given where this is a piece of one.
    """
    height = boundary.astype(np.float32)  # a copy: probabilities may come as float16, and are the caller's
    height *= BOUNDARY_WEIGHT
    deepest = float(distance.max()) if deepest is None else deepest
    if deepest > 0:
        height -= np.float32((1.0 - BOUNDARY_WEIGHT) / deepest) * distance
    height += np.float32(1.0 - BOUNDARY_WEIGHT)
    return height
