"""Takes cells away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.change import Change, Difference
from napari_scutoid.proofread.edits.guards import check_known
from napari_scutoid.proofread.edits.merge import box_of, named, opening
from napari_scutoid.proofread.edits.pieces import editable, grown, wall_levels

if TYPE_CHECKING:
    from napari_scutoid.proofread.scene import Scene


@dataclass(frozen=True, slots=True)
class Delete:
    """Take cells away.

    Parameters
    ----------
    cells : tuple of int
        Their ids.
    to : {"background", "neighbours"}
        What their voxels become: no cell, or part of the neighbours from which no wall divides them. Accepted
        neighbours get none.
    """

    cells: tuple[int, ...]
    to: Literal["background", "neighbours"] = "background"

    def plan(self, scene: Scene) -> Change:
        """Return the change.

        Raises
        ------
        ScutoidError
            When no cell is named, one is not there or accepted, or there is no neighbour to give it to.
        """
        cells = sorted(set(map(int, self.cells)))
        if not cells:
            raise ScutoidError("Nothing can be deleted", "no cell is chosen", "choose a cell")
        for cell in cells:
            check_known(scene, cell)
        box = box_of(scene, cells)
        if self.to == "neighbours":
            box = box.padded(1, scene.shape)
        before = scene.labels[box.slices]
        mask = np.isin(before, np.array(cells, np.uint32)) if len(cells) > 1 else before == cells[0]
        if self.to == "neighbours":
            levels = wall_levels(scene.evidence.boundary(box), scene.spacing)
            after = np.where(mask, grown(levels, editable(scene, before), mask, scene.spacing), before)
            if (after[mask] == 0).all():
                raise ScutoidError(
                    f"{opening(cells)} cannot be given to neighbours",
                    "no cell that is not accepted touches it",
                    "delete to background, or unlock a neighbour",
                )
        else:
            after = np.where(mask, np.uint32(0), before)
        told = {"cells": cells, "to": self.to}
        return Change("delete", f"Delete {named(cells)}", told, Difference.between(box, before, after))
