"""From foreground and boundary probabilities to regions that walls bound, by seeded watershed.

Distances are in *equivalent voxels*, the edge of a cube with the volume of one voxel, and settings are shares of the
typical cell's diameter or volume, which the walls themselves tell: one set of them serves cells of all sizes and voxels
of all shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.progress import Progress
from napari_scutoid.steps.cleanup import label_sizes
from napari_scutoid.steps.flood import flood
from napari_scutoid.steps.memo import AFRESH
from napari_scutoid.steps.seeds import find_maxima, standing_out
from napari_scutoid.steps.walls import (
    ball_volume,
    height_map,
    relative_spacing,
    typical_diameter,
    wall_distance,
    without_specks,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Watershed
    from napari_scutoid.steps.flood import Backend
    from napari_scutoid.steps.memo import Memo
    from napari_scutoid.steps.shape import SizePrior
    from napari_scutoid.steps.walls import Unit

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
    shape : tuple of 3 ints, optional
        Of the stack, where this is a piece of one.
    """

    labels: NDArray[np.uint32]
    height: NDArray[np.float32]
    diameter: float
    unit: Unit
    shape: tuple[int, ...] | None = None

    @property
    def cell_volume(self) -> float:
        """Of a typical cell, in voxels; see `ball_volume`."""
        return ball_volume(self.diameter, self.shape or self.labels.shape, self.unit)


def bounded_regions(
    foreground: NDArray[Any],
    boundary: NDArray[Any],
    settings: Watershed,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    seeds: NDArray[Any] | None = None,
    stack: Stack | None = None,
    memo: Memo = AFRESH,
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
    stack : Stack, optional
        Of which the maps are a piece.
    memo : Memo
        What remembers stages; by default nothing does.

    Yields
    ------
    Progress
        One per stage that is run.

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
    tissue = yield from _separated(foreground, boundary, settings, unit, stack or Stack(), memo)

    yield Progress(STAGES[2], 2, n)
    if settings.method == "components":
        yield Progress(STAGES[4], n - 1, n)
        return memo.stage("components", (tissue,), (), lambda: _components(tissue, boundary, unit))
    tissue = memo.stage("walls", (tissue,), (settings.smallest_wall,), lambda: _without_specks(tissue, settings, unit))

    yield Progress(STAGES[3], 3, n)
    if seeds is None:
        starts = _placed(tissue, settings, unit, memo, "seeds")
    else:
        starts = memo.stage(
            "seeds", (tissue, seeds), (settings.seed_threshold,), lambda: _predicted(seeds, settings, tissue.mask)
        )

    yield Progress(STAGES[4], n - 1, n)
    return memo.stage(
        "growing",
        (tissue, starts),
        (settings.backend,),
        lambda: _grown(tissue, starts, boundary, settings.backend, unit),
    )


@dataclass(frozen=True, slots=True)
class Stack:
    """What a piece of a stack cannot tell of the whole.

    Parameters
    ----------
    enlarged : float
        Diameter of a typical cell in the stack over that in the piece, with the same settings.
    shape : tuple of 3 ints, optional
        Of the stack.
    sizes : SizePrior, optional
        Of the cells in the stack.
    """

    enlarged: float = 1.0
    shape: tuple[int, int, int] | None = None
    sizes: SizePrior | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Tissue:
    """What is tissue, and how far its voxels are from a wall.

    Parameters
    ----------
    mask, interior : ndarray of bool, shape (z, y, x)
        Tissue with its walls, and without.
    distance : ndarray of float32, same shape
        See `wall_distance`.
    diameter : float
        Of a typical cell, in equivalent voxels.
    shape : tuple of 3 ints
        Of the stack that this is, or is a piece of.
    """

    mask: NDArray[np.bool_]
    interior: NDArray[np.bool_]
    distance: NDArray[np.float32]
    diameter: float
    shape: tuple[int, ...]


def measured_diameter(
    foreground: NDArray[Any],
    boundary: NDArray[Any],
    settings: Watershed,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    stack: Stack | None = None,
    memo: Memo = AFRESH,
) -> Steps[float]:
    """Return the diameter of a typical cell, in equivalent voxels; parameters as for `bounded_regions`."""
    tissue = yield from _separated(foreground, boundary, settings, relative_spacing(spacing), stack or Stack(), memo)
    return tissue.diameter


def _separated(
    foreground: NDArray[Any], boundary: NDArray[Any], settings: Watershed, unit: Unit, stack: Stack, memo: Memo
) -> Steps[_Tissue]:
    def separate() -> _Tissue:
        mask = foreground >= settings.foreground_threshold
        return _measured(mask, mask & (boundary <= settings.boundary_threshold), unit, stack)

    yield Progress(STAGES[0], 0, len(STAGES))
    thresholds = settings.foreground_threshold, settings.boundary_threshold
    tissue = memo.stage("tissue", (foreground, boundary), (*thresholds, stack), separate)
    yield Progress(STAGES[1], 1, len(STAGES))
    return tissue if settings.closing >= 1 else _closed(tissue, boundary, settings, unit, stack, memo)


def _measured(mask: NDArray[np.bool_], interior: NDArray[np.bool_], unit: Unit, stack: Stack) -> _Tissue:
    distance = wall_distance(interior, unit)
    return _Tissue(mask, interior, distance, stack.enlarged * typical_diameter(distance), stack.shape or mask.shape)


@dataclass(frozen=True, slots=True, eq=False)
class _Spaces:
    """What walls alone divide a stack into.

    Parameters
    ----------
    space : ndarray of uint32, shape (z, y, x)
        The number of each space.
    voxels, tissue : ndarray of int64, shape (n + 1,)
        Voxels of each space, and how many of them are tissue.
    """

    space: NDArray[np.uint32]
    voxels: NDArray[np.int64]
    tissue: NDArray[np.int64]


def _closed(
    tissue: _Tissue, boundary: NDArray[Any], settings: Watershed, unit: Unit, stack: Stack, memo: Memo
) -> _Tissue:
    """Return the tissue together with every space between walls that is mostly tissue.

    The network may see the walls of large cells and take their dark middles for a lumen. Walls know better: the stack
    is divided along them without regard to tissue, and each part is tissue throughout if enough of it is. A lumen and
    the outside stay what they are: walls part them from the tissue, and hardly any of them is predicted to be some.
    """
    if tissue.mask.all() or not tissue.mask.any():
        return tissue
    walls = memo.stage(
        "open space", (tissue,), (settings.smallest_wall,), lambda: _open_space(tissue, boundary, settings, unit)
    )
    # Every space of its own, however thin: one without a seed would be flooded, through its wall, by the cell beside.
    starts = _placed(walls, settings, unit, memo, "space", nearest=0.0)
    spaces = memo.stage(
        "spaces", (walls, starts), (settings.backend,), lambda: _spaces(walls, starts, boundary, settings.backend)
    )

    def close() -> _Tissue:
        full = spaces.tissue >= settings.closing * np.maximum(spaces.voxels, 1)
        full[0] = False
        if np.array_equal(spaces.tissue[full], spaces.voxels[full]):
            return tissue
        mask: NDArray[np.bool_] = tissue.mask | full[spaces.space]
        return _measured(mask, mask & (boundary <= settings.boundary_threshold), unit, stack)

    return memo.stage("closing", (tissue, spaces), (settings.closing,), close)


def _open_space(tissue: _Tissue, boundary: NDArray[Any], settings: Watershed, unit: Unit) -> _Tissue:
    """Return the stack as if all of it were tissue, its cells as large as those of the tissue."""
    space = boundary <= settings.boundary_threshold
    walls = _Tissue(tissue.mask, space, wall_distance(space, unit), tissue.diameter, tissue.shape)
    return _without_specks(walls, settings, unit)


def _spaces(walls: _Tissue, starts: NDArray[np.uint32], boundary: NDArray[Any], backend: Backend) -> _Spaces:
    space = flood(height_map(boundary, walls.distance), starts, np.ones(walls.mask.shape, np.bool_), backend)
    voxels, tissue = label_sizes(space), np.zeros(int(space.max()) + 1, np.int64)
    for plane, within_plane in zip(space, walls.mask, strict=True):
        counts = np.bincount(plane[within_plane])
        tissue[: counts.size] += counts
    return _Spaces(space, voxels, tissue)


def _components(tissue: _Tissue, boundary: NDArray[Any], unit: Unit) -> Regions:
    import cc3d

    components = cc3d.connected_components(tissue.interior, connectivity=6, out_dtype=np.uint32)
    height = height_map(boundary, tissue.distance)
    return Regions(components.astype(np.uint32, copy=False), height, tissue.diameter, unit, tissue.shape)


def _without_specks(tissue: _Tissue, settings: Watershed, unit: Unit) -> _Tissue:
    """Return the tissue without pieces of wall smaller than a share of the typical cell."""
    smallest = round(settings.smallest_wall * ball_volume(tissue.diameter, tissue.shape, unit))
    interior = without_specks(tissue.interior, smallest)
    if interior is tissue.interior:
        return tissue
    return replace(tissue, interior=interior, distance=wall_distance(interior, unit))


def _placed(
    tissue: _Tissue, settings: Watershed, unit: Unit, memo: Memo, name: str, nearest: float | None = None
) -> NDArray[np.uint32]:
    """Return the seeds; `nearest` replaces the smallest distance to a wall of the settings."""
    share = settings.seed_distance if nearest is None else nearest
    prominence = settings.seed_prominence if settings.seeds == "prominent" else 0.0
    height = settings.seed_height if settings.seeds == "h-maxima" else 0.0
    with_passes = prominence > 0 or height > 0
    found = memo.stage(
        f"{name}: maxima",
        (tissue,),
        (settings.seed_sigma, share, with_passes, settings.backend),
        lambda: find_maxima(
            tissue.distance,
            sigma=settings.seed_sigma * tissue.diameter,
            smallest_distance=share * tissue.diameter,
            with_passes=with_passes,
            unit=unit,
            backend=settings.backend,
        ),
    )
    return memo.stage(
        name,
        (found, tissue),
        (prominence, height),
        lambda: standing_out(found, prominence=prominence, height=height * tissue.diameter),
    )


def _predicted(seeds: NDArray[Any], settings: Watershed, mask: NDArray[np.bool_]) -> NDArray[np.uint32]:
    import cc3d

    over = (seeds > settings.seed_threshold) & mask
    found = cc3d.connected_components(over, connectivity=6, out_dtype=np.uint32)
    starts: NDArray[np.uint32] = found.astype(np.uint32, copy=False)
    return starts


def _grown(
    tissue: _Tissue, starts: NDArray[np.uint32], boundary: NDArray[Any], backend: Backend, unit: Unit
) -> Regions:
    height = height_map(boundary, tissue.distance)  # not before the seeds: placing them is the peak of memory
    # A seed may lie on a speck of background: it grows from there, and the speck is taken out again.
    labels = flood(height, starts, tissue.mask | tissue.interior, backend)
    labels[~tissue.mask] = 0
    return Regions(labels, height, tissue.diameter, unit, tissue.shape)


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
