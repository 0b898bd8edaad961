"""A proofreader that knows the truth and corrects with the program's own edits alone, as a person would with patience.

At each suspect it takes what is proposed where that helps; else it merges the pieces of one true cell, clicks or
scribbles into the parts of several, deletes what is no cell, and draws what nothing else brings about. It accepts what
is right, and unlocks it where an edit needs it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.metrics import count_overlaps, judge
from napari_scutoid.proofread.change import Change, cells_in
from napari_scutoid.proofread.edits.add import Add, AddPolygons
from napari_scutoid.proofread.edits.delete import Delete
from napari_scutoid.proofread.edits.merge import Merge
from napari_scutoid.proofread.edits.split import Split
from napari_scutoid.proofread.edits.states import Unlock
from napari_scutoid.proofread.edits.stroke import Paint
from napari_scutoid.proofread.scene import Guards

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from napari_scutoid.proofread.reasons import Suspect
    from napari_scutoid.proofread.review import Review
    from napari_scutoid.proofread.scene import Edit

MATCHED = 0.5
SECTIONS = (3, 5, 9)
"""Slices in which a cell is drawn, more where fewer do not match it; the shape is interpolated between them."""
MOST_LOOKS = 20
"""Looks a cell: a program that goes round in circles is to be noticed, not waited for."""
_ROUNDS = 6
_SPECK, _ONE_VOXEL = 20, 1e-3
_PART = 0.25
"""Share of a true cell, or of the present one, that makes it worth a mark."""
_DRAWN = Guards(outside=True, lumen=True, other_cells=True)


class Proofreader:
    """Works through a review until every true cell is matched and no cell is invented.

    Parameters
    ----------
    review : Review
        Of the session that is corrected.
    truth : ndarray of integers, shape (z, y, x)
        The true cells.

    Attributes
    ----------
    operations : Counter
        What was done, by kind; each polygon and each unlocking counts.
    looks, accepted : int
        Suspects shown, and cells accepted.
    """

    def __init__(self, review: Review, truth: NDArray[Any]) -> None:
        self.review, self.session, self.truth = review, review.session, truth
        self.sizes = np.bincount(truth.ravel())
        self.operations: Counter[str] = Counter()
        self.looks = self.accepted = self.taken = 0
        self._boxes = dict(self._found_boxes())

    def work(self) -> None:
        """Go through the suspects, then add what is still missing."""
        most = MOST_LOOKS * max(1, len(self.session.index))
        while self.looks < most and (shown := self._next()) is not None:
            self.looks += 1
            for _ in range(4):
                if shown.cell not in self.session.index or self._settled(shown.cell):
                    break
                if not self._corrected(shown.cell):
                    break
                if shown.cell in self.session.index:
                    shown = self.review.show(shown.cell)
            if self.review.current is not None and shown.cell in self.session.index:
                if self._matched(shown.cell):
                    self.review.accept()
                    self.accepted += 1
                else:
                    self.review.skip()
        for _ in range(_ROUNDS):
            if not self._finished():
                break

    def _next(self) -> Suspect | None:
        while self.review.look_again():  # as the window does while its user looks
            pass
        return self.review.next()

    def missing(self) -> list[int]:
        """Return the true cells that are not matched."""
        side = judge(count_overlaps(self.session.labels, self.truth)).truth
        return [cell for cell, verdict in side.by_id().items() if verdict != "matched"]

    def invented(self) -> list[int]:
        """Return the present cells that match no true one."""
        side = judge(count_overlaps(self.session.labels, self.truth)).prediction
        return [cell for cell, verdict in side.by_id().items() if verdict != "matched"]

    def _finished(self) -> bool:
        """Remove what is no cell, draw what is missing; return whether anything was done."""
        wrong, lacking = self.invented(), self.missing()
        for cell in wrong:
            if cell in self.session.index and not self._matched(cell):
                self._do(Delete((cell,)))
        for true in lacking:
            if not self._is_matched(true):
                self._draw(true)
        return bool(wrong or lacking)

    def _settled(self, cell: int) -> bool:
        """Whether a cell is right, and nothing beside it is a piece of the same true one."""
        if not self._matched(cell):
            return False
        return len(self._pieces(cell)) < 2

    def _corrected(self, cell: int) -> bool:
        """Do one thing about a cell; return whether anything was."""
        for edit in self._ideas(cell):
            worth = self._worth(edit)
            if worth is not None and worth > 0:
                if edit is getattr(self.review.current, "fix", None):
                    self.taken += 1
                return self._do(edit)
        return False

    def _ideas(self, cell: int) -> Iterator[Edit]:
        """Yield what might help, the least work first."""
        shown = self.review.current
        if shown is not None and shown.cell == cell and shown.fix is not None:
            yield shown.fix
        pieces = self._pieces(cell)
        if len(pieces) > 1:
            yield Merge(tuple(pieces))
        parts = self._parts(cell)
        if len(parts) > 1:
            yield Split(cell, tuple((_deepest(part),) for part in parts))
            yield Split(cell, tuple(_scribble(part) for part in parts))
        if not self._matched(cell):
            main = self._main(cell)
            if main and self._is_matched(main):
                yield Delete((cell,), to="neighbours")
            yield Delete((cell,))

    def _worth(self, edit: Edit) -> float | None:
        """Return how many more right cells and fewer wrong ones an edit leaves, and a little for better fitting ones.

        None where it is not possible. Cells that a change does not touch count on neither side.
        """
        locked = self._locked_by(edit)
        scene = self.session.scene()
        try:
            change = _unlocked(scene, locked, edit)
        except ScutoidError:
            return None
        if change.labels is None:
            return None
        lost, won = (cells - {0} for cells in cells_in(change.labels))
        box = change.labels.box
        for cell in lost | won:
            if cell in self.session.index:
                box = box.union(self.session.index.box(cell))
        before = self.session.labels[box.slices]
        after = before.copy()
        part = after[change.labels.box.shifted([-i for i in box.start]).slices]
        part[change.labels.where()] = change.labels.values()[1]
        return self._score(after, box, lost | won) - self._score(before, box, lost | won)

    def _score(self, labels: NDArray[np.uint32], box: Box, cells: Iterable[int]) -> float:
        """Return right cells minus wrong ones, and a hundredth of the right ones' IoU."""
        truth, score = self.truth[box.slices], 0.0
        for cell in cells:
            under = np.bincount(truth[labels == cell])
            n = int(under.sum())
            if n:
                under[0] = 0
                best = float((under / (n + self.sizes[: len(under)] - under)).max())
                score += 1 + 0.01 * best if best > MATCHED else -1
        return score

    def _do(self, edit: Edit) -> bool:
        locked = [cell for cell in self._locked_by(edit) if self.session.scene().state(cell).accepted]
        if locked:
            self.session.do(Unlock(tuple(locked)))
            self.operations["unlock"] += 1
        try:
            change = self.session.do(edit)
        except ScutoidError:
            return False
        polygons = len(edit.polygons) if isinstance(edit, AddPolygons) else 1
        self.operations[change.kind] += polygons
        return not change.is_empty

    def _locked_by(self, edit: Edit) -> list[int]:
        """Return the accepted cells that an edit would change."""
        cells = getattr(edit, "cells", None) or (getattr(edit, "cell", 0),)
        found = [int(cell) for cell in cells if cell]
        if isinstance(edit, AddPolygons | Paint):
            found = self._drawn_over
        return [cell for cell in found if cell in self.session.index and self.session.scene().state(cell).accepted]

    def _draw(self, true: int) -> None:
        """Add a true cell: by one click where that is enough, else by polygons."""
        box = self._boxes[true]
        inside = self.truth[box.slices] == true
        free = inside & (self.session.labels[box.slices] == 0)
        if free.sum() > MATCHED * inside.sum():
            point = _deepest(np.argwhere(free) + box.start)
            edit: Edit = Add((point,), diameter=None)
            if (self._worth(edit) or 0) > 0 and self._do(edit) and self._is_matched(true):
                return
        under, counts = np.unique(self.session.labels[box.slices][inside], return_counts=True)
        self._drawn_over = [int(cell) for cell in under[counts > 0] if cell]
        if inside.sum() <= _SPECK:  # what the stack's border leaves of a cell is too small for polygons
            centres = tuple((float(z), float(y), float(x)) for z, y, x in np.argwhere(inside) + box.start)
            self._do(Paint(self.session.next_id, centres, _ONE_VOXEL, guards=_DRAWN))
            return
        for sections in SECTIONS:
            polygons = _polygons(inside, box, sections)
            if not polygons:
                continue
            edit = AddPolygons(0, polygons, grow=False, guards=_DRAWN)
            if sections == SECTIONS[-1] or (self._worth(edit) or 0) > 0:
                self._do(edit)
                return

    def _under(self, cell: int) -> dict[int, int]:
        """Return the voxels that a cell shares with each true one, 0 included."""
        box = self.session.index.box(cell)
        ids, counts = np.unique(self.truth[box.slices][self.session.labels[box.slices] == cell], return_counts=True)
        return dict(zip(ids.tolist(), counts.tolist(), strict=True))

    def _main(self, cell: int) -> int:
        under = self._under(cell)
        true = max(under, key=lambda one: under[one])
        return true if 2 * under[true] > self.session.index.voxels(cell) else 0

    def _matched(self, cell: int) -> bool:
        n = self.session.index.voxels(cell)
        return any(
            true and shared / (n + self.sizes[true] - shared) > MATCHED for true, shared in self._under(cell).items()
        )

    def _is_matched(self, true: int) -> bool:
        box = self._boxes[true]
        inside = self.truth[box.slices] == true
        return any(
            self._main_fit(cell, true) > MATCHED for cell in np.unique(self.session.labels[box.slices][inside]).tolist()
        )

    def _main_fit(self, cell: int, true: int) -> float:
        if not cell:
            return 0.0
        shared = self._under(cell).get(true, 0)
        return float(shared / (self.session.index.voxels(cell) + self.sizes[true] - shared))

    def _pieces(self, cell: int) -> list[int]:
        """Return the cells that lie mainly in the same true cell as this one, and hang together with it."""
        main = self._main(cell)
        found, waiting = [cell], [cell]
        while main and waiting:
            for other in self.session.index.neighbours(waiting.pop()):
                if other not in found and self._main(other) == main:
                    found.append(other)
                    waiting.append(other)
        return found

    def _parts(self, cell: int) -> list[NDArray[np.intp]]:
        """Return the places of the true cells of which a cell holds much, the largest first."""
        box, under = self.session.index.box(cell), self._under(cell)
        n = self.session.index.voxels(cell)
        worth = [true for true, shared in under.items() if true and shared > _PART * min(self.sizes[true], n)]
        here = self.session.labels[box.slices] == cell
        worth.sort(key=lambda true: -under[true])
        return [np.argwhere(here & (self.truth[box.slices] == true)) + box.start for true in worth]

    def _found_boxes(self) -> Iterator[tuple[int, Box]]:
        from scipy.ndimage import find_objects

        for number, slices in enumerate(find_objects(self.truth.astype(np.int32)), 1):
            if slices is not None:
                yield number, Box.between([s.start for s in slices], [s.stop for s in slices])


def _unlocked(scene: Any, cells: list[int], edit: Edit) -> Change:
    """Plan an edit as if some cells were not accepted."""
    from dataclasses import replace

    if not cells:
        return edit.plan(scene)
    states = {cell: state for cell, state in scene.states.items() if cell not in cells}
    return edit.plan(replace(scene, states=states))


def _deepest(places: NDArray[np.intp]) -> tuple[float, float, float]:
    """Return a place as far from the surface of a part as there is one."""
    z, y, x = (float(i) for i in places[int(np.argmax(_depth(places)))])
    return z, y, x


def _scribble(places: NDArray[np.intp]) -> tuple[tuple[float, float, float], ...]:
    """Return places along the middle of a part: those deeper than most."""
    depth = _depth(places)
    deep = places[depth >= max(1.5, 0.6 * float(depth.max()))]
    deep = deep if len(deep) else places[depth == depth.max()]
    return tuple((float(z), float(y), float(x)) for z, y, x in deep[:: max(1, len(deep) // 200)])


def _depth(places: NDArray[np.intp]) -> NDArray[np.float32]:
    import edt

    first = places.min(axis=0) - 1
    mask = np.zeros(places.max(axis=0) - first + 2, np.bool_)
    inner = tuple((places - first).T)
    mask[inner] = True
    depth: NDArray[np.float32] = edt.edt(mask, black_border=True)[inner]
    return depth


def _polygons(
    inside: NDArray[np.bool_], box: Box, sections: int
) -> tuple[tuple[int, tuple[tuple[float, float], ...]], ...]:
    """Return a cell's outlines in some of its slices."""
    from skimage.measure import approximate_polygon, find_contours

    slices = np.flatnonzero(inside.any(axis=(1, 2)))
    chosen = np.unique(slices[np.linspace(0, len(slices) - 1, min(sections, len(slices))).round().astype(int)])
    found = []
    for z in chosen.tolist():
        contours = find_contours(np.pad(inside[z], 1).astype(np.float32), 0.5)
        if not contours:
            continue
        outline = approximate_polygon(max(contours, key=len), 0.4)[:-1] - 1 + np.array(box.start[1:])
        if len(outline) >= 3:
            found.append((z + box.start[0], tuple((float(y), float(x)) for y, x in outline)))
    return tuple(found)
