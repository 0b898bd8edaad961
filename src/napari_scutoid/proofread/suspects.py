"""Every cell and every face with its probability of being wrong, kept up to date as edits are made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_scutoid.progress import Progress, within
from napari_scutoid.proofread.additive import probability
from napari_scutoid.proofread.change import cells_in
from napari_scutoid.proofread.features import Tissue, cell_features, face_features
from napari_scutoid.proofread.judge import Judge
from napari_scutoid.proofread.look import look, look_at, see, usual_step
from napari_scutoid.proofread.opinion import Opinion
from napari_scutoid.proofread.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.box import Box
    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.look import Look, Step
    from napari_scutoid.proofread.scene import Scene
    from napari_scutoid.volume import ArrayLike

_SURELY = 12.0


class Odds(NamedTuple):
    """Logarithmic odds of a cell's errors.

    Parameters
    ----------
    wrong, merged, invented : float
        As in `Judge`.
    added : ndarray of float
        What each feature adds to those of being wrong.
    """

    wrong: float
    merged: float
    invented: float
    added: NDArray[np.float64]


class Suspects:
    """How probable it is that each cell, and each face between two, is wrong.

    What is usual in the tissue is measured once, so that an edit changes the judgement of the cells it touches and of
    their neighbours only.
    """

    def __init__(self, judge: Judge, step: Step, opinions: tuple[Opinion, ...], tissue: Tissue) -> None:
        self.judge, self.tissue = judge, tissue
        self._step, self._opinions = step, opinions
        self._looks: dict[int, Look] = {}
        self._faces: dict[int, dict[int, float]] = {}
        self._odds: dict[int, Odds] = {}

    @classmethod
    def build(
        cls, of: Scene | Watch, opinions: Sequence[ArrayLike] = (), judge: Judge | None = None
    ) -> Steps[Suspects]:
        """Judge all cells.

        Parameters
        ----------
        of : Scene or Watch
            The labels with their index and evidence. Those of a watch may be edited meanwhile: what comes of it is
            about them as they are at the last report; only how coarsely to look is decided at the first.
        opinions : sequence of array-like of integers
            Other labels of the same stack, on its grid or a coarser one of the same extent: of another post-processing,
            of a flipped prediction. None are needed.
        judge : Judge, optional
            By default the packaged one.

        Yields
        ------
        Progress
            Once a cell.
        """
        watch = of if isinstance(of, Watch) else Watch(lambda: of)
        with watch.still() as scene:
            shape = scene.shape
        read = []
        for labels in opinions:
            read.append((yield from within(Opinion.read(labels, shape), Progress("Reading second opinions"))))
        judge = Judge.packaged(opinions=bool(read)) if judge is None else judge
        with watch.still() as scene:
            found = cls(judge, usual_step(scene.index), tuple(read), Tissue())
        scene = yield from found._look_at_all(watch)
        found.tissue = Tissue.of(found._looks, scene.index)
        cells = scene.index.cells.tolist()
        found._judge_faces(scene, cells)
        found._judge_cells(scene, cells)
        return found

    def _look_at_all(self, watch: Watch) -> Steps[Scene]:
        """Look at every cell, once more where an edit came after; return the scene that was looked at in the end."""
        around: dict[int, Box] = {}
        with watch.still() as scene:
            watch.changes()
            waiting = dict.fromkeys(scene.index.cells.tolist())
        number = 0
        while True:
            while waiting:
                yield Progress("Looking at cells", number, number + len(waiting))
                number, cell = number + 1, next(iter(waiting))
                with watch.still() as scene:
                    seen = see(scene, cell, self._step) if cell in scene.index else None
                    changes = watch.changes()
                waiting.update(dict.fromkeys(_affected(changes, around)))
                del waiting[cell]
                if seen is None:
                    self._looks.pop(cell, None)
                    around.pop(cell, None)
                else:
                    self._looks[cell], around[cell] = look(seen, scene, self._opinions), seen.around
            yield Progress("Judging cells")
            with watch.still() as scene:
                changes = watch.changes()
                if not changes:
                    return replace(scene, index=scene.index.copy())
            waiting.update(dict.fromkeys(_affected(changes, around)))

    def __len__(self) -> int:
        return len(self._odds)

    def __contains__(self, cell: object) -> bool:
        return cell in self._odds

    @property
    def cells(self) -> list[int]:
        """All cells, the most suspect first."""
        return sorted(self._odds, key=lambda cell: (-self._odds[cell].wrong, cell))

    def probability(self, cell: int) -> float:
        """Return how probable it is that a cell is wrong; this and all below raise KeyError where there is none."""
        return _probability(self._odds[cell].wrong)

    def face_probability(self, a: int, b: int) -> float:
        """Return how probable it is that no wall is between two cells that touch."""
        return _probability(self._faces[a][b])

    def look(self, cell: int) -> Look:
        """Return what a cell's voxels say of it."""
        return self._looks[cell]

    def odds(self, cell: int) -> Odds:
        """Return the logarithmic odds of a cell's errors."""
        return self._odds[cell]

    def update(self, scene: Scene, changed: Iterable[int]) -> list[int]:
        """Judge again what an edit may have changed, and return those cells that are there.

        Parameters
        ----------
        scene : Scene
            After the edit.
        changed : iterable of int
            Cells that won or lost voxels, those that are no more among them.
        """
        changed = {int(cell) for cell in changed if cell}
        there = {cell for cell in changed if cell in scene.index}
        touched = set(there)
        for cell in there:
            touched.update(scene.index.neighbours(cell))
        touched |= self._without_faces(changed)
        self.forget(changed - there)
        looked_at = sorted(there)
        for cell in looked_at:
            self._looks[cell] = look_at(scene, cell, self._step, self._opinions)
        for cell in looked_at:
            self._noted(cell, changed)
        # A cell that has not been looked at since it was made is judged once it has been.
        again = sorted(cell for cell in touched if cell in scene.index and cell in self._looks)
        self._judge_faces(scene, looked_at)
        self._judge_cells(scene, again)
        return again

    def forget(self, cells: Iterable[int]) -> set[int]:
        """Leave cells out that are no more, and return those that touched them, to be judged again."""
        gone = {int(cell) for cell in cells}
        for cell in gone:
            self._looks.pop(cell, None)
            self._odds.pop(cell, None)
        return self._without_faces(gone) - gone

    def _without_faces(self, cells: Iterable[int]) -> set[int]:
        """Forget the faces of cells, and return who had them."""
        touched = set()
        for cell in cells:
            for other in self._faces.pop(cell, {}):
                self._faces.get(other, {}).pop(cell, None)
                touched.add(other)
        return touched

    def _noted(self, cell: int, changed: set[int]) -> None:
        """Let the neighbours of a cell that was looked at know how faint their faces with it are now."""
        for other, faint in self._looks[cell].faint.items():
            if other in self._looks and other not in changed:
                self._looks[other].faint[cell] = faint

    def weakest_faces(self, cell: int) -> list[tuple[int, float]]:
        """Return a cell's neighbours and the logarithmic odds that no wall divides it from them, highest first."""
        odds = self._faces.get(cell, {})
        return sorted(odds.items(), key=lambda found: (-found[1], found[0]))

    def judged_by(self, scene: Scene, judge: Judge, *, opinions: bool = True) -> Suspects:
        """Return the same cells judged by another judge, or without second opinions; nothing is looked at again."""
        other = Suspects(judge, self._step, self._opinions if opinions else (), self.tissue)
        other._looks = {
            cell: replace(look, faint=dict(look.faint), overlaps=look.overlaps if opinions else ())
            for cell, look in self._looks.items()
        }
        other._judge_faces(scene, list(self._looks))
        other._judge_cells(scene, list(self._looks))
        return other

    def faces(self, scene: Scene, cells: Sequence[int]) -> tuple[list[tuple[int, int]], NDArray[np.float64]]:
        """Return the faces of cells, smaller id first, and what each is judged by, shape (n, features)."""
        known = self._looks
        near = ((a, b) for a in cells for b in scene.index.neighbours(a) if a in known and b in known)
        pairs = sorted({(min(a, b), max(a, b)) for a, b in near})
        surfaces = {cell: _surface(scene, cell) for cell in {cell for pair in pairs for cell in pair}}
        rows = []
        for a, b in pairs:
            contact = scene.index.contact(a, b)
            if contact is None:
                raise KeyError((a, b))
            one, two, sides = self._looks[a], self._looks[b], (surfaces[a], surfaces[b])
            # Beside an edit, one of the two was looked at before the face was what it is: see `_noted`.
            faint = one.faint.get(b, two.faint.get(a, contact.evidence))
            rows.append(face_features(one, two, contact, faint, sides, self.tissue))
        return pairs, np.array(rows).reshape(-1, len(self.judge.face.curves))

    def _judge_faces(self, scene: Scene, cells: Sequence[int]) -> None:
        pairs, rows = self.faces(scene, cells)
        odds = self.judge.face.log_odds(rows)
        for (a, b), value in zip(pairs, odds.tolist(), strict=True):
            self._faces.setdefault(a, {})[b] = value
            self._faces.setdefault(b, {})[a] = value

    def _judge_cells(self, scene: Scene, cells: Sequence[int]) -> None:
        rows = np.array([self.features(scene, cell) for cell in cells]).reshape(-1, len(self.judge.wrong.curves))
        added = self.judge.wrong.contributions(rows)
        wrong = self.judge.wrong.intercept + added.sum(axis=1)
        merged, invented = (model.log_odds(rows) for model in (self.judge.merged, self.judge.invented))
        odds = zip(wrong.tolist(), merged.tolist(), invented.tolist(), added, strict=True)
        self._odds.update(zip(cells, (Odds(*each) for each in odds), strict=True))

    def features(self, scene: Scene, cell: int) -> tuple[float, ...]:
        """Return what a cell is judged by; see `napari_scutoid.proofread.features`."""
        index = scene.index
        faces = [odds for _, odds in self.weakest_faces(cell)[:2]]
        first, second = (faces + [-_SURELY] * 2)[:2]
        beside = [index.voxels(other) for other in index.neighbours(cell)]
        return cell_features(
            self._looks[cell],
            (max(first, -_SURELY), max(second, -_SURELY)),
            beside,
            _surface(scene, cell),
            index.exposed(cell),
            index.touches_border(cell),
            self.tissue,
        )


def cells_of(changes: Iterable[Change]) -> set[int]:
    """Return the cells that won or lost voxels by changes."""
    found: set[int] = set()
    for change in changes:
        if change.labels is not None:
            found.update(*cells_in(change.labels))
    return found - {0}


def _affected(changes: Sequence[Change], around: Mapping[int, Box]) -> set[int]:
    """Return the cells that changes are about, and those around which one of them changed what was read."""
    boxes = [change.box for change in changes if change.box is not None]
    return cells_of(changes) | {cell for cell, read in around.items() if any(read.overlap(box).size for box in boxes)}


def _surface(scene: Scene, cell: int) -> float:
    contacts = scene.index.neighbours(cell).values()
    return float(sum(contact.faces for contact in contacts) + scene.index.exposed(cell))


def _probability(odds: float) -> float:
    return float(probability(np.array([odds]))[0])
