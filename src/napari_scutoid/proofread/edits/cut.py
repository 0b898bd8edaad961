"""Divides a cell along a line that is drawn in one slice and followed into the others."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.edits.pieces import divided, grown, one_cell, wall_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.edits.polygon import Axis, Vertices
    from napari_scutoid.proofread.scene import Scene

_STEP = 0.25
_TAIL = 4.0
"""Length of the line's end that tells where it goes on, in voxels: the last point of a freehand line says little."""
_WALL = 1.5
"""Voxels by which the cut may lie beside the middle of a wall: what it may move, beside how far a wall leans."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Divide a cell along a line drawn in a slice.

    Beyond its ends, the line goes straight on. In each next slice the cut may move as far as the slices are apart, and
    takes the way along which most speaks for a wall; where nothing does, it stays where it was. So a wall that leans by
    up to 45 degrees is followed.

    Parameters
    ----------
    cell : int
        The cell.
    axis : {0, 1, 2}
        Across which the slice lies.
    position : int
        Which slice it is.
    line : tuple of (float, float)
        Corners of the line in voxels, along the slice's two axes in their order in (z, y, x).
    follow : bool
        Whether walls are followed; else the line becomes a surface straight through all slices.
    """

    cell: int
    axis: Axis
    position: int
    line: Vertices
    follow: bool = True

    def plan(self, scene: Scene) -> Change:
        """Return the change: the largest piece keeps the id, and each piece hangs together.

        Raises
        ------
        ScutoidError
            When the slice or the line misses the cell, or it is not there or accepted.
        """
        box, inside = one_cell(scene, self.cell)
        sections = np.moveaxis(inside, self.axis, 0)
        k = self.position - box.start[self.axis]
        if not 0 <= k < len(sections) or not sections[k].any():
            raise _missed(self.cell, "is not in this slice")
        in_plane = [axis for axis in range(3) if axis != self.axis]
        line = np.asarray(self.line, np.float64).reshape(-1, 2) - [box.start[axis] for axis in in_plane]
        edges = [scene.spacing[axis] for axis in in_plane]
        sides = np.empty(sections.shape, np.uint32)
        sides[k] = self._halves(sections[k], line, edges)
        if self.follow:
            levels = wall_levels(scene.evidence.boundary(box), scene.spacing)
            height = scene.spacing[self.axis]
            _follow(sides, k, sections, np.moveaxis(levels, self.axis, 0), height, edges)
        else:
            sides[:] = sides[k]
        parts = np.where(inside, np.moveaxis(sides, 0, self.axis), np.uint32(0))
        told = {
            "axis": self.axis,
            "position": self.position,
            "line": [[float(c) for c in corner] for corner in self.line],
            "follow": self.follow,
        }
        return divided(scene, self.cell, box, parts, "cut", told)

    def _halves(self, section: NDArray[np.bool_], line: NDArray[np.float64], edges: list[float]) -> NDArray[np.uint32]:
        """Return 1 and 2 for the two sides of the line in the whole slice."""
        import cc3d

        places = np.rint(_prolonged(line, sum(section.shape))).astype(np.int64) if len(line) > 1 else line[:0]
        places = places[np.all((places >= 0) & (places < section.shape), axis=1)]
        free = np.ones(section.shape, np.bool_)
        free[tuple(places.astype(np.int64).T)] = False
        found: NDArray[Any] = cc3d.connected_components(free, connectivity=4)
        share = np.bincount(found[section], minlength=3)
        share[0] = 0
        largest = np.argsort(-share, kind="stable")[:2]
        if share[largest].min() == 0:
            raise _missed(self.cell, "is not crossed by the line")
        seeds = np.zeros(section.shape, np.uint32)
        for number, side in enumerate(np.sort(largest), 1):
            seeds[found == side] = number
        halves: NDArray[np.uint32] = grown(None, seeds[None], seeds[None] == 0, (1.0, *edges))[0]
        return halves


def _missed(cell: int, why: str) -> ScutoidError:
    return ScutoidError(f"Cell {cell} was not cut", f"it {why}", "draw the line right across the cell")


def _prolonged(line: NDArray[np.float64], far: float) -> NDArray[np.float64]:
    """Return places along a line that goes straight on at both ends, less than half a voxel apart."""
    ends = []
    for end, others in ((line[0], line), (line[-1], line[::-1])):
        away = np.linalg.norm(others - end, axis=1)
        inner = others[int(np.argmax(away >= min(_TAIL, away.max())))]
        direction = end - inner
        ends.append(end + far * direction / max(float(np.linalg.norm(direction)), 1e-9))
    corners = np.vstack([ends[0], line, ends[1]])
    pieces = []
    for start, stop in pairwise(corners):
        n = int(np.abs(stop - start).max() / _STEP) + 2
        pieces.append(np.linspace(start, stop, n))
    return np.concatenate(pieces)


def _follow(
    sides: NDArray[np.uint32],
    k: int,
    sections: NDArray[np.bool_],
    levels: NDArray[np.uint8],
    height: float,
    edges: Sequence[float],
) -> None:
    """Fill in the sides slice by slice, from the one where the line was drawn."""
    import edt

    band = height + _WALL * max(edges)
    for step in (1, -1):
        last = len(sides) if step > 0 else -1
        for i in range(k + step, last, step):
            near = sides[i - step]
            to_first, to_second = (
                edt.edt(np.ascontiguousarray(near != side), anisotropy=tuple(edges), black_border=False)
                for side in (1, 2)
            )
            settled = np.maximum(to_first, to_second) > band
            if not settled.any():
                sides[i] = near
                continue
            seeds = np.where(settled, np.where(to_first < to_second, 1, 2), 0).astype(np.uint32)
            # Walls of other cells say nothing, and there is no way around a wall outside the cell.
            found = grown(levels[i][None], seeds[None], (~settled & sections[i])[None], (height, *edges))
            sides[i] = grown(None, found, found == 0, (height, *edges))[0]
