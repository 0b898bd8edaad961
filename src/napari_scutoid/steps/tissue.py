"""What of a stack is tissue, how far its voxels are from a wall, and how large a typical cell is, as the walls tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.progress import Progress
from napari_scutoid.steps.by_label import label_sizes, looked_up
from napari_scutoid.steps.flood import flood
from napari_scutoid.steps.seeds import find_maxima, standing_out
from napari_scutoid.steps.walls import ball_volume, height_map, typical_diameter, wall_distance, without_specks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Watershed
    from napari_scutoid.steps.flood import Backend
    from napari_scutoid.steps.memo import Memo
    from napari_scutoid.steps.seeds import Maxima
    from napari_scutoid.steps.shape import SizePrior
    from napari_scutoid.steps.walls import Unit

STAGES = (
    "Separating tissue from background",
    "Closing holes between walls",
    "Measuring distances to walls",
    "Placing seeds",
    "Growing cells",
)
"""Of the way from probabilities to regions."""


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
    diameter : float, optional
        Of a typical cell in the stack, in equivalent voxels, where that was measured.
    """

    enlarged: float = 1.0
    shape: tuple[int, int, int] | None = None
    sizes: SizePrior | None = None
    diameter: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Tissue:
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


def separated(
    foreground: NDArray[Any], boundary: NDArray[Any], settings: Watershed, unit: Unit, stack: Stack, memo: Memo
) -> Steps[Tissue]:
    """Return the tissue, holes between walls closed; parameters as for `bounded_regions`."""

    def separate() -> Tissue:
        mask = foreground >= settings.foreground_threshold
        return measured(mask, mask & (boundary <= settings.boundary_threshold), unit, stack)

    yield Progress(STAGES[0], 0, len(STAGES))
    thresholds = settings.foreground_threshold, settings.boundary_threshold
    tissue = memo.stage("tissue", (foreground, boundary), (*thresholds, stack), separate)
    yield Progress(STAGES[1], 1, len(STAGES))
    return tissue if settings.closing >= 1 else closed(tissue, boundary, settings, unit, stack, memo)


def measured(mask: NDArray[np.bool_], interior: NDArray[np.bool_], unit: Unit, stack: Stack) -> Tissue:
    """Return the tissue of a mask; `interior` is what of it is no wall."""
    distance = wall_distance(interior, unit)
    diameter = stack.enlarged * typical_diameter(distance) if stack.diameter is None else stack.diameter
    return Tissue(mask, interior, distance, diameter, stack.shape or mask.shape)


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


def closed(tissue: Tissue, boundary: NDArray[Any], settings: Watershed, unit: Unit, stack: Stack, memo: Memo) -> Tissue:
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
    starts = placed(walls, settings, unit, memo, "space", nearest=0.0)
    spaces = memo.stage(
        "spaces", (walls, starts), (settings.backend,), lambda: _spaces(walls, starts, boundary, settings.backend)
    )

    def close() -> Tissue:
        full = spaces.tissue >= settings.closing * np.maximum(spaces.voxels, 1)
        full[0] = False
        if np.array_equal(spaces.tissue[full], spaces.voxels[full]):
            return tissue
        mask: NDArray[np.bool_] = tissue.mask | looked_up(full, spaces.space)
        return measured(mask, mask & (boundary <= settings.boundary_threshold), unit, stack)

    return memo.stage("closing", (tissue, spaces), (settings.closing,), close)


def _open_space(tissue: Tissue, boundary: NDArray[Any], settings: Watershed, unit: Unit) -> Tissue:
    """Return the stack as if all of it were tissue, its cells as large as those of the tissue."""
    space = boundary <= settings.boundary_threshold
    walls = Tissue(tissue.mask, space, wall_distance(space, unit), tissue.diameter, tissue.shape)
    return without_small_walls(walls, settings, unit)


def _spaces(walls: Tissue, starts: NDArray[np.uint32], boundary: NDArray[Any], backend: Backend) -> _Spaces:
    space = flood(height_map(boundary, walls.distance), starts, np.ones(walls.mask.shape, np.bool_), backend)
    voxels, tissue = label_sizes(space), np.zeros(int(space.max()) + 1, np.int64)
    for plane, within_plane in zip(space, walls.mask, strict=True):
        counts = np.bincount(plane[within_plane])
        tissue[: counts.size] += counts
    return _Spaces(space, voxels, tissue)


def without_small_walls(tissue: Tissue, settings: Watershed, unit: Unit) -> Tissue:
    """Return the tissue without pieces of wall smaller than a share of the typical cell."""
    smallest = round(settings.smallest_wall * ball_volume(tissue.diameter, tissue.shape, unit))
    interior = without_specks(tissue.interior, smallest)
    if interior is tissue.interior:
        return tissue
    return replace(tissue, interior=interior, distance=wall_distance(interior, unit))


def placed(
    tissue: Tissue, settings: Watershed, unit: Unit, memo: Memo, name: str, nearest: float | None = None
) -> NDArray[np.uint32]:
    """Return the seeds; `nearest` replaces the smallest distance to a wall of the settings."""
    found, limits = maxima(tissue, settings, unit, memo, name, nearest)
    return memo.stage(name, (found, tissue), tuple(limits.values()), lambda: standing_out(found, **limits))


def maxima(
    tissue: Tissue, settings: Watershed, unit: Unit, memo: Memo, name: str, nearest: float | None = None
) -> tuple[Maxima, dict[str, float]]:
    """Return the maxima of the distance, and what stands out of them, as `standing_out` asks for it."""
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
    return found, {"prominence": prominence, "height": height * tissue.diameter}
