"""Divides a cell between places that the user marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.edits.pieces import divided, grown, one_cell, wall_levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.box import Box
    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.scene import Scene

Points: TypeAlias = tuple[tuple[float, float, float], ...]

_SNAP = 4
"""Voxels by which a click may miss the cell."""
_MOST_TOLD = 200


@dataclass(frozen=True, slots=True)
class Split:
    """Divide a cell between two or more marks, by seeded watershed on the evidence for walls.

    Marks grow over low evidence first; where nothing tells them apart, a voxel goes to the nearest mark. The same marks
    always give the same pieces.

    Parameters
    ----------
    cell : int
        The cell.
    marks : tuple of tuples of points
        For each piece the voxels (z, y, x) of a click or a scribble. Parts of a scribble beside the cell do not count.
    """

    cell: int
    marks: tuple[Points, ...]

    def plan(self, scene: Scene) -> Change:
        """Return the change: the largest piece keeps the id, and each piece hangs together.

        Raises
        ------
        ScutoidError
            When there are fewer than two marks, one misses the cell, two share a voxel and nothing else, or the cell
            is not there or accepted.
        """
        if len(self.marks) < 2:
            raise ScutoidError(
                f"Cell {self.cell} cannot be split", "there is one mark, or none", "click on each of its parts"
            )
        box, inside = one_cell(scene, self.cell)
        seeds = np.zeros(box.shape, np.uint32)
        for number, points in enumerate(self.marks, 1):
            self._mark(seeds, inside, box, points, number)
        lost = [n for n in range(1, len(self.marks) + 1) if not (seeds == n).any()]
        if lost:
            raise ScutoidError(
                f"Cell {self.cell} cannot be split",
                f"mark {lost[0]} is covered by another",
                "set the marks farther apart",
            )
        levels = wall_levels(scene.evidence.boundary(box), scene.spacing)
        parts = grown(levels, seeds, inside & (seeds == 0), scene.spacing)
        told = {"marks": [[[float(c) for c in point] for point in points[:_MOST_TOLD]] for points in self.marks]}
        return divided(scene, self.cell, box, parts, "split", told)

    def _mark(
        self, seeds: NDArray[np.uint32], inside: NDArray[np.bool_], box: Box, points: Points, number: int
    ) -> None:
        """Note a mark's voxels; one that just misses the cell is moved into it."""
        places = np.rint(np.asarray(points, np.float64).reshape(-1, 3)).astype(np.int64) - box.start
        within = places[np.all((places >= 0) & (places < box.shape), axis=1)]
        hits = within[inside[tuple(within.T)]]
        if not len(hits) and len(places):
            cell = np.argwhere(inside)
            away = np.abs(cell - places[0]).max(axis=1)
            hits = cell[[int(np.argmin(away))]] if away.min() <= _SNAP else hits
        if not len(hits):
            raise ScutoidError(
                f"Cell {self.cell} cannot be split", f"mark {number} lies beside it", "click inside the cell"
            )
        seeds[tuple(hits.T)] = number
