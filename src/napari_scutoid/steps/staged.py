"""Cells made again and again from the same probabilities, with other settings: only what a change reaches runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_scutoid.steps.cells import cells_from_probabilities
from napari_scutoid.steps.memo import Remembering
from napari_scutoid.steps.watershed import measured_diameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.steps.cells import Cells
    from napari_scutoid.steps.tissue import Stack


class StagedCells:
    """What `cells_from_probabilities` returns, for one setting after another.

    What each stage made stays in memory, about 60 bytes a voxel: for a piece of a stack.

    Parameters
    ----------
    foreground, boundary, spacing, seeds, voxel_volume_um3, stack
        As for `cells_from_probabilities`; the maps must not change.
    """

    def __init__(
        self,
        foreground: NDArray[Any],
        boundary: NDArray[Any],
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        *,
        seeds: NDArray[Any] | None = None,
        voxel_volume_um3: float | None = None,
        stack: Stack | None = None,
    ) -> None:
        self._foreground, self._boundary, self._seeds = foreground, boundary, seeds
        self._spacing, self._voxel_volume_um3, self._stack = tuple(spacing), voxel_volume_um3, stack
        self._memo = Remembering()

    def cells(self, recipe: Recipe) -> Steps[Cells]:
        """Return the cells that these settings give; a job that is cancelled leaves what it has made to the next one.

        Parameters
        ----------
        recipe : Recipe
            Its parts `watershed`, `partition` and `cleanup`.

        Yields
        ------
        Progress
            As `cells_from_probabilities`; less where less runs.
        """
        return cells_from_probabilities(
            self._foreground,
            self._boundary,
            recipe,
            self._spacing,
            seeds=self._seeds,
            voxel_volume_um3=self._voxel_volume_um3,
            stack=self._stack,
            memo=self._memo,
        )

    def diameter(self, recipe: Recipe) -> Steps[float]:
        """Return the diameter of a typical cell, in equivalent voxels, for which no cells need be made.

        Parameters and progress are those of `cells`.
        """
        return measured_diameter(
            self._foreground, self._boundary, recipe.watershed, self._spacing, self._stack, self._memo
        )
