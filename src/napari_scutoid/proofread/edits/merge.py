"""Makes one cell of several, and tells which face the pointer is on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.change import Change, Difference
from napari_scutoid.proofread.edits.guards import check_known
from napari_scutoid.proofread.edits.region import LARGEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_scutoid.proofread.index import CellIndex, Contact
    from napari_scutoid.proofread.scene import Scene

_REACH = 3
_MOST_TOLD = 5


@dataclass(frozen=True, slots=True)
class Merge:
    """Make one cell of several.

    Parameters
    ----------
    cells : tuple of int
        At least two ids; the largest cell's stays.
    """

    cells: tuple[int, ...]

    def plan(self, scene: Scene) -> Change:
        """Return the change; it holds only the cells that vanish.

        Raises
        ------
        ScutoidError
            When fewer than two cells are named, one is not there or accepted, or they lie too far apart.
        """
        cells = sorted(set(map(int, self.cells)))
        if len(cells) < 2:
            raise ScutoidError("Nothing can be merged", "one cell is chosen, or none", "choose two cells or more")
        for cell in cells:
            check_known(scene, cell)
        kept = max(cells, key=lambda cell: (scene.index.voxels(cell), -cell))
        gone = [cell for cell in cells if cell != kept]
        box = box_of(scene, gone)
        before = scene.labels[box.slices]
        mask = np.isin(before, np.array(gone, np.uint32)) if len(gone) > 1 else before == gone[0]
        labels = Difference.between(box, before, np.where(mask, np.uint32(kept), before))
        contact = scene.index.contact(*cells) if len(cells) == 2 else None
        told = {"cells": cells, "kept": kept, "evidence": None if contact is None else contact.evidence}
        return Change("merge", f"Merge {named(cells)}", told, labels)

    def warning(self, scene: Scene) -> str | None:
        """Return the question to ask before it is done: cells that do not touch make no cell in one piece."""
        cells = set(map(int, self.cells))
        if not all(cell in scene.index for cell in cells) or len(cells) < 2:
            return None
        apart = cells - _hanging_together(scene.index, cells)
        if not apart:
            return None
        farther = sorted(apart, key=scene.index.voxels)
        return f"{opening(farther)} would lie apart from the rest: nothing touches there."


def face_at(scene: Scene, point: Sequence[float], reach: int = _REACH) -> tuple[int, int, Contact] | None:
    """Return the two cells whose shared face is nearest to a place, and how they touch.

    Parameters
    ----------
    scene : Scene
    point : sequence of 3 floats
        In voxels (z, y, x).
    reach : int
        How many voxels away a face may be.

    Returns
    -------
    tuple of (smaller id, larger id, contact), or None
        None where no two cells meet so near.
    """
    centre = np.rint(np.asarray(point, np.float64)).astype(int)
    box = Box.between(centre - reach, centre + reach + 1).overlap(Box.whole(scene.shape))
    if not box.size:
        return None
    part, nearest = scene.labels[box.slices], []
    for axis in range(3):
        along = np.moveaxis(part, axis, 0)
        near, far = along[:-1], along[1:]
        places = np.argwhere((near != far) & (near > 0) & (far > 0))
        if not len(places):
            continue
        pairs = [(int(near[tuple(place)]), int(far[tuple(place)])) for place in places]
        middle = np.insert(places[:, 1:].astype(float), axis, places[:, 0] + 0.5, axis=1) + box.start
        away = np.linalg.norm((middle - np.asarray(point)) * np.asarray(scene.spacing), axis=1)
        best = int(np.argmin(away))
        nearest.append((float(away[best]), *sorted(pairs[best])))
    if not nearest:
        return None
    _, a, b = min(nearest)
    contact = scene.index.contact(int(a), int(b))
    return None if contact is None else (int(a), int(b), contact)


def box_of(scene: Scene, cells: Sequence[int]) -> Box:
    """Return the box that holds all of some cells; refused where several span too much of the stack."""
    box = scene.index.box(cells[0])
    for cell in cells[1:]:
        box = box.union(scene.index.box(cell))
    if len(cells) > 1 and box.size > LARGEST:
        raise ScutoidError(
            f"{opening(cells)} cannot be changed in one go",
            f"together they span {' x '.join(map(str, box.shape))} voxels",
            "take cells that lie near each other",
        )
    return box


def named(cells: Sequence[int]) -> str:
    """Return cells in words: the first ones, and how many more."""
    words = [str(cell) for cell in cells[:_MOST_TOLD]]
    if len(cells) > _MOST_TOLD:
        words.append(f"{len(cells) - _MOST_TOLD} more")
    if len(words) == 1:
        return f"cell {words[0]}"
    return f"cells {', '.join(words[:-1])} and {words[-1]}"


def opening(cells: Sequence[int]) -> str:
    """Return cells in words, as a sentence begins with them."""
    words = named(cells)
    return words[0].upper() + words[1:]


def _hanging_together(index: CellIndex, cells: set[int]) -> set[int]:
    """Return the cells that the largest of them touches, directly or through others of them."""
    reached: set[int] = set()
    waiting = [max(cells, key=index.voxels)]
    while waiting:
        cell = waiting.pop()
        if cell not in reached:
            reached.add(cell)
            waiting += [other for other in index.neighbours(cell) if other in cells]
    return reached
