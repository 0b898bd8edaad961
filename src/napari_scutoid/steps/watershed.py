"""From foreground and boundary probabilities to regions that walls bound, by seeded watershed.

Distances are in *equivalent voxels*, the edge of a cube with the volume of one voxel, and settings are shares of the
typical cell's diameter or volume, which the walls themselves tell: one set of them serves cells of all sizes and voxels
of all shapes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_scutoid.progress import Progress
from napari_scutoid.steps.flood import flood
from napari_scutoid.steps.memo import AFRESH
from napari_scutoid.steps.tissue import STAGES, Stack, placed, separated, without_small_walls
from napari_scutoid.steps.walls import ball_volume, height_map, relative_spacing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Watershed
    from napari_scutoid.steps.flood import Backend
    from napari_scutoid.steps.memo import Memo
    from napari_scutoid.steps.tissue import Tissue
    from napari_scutoid.steps.walls import Unit
    from napari_scutoid.volume import ArrayLike


class Surface(Protocol):
    """Heights of voxels, float32: an array, or what makes them where they are asked for."""

    def __getitem__(self, key: tuple[slice, slice, slice], /) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """What walls bound: cells, or parts of cells.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
        One id per region, 0 elsewhere.
    height : Surface
        What was flooded, high on the walls.
    diameter : float
        Of a typical cell, in equivalent voxels.
    unit : tuple of 3 floats
        Voxel edges along z, y, x in equivalent voxels.
    shape : tuple of 3 ints, optional
        Of the stack, where this is a piece of one.
    """

    labels: NDArray[np.uint32]
    height: Surface
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
    check_probabilities(foreground, boundary, seeds)
    unit = relative_spacing(spacing)
    n = len(STAGES)
    tissue = yield from separated(foreground, boundary, settings, unit, stack or Stack(), memo)

    yield Progress(STAGES[2], 2, n)
    if settings.method == "components":
        yield Progress(STAGES[4], n - 1, n)
        return memo.stage("components", (tissue,), (), lambda: _components(tissue, boundary, unit))
    tissue = memo.stage(
        "walls", (tissue,), (settings.smallest_wall,), lambda: without_small_walls(tissue, settings, unit)
    )

    yield Progress(STAGES[3], 3, n)
    if seeds is None:
        starts = placed(tissue, settings, unit, memo, "seeds")
    else:
        starts = memo.stage(
            "seeds", (tissue, seeds), (settings.seed_threshold,), lambda: predicted_seeds(seeds, settings, tissue.mask)
        )

    yield Progress(STAGES[4], n - 1, n)
    return memo.stage(
        "growing",
        (tissue, starts),
        (settings.backend,),
        lambda: _grown(tissue, starts, boundary, settings.backend, unit),
    )


def measured_diameter(
    foreground: NDArray[Any],
    boundary: NDArray[Any],
    settings: Watershed,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    stack: Stack | None = None,
    memo: Memo = AFRESH,
) -> Steps[float]:
    """Return the diameter of a typical cell, in equivalent voxels; parameters as for `bounded_regions`."""
    tissue = yield from separated(foreground, boundary, settings, relative_spacing(spacing), stack or Stack(), memo)
    return tissue.diameter


def _components(tissue: Tissue, boundary: NDArray[Any], unit: Unit) -> Regions:
    import cc3d

    components = cc3d.connected_components(tissue.interior, connectivity=6, out_dtype=np.uint32)
    height = height_map(boundary, tissue.distance)
    return Regions(components.astype(np.uint32, copy=False), height, tissue.diameter, unit, tissue.shape)


def predicted_seeds(seeds: NDArray[Any], settings: Watershed, mask: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Return the numbered cores of cells that a model predicts."""
    import cc3d

    over = (seeds > settings.seed_threshold) & mask
    found = cc3d.connected_components(over, connectivity=6, out_dtype=np.uint32)
    starts: NDArray[np.uint32] = found.astype(np.uint32, copy=False)
    return starts


def _grown(tissue: Tissue, starts: NDArray[np.uint32], boundary: NDArray[Any], backend: Backend, unit: Unit) -> Regions:
    height = height_map(boundary, tissue.distance)  # not before the seeds: placing them is the peak of memory
    # A seed may lie on a speck of background: it grows from there, and the speck is taken out again.
    labels = flood(height, starts, tissue.mask | tissue.interior, backend)
    labels[~tissue.mask] = 0
    return Regions(labels, height, tissue.diameter, unit, tissue.shape)


def check_probabilities(foreground: NDArray[Any], boundary: NDArray[Any], seeds: NDArray[Any] | None) -> None:
    """Raise ValueError where maps do not fit each other or are no probabilities."""
    check_shapes(foreground, boundary, seeds)
    for name, array in (("foreground", foreground), ("boundary", boundary)):
        if array.dtype.kind != "f":
            raise ValueError(f"{name} must be floating point between 0 and 1, not {array.dtype}")
        low, high = float(array.min()), float(array.max())
        if not (-0.01 <= low and high <= 1.01):  # also catches NaN; splines overshoot a little
            raise ValueError(f"{name} must lie between 0 and 1; it spans {low:g} to {high:g}")


def check_shapes(foreground: ArrayLike, boundary: ArrayLike, seeds: ArrayLike | None) -> None:
    """Raise ValueError where maps do not fit each other; they need not be in memory."""
    if foreground.shape != boundary.shape:
        raise ValueError(f"foreground has shape {foreground.shape}, boundary {boundary.shape}")
    if seeds is not None and seeds.shape != boundary.shape:
        raise ValueError(f"seeds have shape {seeds.shape}, boundary {boundary.shape}")
    if len(boundary.shape) != 3 or 0 in boundary.shape:
        raise ValueError(f"boundary must have three axes (z, y, x) with voxels; got shape {boundary.shape}")
