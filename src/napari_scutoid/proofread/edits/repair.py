"""Small repairs of a cell: holes, loose pieces, ragged walls, and gaps to its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.change import Change, Difference
from napari_scutoid.proofread.edits.guards import PAINTING, check_known, gaps, lumen_in
from napari_scutoid.proofread.edits.merge import box_of, named
from napari_scutoid.proofread.edits.pieces import editable, grown, one_cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.box import Box
    from napari_scutoid.proofread.scene import Guards, Scene

_LUMEN = np.uint32(2**32 - 1)
"""Stands for lumen where holes are looked for: one with lumen in it is none."""
_TRIES = 4
_TRUNCATE = 3.0


@dataclass(frozen=True, slots=True)
class FillHoles:
    """Give a cell the background that it alone encloses, without lumen."""

    cell: int

    def plan(self, scene: Scene) -> Change:
        """Return the change; empty where there are no holes. ScutoidError where the cell is unknown or accepted."""
        from napari_scutoid.steps.cleanup import fill_holes

        box, _ = one_cell(scene, self.cell)
        before = scene.labels[box.slices]
        closed = np.where((before == 0) & lumen_in(scene, box), _LUMEN, before)
        holes = (fill_holes(closed) == self.cell) & (before == 0)
        return _changed(
            "fill holes", f"Fill holes of cell {self.cell}", {"cell": self.cell}, box, before, holes, self.cell
        )


@dataclass(frozen=True, slots=True)
class KeepLargest:
    """Keep a cell's largest piece, and give the others away.

    Parameters
    ----------
    cell : int
        The cell; its pieces are connected through faces.
    to : {"neighbours", "background"}
        What the other pieces become: part of the cell that each shares most faces with, or no cell. Accepted cells get
        none.
    """

    cell: int
    to: Literal["neighbours", "background"] = "neighbours"

    def plan(self, scene: Scene) -> Change:
        """Return the change; empty where the cell is in one piece.

        Raises
        ------
        ScutoidError
            When the cell is not there or accepted.
        """
        import cc3d

        box, inside = one_cell(scene, self.cell)
        before = scene.labels[box.slices]
        found: NDArray[Any] = cc3d.connected_components(inside, connectivity=6)
        sizes = np.bincount(found.ravel())
        sizes[0] = 0
        owner = np.zeros(len(sizes), np.uint32)
        if self.to == "neighbours":
            owner = _closest(found, np.where(inside, np.uint32(0), editable(scene, before)), len(sizes))
        owner[int(np.argmax(sizes))] = self.cell
        after = np.where(inside, owner[found], before)
        told = {"cell": self.cell, "to": self.to, "pieces": int(np.count_nonzero(sizes))}
        title = f"Keep the largest piece of cell {self.cell}"
        return Change("keep largest", title, told, Difference.between(box, before, after))


@dataclass(frozen=True, slots=True)
class Smooth:
    """Smooth a cell's surface: each voxel near it goes to the cell that most of its surroundings belong to.

    Parameters
    ----------
    cell : int
        The cell.
    sigma : float
        Of the Gaussian that tells what the surroundings are, in edges of the smallest voxel side; micrometres along
        all axes alike.
    guards : Guards
        What may change beside the cell. By default walls to other cells move, and those to lumen and outside stay.
    """

    cell: int
    sigma: float = 1.5
    guards: Guards = PAINTING

    def plan(self, scene: Scene) -> Change:
        """Return the change; it is gentler where the cell would come apart.

        Raises
        ------
        ScutoidError
            When sigma is not positive, the cell is not there or accepted, or comes apart however gently it is smoothed.
        """
        if not 0 < self.sigma <= 100:
            raise ScutoidError(
                "The cell cannot be smoothed", f"the strength is {self.sigma:g}", "choose one between 0 and 100"
            )
        check_known(scene, self.cell)
        told = {"cell": self.cell, "sigma": self.sigma}
        for attempt in range(_TRIES):
            sigma = [self.sigma / 2**attempt * min(scene.spacing) / edge for edge in scene.spacing]
            box = scene.index.box(self.cell).padded([int(np.ceil(_TRUNCATE * s)) + 1 for s in sigma], scene.shape)
            before = scene.labels[box.slices]
            after = self._smoothed(scene, box, sigma)
            if _n_pieces(after == self.cell) in range(1, _n_pieces(before == self.cell) + 1):
                return Change("smooth", f"Smooth cell {self.cell}", told, Difference.between(box, before, after))
        raise ScutoidError(f"Cell {self.cell} cannot be smoothed", "it is so thin that it would come apart", "paint it")

    def _smoothed(self, scene: Scene, box: Box, sigma: list[float]) -> NDArray[np.uint32]:
        from scipy.ndimage import gaussian_filter

        before = scene.labels[box.slices]
        lumen = lumen_in(scene, box)
        free = (before > 0) & ~scene.is_locked(before)
        if not self.guards.other_cells:
            free &= before == self.cell
        if self.guards.outside:
            free |= (before == 0) & ~lumen
        if self.guards.lumen:
            free |= (before == 0) & lumen
        share = np.full(before.shape, -1, np.float32)
        after = before.copy()
        for cell in map(int, np.unique(before[free])):
            mine = gaussian_filter((before == cell).astype(np.float32), sigma, truncate=_TRUNCATE)
            larger = free & (mine > share)
            share[larger], after[larger] = mine[larger], cell
        # Between two other cells nothing changes: this is about one.
        after = np.where((before == self.cell) | (after == self.cell), after, before)
        for cell, lost in zip(*np.unique(before[after != before], return_counts=True), strict=True):
            if cell not in (0, self.cell) and lost == scene.index.voxels(int(cell)):  # smoothing deletes no cell
                after[before == cell] = cell
        return after


@dataclass(frozen=True, slots=True)
class GrowIntoGaps:
    """Let cells grow into the background between them, each voxel to the nearest.

    A gap is background that a closing of the tissue by a ball fills: what is open to the outside stays outside, as
    beyond the stack's border. The lumen stays lumen.

    Parameters
    ----------
    cells : tuple of int
        Which may grow.
    distance : float
        Half of how wide a gap may be, in the units of the spacing; no cell grows farther than across such a gap.
    """

    cells: tuple[int, ...]
    distance: float

    def plan(self, scene: Scene) -> Change:
        """Return the change; empty where there are no gaps.

        Raises
        ------
        ScutoidError
            When no cell is named, one is not there or accepted, they span too much, or the distance is not positive.
        """
        import edt

        cells = sorted(set(map(int, self.cells)))
        if not cells or not 0 < self.distance < np.inf:
            raise ScutoidError(
                "No gap can be filled",
                "no cell is chosen" if not cells else f"the distance is {self.distance:g}",
                "choose cells and a distance above 0",
            )
        for cell in cells:
            check_known(scene, cell)
        margin = [int(2 * self.distance / edge) + 1 for edge in scene.spacing]
        box = box_of(scene, cells).padded(margin, scene.shape)
        before = scene.labels[box.slices]
        mine = np.isin(before, np.array(cells, np.uint32))
        near = edt.edt(~mine, anisotropy=tuple(map(float, scene.spacing)), parallel=0) <= 2 * self.distance
        taken = grown(None, np.where(mine, before, 0), near & gaps(scene, box, self.distance), scene.spacing)
        told = {"cells": cells, "distance": self.distance}
        return _changed("grow into gaps", f"Fill gaps around {named(cells)}", told, box, before, taken > 0, taken)


def _changed(
    kind: str,
    title: str,
    told: dict[str, Any],
    box: Box,
    before: NDArray[np.uint32],
    where: NDArray[np.bool_],
    to: int | NDArray[np.uint32],
) -> Change:
    after = np.where(where, np.asarray(to, np.uint32), before)
    return Change(kind, title, told, Difference.between(box, before, after))


def _closest(found: NDArray[Any], others: NDArray[np.uint32], n: int) -> NDArray[np.uint32]:
    """Return for each piece the id, other than 0, that it shares most faces with; 0 where there is none."""
    pairs = []
    for axis in range(3):
        piece, other = np.moveaxis(found, axis, 0), np.moveaxis(others, axis, 0)
        for a, b in ((piece[:-1], other[1:]), (piece[1:], other[:-1])):
            touch = (a > 0) & (b > 0)
            pairs.append(np.stack([a[touch].astype(np.int64), b[touch].astype(np.int64)], axis=1))
    met, faces = np.unique(np.concatenate(pairs), axis=0, return_counts=True)
    owner = np.zeros(n, np.uint32)
    # Ascending, so that the largest contact is written last, and among equals the smallest id.
    for i in np.lexsort((-met[:, 1], faces)):
        owner[met[i, 0]] = met[i, 1]
    return owner


def _n_pieces(mask: NDArray[np.bool_]) -> int:
    import cc3d

    return int(cc3d.connected_components(np.ascontiguousarray(mask), connectivity=6, return_N=True)[1])
