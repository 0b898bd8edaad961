"""What is known of every cell without looking at the stack again: its size, place, box and contacts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_scutoid.box import Box
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.scene import Evidence

_SLAB_VOXELS = 2**23
_FIRST_ROWS = 2**10


class Contact(NamedTuple):
    """Where two cells touch.

    Parameters
    ----------
    faces : int
        Pairs of voxels, one of each cell, that share a face.
    evidence : float
        How much speaks for a wall between them, 0 to 1: the mean over those voxels.
    """

    faces: int
    evidence: float


class _Cell(NamedTuple):
    """Sums rather than means, so that what an edit takes away and adds leaves no rounding behind."""

    voxels: int
    sums: tuple[int, int, int]
    box: Box


class _Meeting(NamedTuple):
    faces: int
    walls: int  # the sum of both voxels' evidence, 0 to 510 a face


_APART = _Meeting(0, 0)


class _Tally(NamedTuple):
    cells: dict[int, _Cell]
    meetings: dict[tuple[int, int], _Meeting]

    def add(self, more: _Tally) -> None:
        """Add what another piece holds."""
        for cell, part in more.cells.items():
            self.cells[cell] = _joined(self.cells.get(cell), part)
        for pair, (faces, walls) in more.meetings.items():
            known = self.meetings.get(pair, _APART)
            self.meetings[pair] = _Meeting(known.faces + faces, known.walls + walls)


class CellIndex:
    """Voxels, centroid, box and contacts of every cell, kept up to date by the edits.

    Two voxels are in contact where they share a face; 0, which is no cell, is a partner but not a neighbour.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        """Make the index of a stack without cells."""
        z, y, x = shape
        self.shape = (int(z), int(y), int(x))
        self._cells: dict[int, _Cell] = {}
        self._meetings: dict[int, dict[int, _Meeting]] = {}
        self._ids: NDArray[np.uint32] | None = None

    @classmethod
    def build(cls, labels: NDArray[np.uint32], evidence: Evidence | None = None) -> Steps[CellIndex]:
        """Make the index of a stack, slab by slab.

        Parameters
        ----------
        labels : ndarray of uint32, shape (z, y, x)
            One id per cell, 0 elsewhere.
        evidence : Evidence, optional
            What speaks for walls; without it, all contacts have evidence 0.

        Yields
        ------
        Progress
            Once a slab.

        Returns
        -------
        CellIndex
        """
        if labels.ndim != 3 or labels.dtype != np.uint32:
            raise ValueError(f"labels must be uint32 with axes (z, y, x), not {labels.dtype} of shape {labels.shape}")
        index = cls(labels.shape)
        depth = index.shape[0]
        total = _Tally({}, {})
        for slab, planes in _slabs(Box.whole(index.shape)):
            yield Progress("Measuring cells", slab.start[0], depth)
            part = np.ascontiguousarray(labels[slab.slices])
            total.add(_tally(part, _walls(slab, evidence), slab, planes))
        index._cells = total.cells
        for pair, met in total.meetings.items():
            index._meet(pair, met)
        yield Progress("Measuring cells", depth, depth)
        return index

    def update(
        self, labels: NDArray[np.uint32], box: Box, before: NDArray[np.uint32], evidence: Evidence | None = None
    ) -> None:
        """Take a change into account.

        Parameters
        ----------
        labels : ndarray of uint32, shape (z, y, x)
            The labels after the change.
        box : Box
            What holds every voxel that changed.
        before : ndarray of uint32, shape of the box
            The values it held before.
        evidence : Evidence, optional
            The same that the index was built with.
        """
        if labels.shape != self.shape or before.shape != box.shape or not box.is_within(self.shape):
            raise ValueError(
                f"labels {labels.shape}, before {before.shape} and box {box} do not fit an index of {self.shape}"
            )
        was, now = _Tally({}, {}), _Tally({}, {})
        # Contacts reach one voxel further; what the margin holds counts before and after, and cancels.
        for slab, planes in _slabs(box.padded(1, self.shape)):
            walls = _walls(slab, evidence)
            after = np.ascontiguousarray(labels[slab.slices])
            old = after.copy()
            both = slab.overlap(box)
            if both.size:
                here, there = (both.shifted([-first for first in part.start]).slices for part in (slab, box))
                old[here] = before[there]
            was.add(_tally(old, walls, slab, planes))
            now.add(_tally(after, walls, slab, planes))
        self._ids = None
        for cell in was.cells.keys() | now.cells.keys():
            if was.cells.get(cell) != now.cells.get(cell):
                self._replace(labels, cell, was.cells.get(cell), now.cells.get(cell))
        for pair in was.meetings.keys() | now.meetings.keys():
            lost, won = was.meetings.get(pair, _APART), now.meetings.get(pair, _APART)
            if lost != won:
                self._meet(pair, _Meeting(won.faces - lost.faces, won.walls - lost.walls))

    def copy(self) -> CellIndex:
        """Return an index that stays as it is."""
        other = CellIndex(self.shape)
        other._cells = dict(self._cells)
        other._meetings = {cell: dict(met) for cell, met in self._meetings.items()}
        return other

    @property
    def cells(self) -> NDArray[np.uint32]:
        """The ids of all cells, in ascending order."""
        if self._ids is None:
            self._ids = np.array(sorted(self._cells), np.uint32)
            self._ids.flags.writeable = False
        return self._ids

    def __contains__(self, cell: object) -> bool:
        return cell in self._cells

    def __len__(self) -> int:
        return len(self._cells)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CellIndex):
            return NotImplemented
        return (self.shape, self._cells, self._meetings) == (other.shape, other._cells, other._meetings)

    __hash__ = None  # type: ignore[assignment]

    def voxels(self, cell: int) -> int:
        """Return how many voxels a cell has; this and all below raise KeyError where there is no such cell."""
        return self._cells[cell].voxels

    def box(self, cell: int) -> Box:
        """Return the smallest box that holds a cell."""
        return self._cells[cell].box

    def centroid(self, cell: int) -> tuple[float, float, float]:
        """Return the mean place of a cell's voxels (z, y, x), in voxels."""
        voxels, (z, y, x), _ = self._cells[cell]
        return z / voxels, y / voxels, x / voxels

    def touches_border(self, cell: int) -> bool:
        """Whether a cell reaches the stack's border."""
        box = self._cells[cell].box
        return 0 in box.start or any(stop == n for stop, n in zip(box.stop, self.shape, strict=True))

    def neighbours(self, cell: int) -> dict[int, Contact]:
        """Return the cells that a cell touches, by id, and how."""
        self._cells[cell]  # a cell without contacts is no error, one that is not there is
        return {other: _contact(met) for other, met in self._meetings.get(cell, {}).items() if other}

    def contact(self, a: int, b: int) -> Contact | None:
        """Return how two cells touch; None where they do not."""
        met = self._meetings.get(a, {}).get(b)
        return None if met is None else _contact(met)

    def exposed(self, cell: int) -> int:
        """Return how many faces of a cell's voxels lie on what is no cell; the stack's border does not count."""
        self._cells[cell]
        return self._meetings.get(cell, {}).get(0, _APART).faces

    def _meet(self, pair: tuple[int, int], more: _Meeting) -> None:
        for a, b in (pair, pair[::-1]):
            if a == 0:
                continue
            known = self._meetings.setdefault(a, {})
            faces, walls = known.get(b, _APART)
            if faces + more.faces:
                known[b] = _Meeting(faces + more.faces, walls + more.walls)
            else:
                del known[b]
            if not known:
                del self._meetings[a]

    def _replace(self, labels: NDArray[np.uint32], cell: int, lost: _Cell | None, won: _Cell | None) -> None:
        known = self._cells.get(cell)
        if known is None or lost is None:  # new, or seen for the first time in this box: nothing can have shrunk
            if won is not None:
                self._cells[cell] = _joined(known, won)
            return
        voxels, sums, box = known if won is None else _joined(known, won)
        voxels -= lost.voxels
        if not voxels:
            del self._cells[cell]
            return
        z, y, x = (a - b for a, b in zip(sums, lost.sums, strict=True))
        self._cells[cell] = _Cell(voxels, (z, y, x), _shrunk(labels, cell, box))


def _contact(met: _Meeting) -> Contact:
    return Contact(met.faces, met.walls / (510 * met.faces))


def _joined(known: _Cell | None, part: _Cell) -> _Cell:
    if known is None:
        return part
    z, y, x = (a + b for a, b in zip(known.sums, part.sums, strict=True))
    return _Cell(known.voxels + part.voxels, (z, y, x), known.box.union(part.box))


def _shrunk(labels: NDArray[np.uint32], cell: int, box: Box) -> Box:
    """Return a cell's box without the outer planes that hold nothing of it: only these are looked at."""
    first, stop = list(box.start), list(box.stop)
    for axis in range(3):
        for ends, step in ((first, 1), (stop, -1)):
            while stop[axis] - first[axis] > 1:
                cut = [slice(a, b) for a, b in zip(first, stop, strict=True)]
                outer = ends[axis] - (step < 0)
                cut[axis] = slice(outer, outer + 1)
                if (labels[tuple(cut)] == cell).any():
                    break
                ends[axis] += step
    return Box.between(first, stop)


def _walls(box: Box, evidence: Evidence | None) -> NDArray[np.uint8]:
    if evidence is None:
        return np.zeros(box.shape, np.uint8)
    return np.ascontiguousarray(evidence.boundary(box))


def _slabs(box: Box) -> Iterator[tuple[Box, int]]:
    """Cut a box into slabs of bounded size: each with the plane after it, and how many planes are its own."""
    depth, height, width = box.shape
    step = max(1, _SLAB_VOXELS // max(1, height * width))
    z, y, x = box.start
    for first in range(0, depth, step):
        planes = min(step, depth - first)
        yield Box((z + first, y, x), (min(planes + 1, depth - first), height, width)), planes


def _tally(part: NDArray[np.uint32], walls: NDArray[np.uint8], box: Box, planes: int) -> _Tally:
    """Add up what a piece of the stack holds; only its first planes count, and their contacts with the next."""
    from napari_scutoid.proofread.index_compiled import tally

    rows = _FIRST_ROWS
    while True:
        ids, pairs = np.zeros(rows, np.uint64), np.zeros(8 * rows, np.uint64)
        cells, faces = np.zeros((rows, 10), np.int64), np.zeros((8 * rows, 2), np.int64)
        if tally(part, walls, planes, ids, cells, pairs, faces):
            break
        rows *= 4
    found = np.flatnonzero(ids)
    by_id = zip(ids[found].tolist(), cells[found].tolist(), strict=True)
    met = np.flatnonzero(pairs)
    by_pair = zip(pairs[met].tolist(), faces[met].tolist(), strict=True)
    return _Tally(
        {cell: _placed(sums, box.start) for cell, sums in by_id},
        {(key >> 32, key & 0xFFFFFFFF): _Meeting(n, walls) for key, (n, walls) in by_pair},
    )


def _placed(found: list[int], origin: tuple[int, int, int]) -> _Cell:
    """Return what was found in a piece, in the stack's coordinates."""
    voxels, first, last = found[0], found[4:7], found[7:10]
    z, y, x = (total + voxels * offset for total, offset in zip(found[1:4], origin, strict=True))
    return _Cell(voxels, (z, y, x), Box.between(first, (n + 1 for n in last)).shifted(origin))
