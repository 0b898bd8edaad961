"""From foreground and boundary probabilities to one label per cell.

Distances and smoothing are in *equivalent voxels*: the edge of a cube with the volume of one voxel. On an isotropic
grid that is the voxel edge; on an anisotropic one, settings keep their meaning for cells of a given number of voxels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.progress import Progress
from napari_scutoid.steps.cleanup import clean, label_sizes
from napari_scutoid.steps.flood import flood
from napari_scutoid.steps.seeds import place_seeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Cleanup, Watershed

BOUNDARY_WEIGHT = 0.9
"""Share of the boundary probability in the height map; the rest is nearness to a wall (elf's ``alpha``)."""

STAGES = ("Separating tissue from background", "Measuring distances to walls", "Placing seeds", "Growing cells")


def cells_from_probabilities(
    foreground: NDArray[Any],
    boundary: NDArray[Any],
    watershed: Watershed,
    cleanup: Cleanup,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
) -> Steps[NDArray[np.uint32]]:
    """Turn probabilities into cells, by distance-transform watershed or by connected components.

    The watershed is that of PlantSeg [1]_ and elf [2]_: walls are the voxels above the boundary threshold, without
    specks; prominent maxima of the smoothed distance to the nearest wall or background become seeds; they grow over a
    height map made of the boundary probability and a little of the distance, inside the foreground. A gap in a wall
    lets a connected component leak into the next cell, but hardly moves these maxima. The stack's border is no wall,
    so cells it cuts keep their seeds. Components are what boundaries separate completely, connected through faces: the
    walls stay 0, as the laboratory counts cells.

    Parameters
    ----------
    foreground, boundary : ndarray of float, shape (z, y, x)
        Probabilities, 0 to 1. Foreground is tissue with its walls, without lumen and outside.
    watershed : Watershed
        Method, implementation, thresholds and seeds.
    cleanup : Cleanup
        What to do with small cells and holes.
    spacing : sequence of 3 floats
        Voxel edges along z, y, x; only their ratio matters.

    Yields
    ------
    Progress
        One per stage.

    Returns
    -------
    ndarray of uint32, shape (z, y, x)
        One id per cell, 0 elsewhere. The same input gives the same result.

    Raises
    ------
    ValueError
        When shapes differ, a map is not three-dimensional or holds no probabilities, or a spacing is not positive.

    References
    ----------
    .. [1] A. Wolny et al. (2020), Accurate and versatile 3D segmentation of plant tissues at cellular resolution,
           eLife 9:e57613.
    .. [2] https://github.com/constantinpape/elf, ``elf.segmentation.watershed.distance_transform_watershed``.
    """
    _check_probabilities(foreground, boundary)
    unit = relative_spacing(spacing)
    n = len(STAGES)

    yield Progress(STAGES[0], 0, n)
    mask = foreground >= watershed.foreground_threshold
    interior = mask & (boundary <= watershed.boundary_threshold)

    if watershed.method == "components":
        import cc3d

        yield Progress(STAGES[3], n - 1, n)
        height = boundary.astype(np.float32)
        components = cc3d.connected_components(interior, connectivity=6, out_dtype=np.uint32)
        cells = components.astype(np.uint32, copy=False)
    else:
        yield Progress(STAGES[1], 1, n)
        interior = without_specks(interior, watershed.smallest_wall)
        distance = wall_distance(interior, unit)
        yield Progress(STAGES[2], 2, n)
        seeds = place_seeds(
            distance,
            sigma=watershed.seed_sigma,
            smallest_distance=watershed.seed_distance,
            prominence=watershed.seed_prominence,
            unit=unit,
            backend=watershed.backend,
        )
        height = height_map(boundary, distance)  # not before the seeds: placing them is the peak of memory
        del distance
        yield Progress(STAGES[3], n - 1, n)
        # A seed may lie on a speck of background: it grows from there, and the speck is taken out again.
        cells = flood(height, seeds, mask | interior, watershed.backend)
        cells[~mask] = 0
        del seeds
    del mask, interior

    return (yield from clean(cells, height, cleanup, watershed.backend))


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
    speck[0] = True  # no piece at all: the interior itself
    grown: NDArray[np.bool_] = speck[pieces]
    return grown


def wall_distance(interior: NDArray[np.bool_], unit: Sequence[float]) -> NDArray[np.float32]:
    """Return each voxel's distance to the nearest voxel that is not interior; the stack's border is none.

    Where nothing bounds the interior, all distances are the stack's diagonal: nowhere is more central than elsewhere.
    """
    import edt

    if interior.all():
        diagonal = np.linalg.norm(np.multiply(interior.shape, unit))
        return np.full(interior.shape, diagonal, dtype=np.float32)
    distance: NDArray[np.float32] = edt.edt(
        np.ascontiguousarray(interior), anisotropy=tuple(unit), black_border=False, parallel=0
    )
    return distance


def height_map(boundary: NDArray[Any], distance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the surface that is flooded: ``a * boundary + (1 - a) * (1 - distance / max(distance))``.

    Without the distance, cells whose wall has a gap would meet wherever noise has it, and flat regions in the order in
    which an implementation happens to visit them; with it they meet at the narrowest place.
    """
    height = boundary.astype(np.float32)  # a copy: probabilities may come as float16, and are the caller's
    height *= BOUNDARY_WEIGHT
    deepest = float(distance.max())
    if deepest > 0:
        height -= np.float32((1.0 - BOUNDARY_WEIGHT) / deepest) * distance
    height += np.float32(1.0 - BOUNDARY_WEIGHT)
    return height


def _check_probabilities(foreground: NDArray[Any], boundary: NDArray[Any]) -> None:
    if foreground.shape != boundary.shape:
        raise ValueError(f"foreground has shape {foreground.shape}, boundary {boundary.shape}")
    for name, array in (("foreground", foreground), ("boundary", boundary)):
        if array.ndim != 3 or array.size == 0:
            raise ValueError(f"{name} must have three axes (z, y, x) with voxels; got shape {array.shape}")
        if array.dtype.kind != "f":
            raise ValueError(f"{name} must be floating point between 0 and 1, not {array.dtype}")
        low, high = float(array.min()), float(array.max())
        if not (-0.01 <= low and high <= 1.01):  # also catches NaN; splines overshoot a little
            raise ValueError(f"{name} must lie between 0 and 1; it spans {low:g} to {high:g}")
