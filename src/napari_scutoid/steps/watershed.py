"""From foreground and boundary probabilities to regions that walls bound, by seeded watershed.

Distances are in *equivalent voxels*, the edge of a cube with the volume of one voxel, and settings are shares of the
typical cell's diameter or volume, which the walls themselves tell: one set of them serves cells of all sizes and voxels
of all shapes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.progress import Progress
from napari_scutoid.steps.cleanup import label_sizes
from napari_scutoid.steps.flood import flood
from napari_scutoid.steps.seeds import place_seeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Watershed

BOUNDARY_WEIGHT = 0.9
"""Share of the boundary probability in the height map; the rest is nearness to a wall (elf's ``alpha``)."""

STAGES = (
    "Separating tissue from background",
    "Closing holes between walls",
    "Measuring distances to walls",
    "Placing seeds",
    "Growing cells",
)


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """What walls bound: cells, or parts of cells.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
        One id per region, 0 elsewhere.
    height : ndarray of float32, same shape
        The surface that was flooded, high on the walls.
    diameter : float
        Of a typical cell, in equivalent voxels.
    unit : tuple of 3 floats
        Voxel edges along z, y, x in equivalent voxels.
    """

    labels: NDArray[np.uint32]
    height: NDArray[np.float32]
    diameter: float
    unit: tuple[float, float, float]

    @property
    def cell_volume(self) -> float:
        """Of a typical cell, in voxels; see `ball_volume`."""
        return ball_volume(self.diameter, self.labels.shape, self.unit)


def bounded_regions(
    foreground: NDArray[Any],
    boundary: NDArray[Any],
    settings: Watershed,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    seeds: NDArray[Any] | None = None,
) -> Steps[Regions]:
    """Divide the tissue along its walls, by distance-transform watershed or by connected components.

    The watershed is that of PlantSeg [1]_ and elf [2]_: walls are the voxels above the boundary threshold, without
    specks; maxima of the smoothed distance to the nearest wall or background become seeds; they grow over a height map
    made of the boundary probability and a little of the distance, inside the foreground. A gap in a wall lets a
    connected component leak into the next cell, but hardly moves these maxima. The stack's border is no wall, so cells
    it cuts keep their seeds. Components are what boundaries separate completely, connected through faces: the walls
    stay 0, as the laboratory counts cells.

    Parameters
    ----------
    foreground, boundary : ndarray of float, shape (z, y, x)
        Probabilities, 0 to 1. Foreground is tissue with its walls, without lumen and outside.
    settings : Watershed
        Method, implementation, thresholds and seeds.
    spacing : sequence of 3 floats
        Voxel edges along z, y, x; only their ratio matters.
    seeds : ndarray of float, same shape, optional
        Probability of being a cell's core, where a model predicts that: replaces the maxima.

    Yields
    ------
    Progress
        One per stage.

    Returns
    -------
    Regions
        The same input gives the same result.

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
    _check_probabilities(foreground, boundary, seeds)
    unit = relative_spacing(spacing)
    n = len(STAGES)

    yield Progress(STAGES[0], 0, n)
    mask = foreground >= settings.foreground_threshold
    open_space = boundary <= settings.boundary_threshold
    interior = mask & open_space
    distance = wall_distance(interior, unit)
    diameter = typical_diameter(distance)

    yield Progress(STAGES[1], 1, n)
    if settings.closing < 1:
        closed = closed_tissue(mask, open_space, boundary, settings, unit, diameter)
        if closed is not mask:
            mask, interior = closed, closed & open_space
            distance = wall_distance(interior, unit)
            diameter = typical_diameter(distance)
    del open_space

    yield Progress(STAGES[2], 2, n)
    if settings.method == "components":
        import cc3d

        yield Progress(STAGES[4], n - 1, n)
        components = cc3d.connected_components(interior, connectivity=6, out_dtype=np.uint32)
        height = height_map(boundary, distance)
        return Regions(components.astype(np.uint32, copy=False), height, diameter, unit)

    interior, distance = _overlooking_specks(interior, distance, settings.smallest_wall, diameter, unit)
    yield Progress(STAGES[3], 3, n)
    if seeds is None:
        starts = _placed(distance, settings, diameter, unit)
    else:
        starts = _predicted(seeds, settings.seed_threshold, mask)
    height = height_map(boundary, distance)  # not before the seeds: placing them is the peak of memory
    del distance
    yield Progress(STAGES[4], n - 1, n)
    # A seed may lie on a speck of background: it grows from there, and the speck is taken out again.
    labels = flood(height, starts, mask | interior, settings.backend)
    labels[~mask] = 0
    return Regions(labels, height, diameter, unit)


def closed_tissue(
    mask: NDArray[np.bool_],
    open_space: NDArray[np.bool_],
    boundary: NDArray[Any],
    settings: Watershed,
    unit: tuple[float, float, float],
    diameter: float,
) -> NDArray[np.bool_]:
    """Return the tissue together with every space between walls that is mostly tissue.

    The network may see the walls of large cells and take their dark middles for a lumen. Walls know better: the stack
    is divided along them without regard to tissue, and each part is tissue throughout if enough of it is. A lumen and
    the outside stay what they are: walls part them from the tissue, and hardly any of them is predicted to be some.

    Parameters
    ----------
    mask, open_space : ndarray of bool, shape (z, y, x)
        What is tissue; what is no wall.
    boundary : ndarray of float, same shape
        Probability of walls.
    settings : Watershed
        Share that closes, and how seeds are placed.
    unit : tuple of 3 floats
        Voxel edges in equivalent voxels.
    diameter : float
        Of a typical cell, in equivalent voxels.

    Returns
    -------
    ndarray of bool, same shape
        The input itself where there is nothing to close.
    """
    if mask.all() or not mask.any():
        return mask
    _, distance = _overlooking_specks(
        open_space, wall_distance(open_space, unit), settings.smallest_wall, diameter, unit
    )
    # Every space of its own, however thin: one without a seed would be flooded, through its wall, by the cell beside.
    starts = _placed(distance, settings, diameter, unit, nearest=0.0)
    spaces = flood(height_map(boundary, distance), starts, np.ones(mask.shape, np.bool_), settings.backend)
    sizes, tissue = label_sizes(spaces), np.zeros(int(spaces.max()) + 1, np.int64)
    for plane, within_plane in zip(spaces, mask, strict=True):
        counts = np.bincount(plane[within_plane])
        tissue[: counts.size] += counts
    full = tissue >= settings.closing * np.maximum(sizes, 1)
    full[0] = False
    if np.array_equal(tissue[full], sizes[full]):
        return mask
    closed: NDArray[np.bool_] = mask | full[spaces]
    return closed


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
    inside = int(np.count_nonzero(distance))
    mean = float(distance.sum(dtype=np.float64)) / max(1, inside)
    return min(8.0 * mean, float(np.cbrt(distance.size)))


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


def _overlooking_specks(
    interior: NDArray[np.bool_],
    distance: NDArray[np.float32],
    smallest_wall: float,
    diameter: float,
    unit: tuple[float, float, float],
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return interior and distance without pieces of wall smaller than a share of the typical cell."""
    without = without_specks(interior, round(smallest_wall * ball_volume(diameter, interior.shape, unit)))
    return (interior, distance) if without is interior else (without, wall_distance(without, unit))


def _placed(
    distance: NDArray[np.float32],
    settings: Watershed,
    diameter: float,
    unit: tuple[float, float, float],
    nearest: float | None = None,
) -> NDArray[np.uint32]:
    return place_seeds(
        distance,
        sigma=settings.seed_sigma * diameter,
        smallest_distance=settings.seed_distance * diameter if nearest is None else nearest,
        prominence=settings.seed_prominence if settings.seeds == "prominent" else 0.0,
        height=settings.seed_height * diameter if settings.seeds == "h-maxima" else 0.0,
        unit=unit,
        backend=settings.backend,
    )


def _predicted(seeds: NDArray[Any], threshold: float, mask: NDArray[np.bool_]) -> NDArray[np.uint32]:
    import cc3d

    found = cc3d.connected_components((seeds > threshold) & mask, connectivity=6, out_dtype=np.uint32)
    starts: NDArray[np.uint32] = found.astype(np.uint32, copy=False)
    return starts


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


def _check_probabilities(foreground: NDArray[Any], boundary: NDArray[Any], seeds: NDArray[Any] | None) -> None:
    if foreground.shape != boundary.shape:
        raise ValueError(f"foreground has shape {foreground.shape}, boundary {boundary.shape}")
    if seeds is not None and seeds.shape != boundary.shape:
        raise ValueError(f"seeds have shape {seeds.shape}, boundary {boundary.shape}")
    for name, array in (("foreground", foreground), ("boundary", boundary)):
        if array.ndim != 3 or array.size == 0:
            raise ValueError(f"{name} must have three axes (z, y, x) with voxels; got shape {array.shape}")
        if array.dtype.kind != "f":
            raise ValueError(f"{name} must be floating point between 0 and 1, not {array.dtype}")
        low, high = float(array.min()), float(array.max())
        if not (-0.01 <= low and high <= 1.01):  # also catches NaN; splines overshoot a little
            raise ValueError(f"{name} must lie between 0 and 1; it spans {low:g} to {high:g}")
