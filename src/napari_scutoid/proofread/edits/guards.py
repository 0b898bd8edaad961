"""What painting may change: accepted cells never, the rest as the user's guards say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.change import Change, Difference
from napari_scutoid.proofread.scene import LARGEST_ID, Guards

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_scutoid.proofread.scene import Scene

Target: TypeAlias = int | Literal["lumen"]
"""What voxels become: a cell, 0 for outside, or the lumen."""

LUMEN: Literal["lumen"] = "lumen"
OUTSIDE = 0
PAINTING = Guards(other_cells=True)
"""As in the laboratory's window: a stroke moves walls between cells, and spills neither out nor into the lumen."""

MOSTLY = 0.5
"""Share of a cell, or of its section, from which replacing it needs a question."""

GAP = 0.15
"""Largest half-width of a gap between cells, in typical diameters; wider ones are outside the tissue."""

_SAMPLE = 256
"""Cells whose median size is taken for that of all."""

_REFUSALS = {
    "accepted": ("belongs to accepted cells", "unlock the cells first"),
    "lumen": ("lies in the lumen", "switch on changing the lumen"),
    "outside": ("lies outside the tissue", "switch on changing what is outside the tissue"),
    "other cells": ("belongs to other cells", "switch on changing other cells"),
}


class Canvas:
    """A copy of a box on which an edit paints; the guards and the locks hold.

    Parameters
    ----------
    scene : Scene
    box : Box
        Where the edit paints.
    guards : Guards
        What it may change.
    """

    def __init__(self, scene: Scene, box: Box, guards: Guards) -> None:
        self._scene, self._box, self._guards = scene, box, guards
        self.labels: NDArray[np.uint32] = scene.labels[box.slices].copy()
        self.lumen: NDArray[np.bool_] = lumen_in(scene, box).copy()
        self._locked = scene.is_locked(self.labels)
        self._refused: dict[str, int] = {}

    def paint(self, mask: NDArray[np.bool_], target: Target) -> None:
        """Turn voxels of the box into a cell, the lumen or outside, where that is allowed.

        An eraser that may not change other cells is about the one that it covers most of.

        Raises
        ------
        ScutoidError
            When the target is an accepted cell, or no id.
        """
        cell = 0 if target == LUMEN else check_cell(self._scene, target)
        is_lumen = target == LUMEN
        todo = mask & ((self.labels != cell) | (self.lumen != is_lumen))
        about = cell if cell or is_lumen else self._most_covered(todo)
        for name, protected in self._protected(todo, about, target).items():
            refused = todo & protected
            if n := int(np.count_nonzero(refused)):
                self._refused[name] = self._refused.get(name, 0) + n
                todo &= ~protected
        self.labels[todo] = cell
        self.lumen[todo] = is_lumen

    def change(
        self, kind: str, title: str, parameters: Mapping[str, Any], focus: tuple[float, float, float] | None = None
    ) -> Change:
        """Return what was painted; how many voxels were refused, and why, is added to the parameters.

        Raises
        ------
        ScutoidError
            When all of it was refused.
        """
        labels = Difference.between(self._box, self._scene.labels[self._box.slices], self.labels)
        lumen = Difference.between(self._box, lumen_in(self._scene, self._box), self.lumen)
        if labels is None and lumen is None and self._refused:
            reasons = [f"{self._refused[name]} voxels of it {_REFUSALS[name][0]}" for name in self._refused]
            remedies = [_REFUSALS[name][1] for name in self._refused]
            raise ScutoidError("Nothing was changed", ", ".join(reasons), ", or ".join(remedies))
        told = {**parameters, "protected": dict(self._refused)} if self._refused else parameters
        return Change(kind, title, told, labels, lumen, focus=focus)

    def _protected(self, todo: NDArray[np.bool_], about: int, target: Target) -> dict[str, NDArray[np.bool_]]:
        guards = self._guards
        protected = {"accepted": self._locked}
        if not guards.lumen and target != LUMEN:
            protected["lumen"] = self.lumen
        if not guards.other_cells:
            protected["other cells"] = (self.labels > 0) & (self.labels != about)
        if not guards.outside and about and target != OUTSIDE:
            empty = (self.labels == 0) & ~self.lumen
            protected["outside"] = empty & ~self._gaps(todo & empty)
        return protected

    def _most_covered(self, mask: NDArray[np.bool_]) -> int:
        ids, counts = np.unique(self.labels[mask & ~self._locked & (self.labels > 0)], return_counts=True)
        return int(ids[np.argmax(counts)]) if len(ids) else 0

    def _gaps(self, asked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which empty voxels lie in gaps between cells, as far as it is asked."""
        found = np.zeros(asked.shape, np.bool_)
        inner = Box.of(asked)
        if inner is not None:
            width = max(GAP * typical_diameter(self._scene), 1.5 * min(self._scene.spacing))
            found[inner.slices] = gaps(self._scene, inner.shifted(self._box.start), width)
        return found


def gaps(scene: Scene, box: Box, width: float) -> NDArray[np.bool_]:
    """Return which empty voxels of a box lie between cells: those that a closing of the tissue holds.

    Parameters
    ----------
    scene : Scene
        Lumen counts as tissue.
    box : Box
        Where; as much around it is read as decides.
    width : float
        Of the ball that closes, the radius: half of how wide a gap may be, in the units of the spacing.
    """
    import edt

    spacing = tuple(map(float, scene.spacing))
    margin = [int(2 * width / edge) + 2 for edge in spacing]
    around = box.padded(margin, scene.shape)
    empty = (scene.labels[around.slices] == 0) & ~lumen_in(scene, around)
    if empty.all():
        return np.zeros(box.shape, np.bool_)
    # Beyond the stack things go on as at its border, or a strip of background there would be a gap.
    cut = [np.subtract(box.start, around.start), np.subtract(around.stop, box.stop)]
    empty = np.pad(empty, np.subtract(margin, cut).T, mode="edge")
    wide = edt.edt(empty, anisotropy=spacing, parallel=0) > width
    inner = Box((margin[0], margin[1], margin[2]), box.shape).slices
    found: NDArray[np.bool_] = empty[inner]
    if wide.any():
        found &= edt.edt(~wide, anisotropy=spacing, parallel=0)[inner] > width
    return found


def check_cell(scene: Scene, cell: int) -> int:
    """Return the cell, if it may be changed; 0 is outside."""
    if not 0 <= cell <= LARGEST_ID:
        raise ScutoidError(f"Cell {cell} cannot be painted", f"ids go from 1 to {LARGEST_ID}", "choose another id")
    if scene.state(cell).accepted:
        raise ScutoidError(f"Cell {cell} cannot be changed", "it is accepted", "unlock it first")
    return int(cell)


def check_known(scene: Scene, cell: int) -> int:
    """Return the cell, if there is one of that id and it may be changed."""
    if cell not in scene.index:
        raise ScutoidError(f"Cell {cell} cannot be changed", "there is no cell with this id", "click on a cell")
    return check_cell(scene, cell)


def lumen_in(scene: Scene, box: Box) -> NDArray[np.bool_]:
    """Return which voxels of a box are lumen."""
    return np.zeros(box.shape, np.bool_) if scene.lumen is None else scene.lumen[box.slices]


def typical_voxels(scene: Scene) -> float | None:
    """Return the median size of the cells, in voxels; None where there is none."""
    cells = np.asarray(scene.index.cells)
    if not len(cells):
        return None
    some = cells[:: -(-len(cells) // _SAMPLE)]
    return float(np.median([scene.index.voxels(int(cell)) for cell in some]))


def typical_diameter(scene: Scene) -> float:
    """Return the diameter of a ball as large as a typical cell, in the units of the spacing; 0 where there is none."""
    voxels = typical_voxels(scene) or 0.0
    return float(np.cbrt(6 / np.pi * voxels * np.prod(scene.spacing)))


def called(target: Target) -> str:
    """Return what a person calls a target."""
    return "the lumen" if target == LUMEN else f"cell {target}" if target else "outside"


def replaced(scene: Scene, change: Change) -> str | None:
    """Return the question to ask before a change that mostly replaces other cells; None where it does not.

    A change in one slice is compared with the cells' sections there, as the laboratory's window does; one in 3D with
    the whole cells. Erasing replaces nothing.
    """
    if change.labels is None:
        return None
    before, after = change.labels.values()
    becomes_lumen = change.lumen is not None and bool(change.lumen.values()[1].any())
    lost = before[(before > 0) & ((after > 0) | becomes_lumen)]
    found = []
    for cell, n in zip(*np.unique(lost, return_counts=True), strict=True):
        whole = int(n) / scene.index.voxels(int(cell))
        section = _share_of_section(scene, int(cell), int(n), change.labels.box)
        if whole >= MOSTLY:
            found.append((whole, f"{whole:.0%} of cell {cell}".replace("%", " %")))
        elif section >= MOSTLY:
            found.append((section, f"{section:.0%} of cell {cell} in this slice".replace("%", " %")))
    if not found:
        return None
    return f"This replaces {' and '.join(text for _, text in sorted(found, reverse=True)[:3])}."


def _share_of_section(scene: Scene, cell: int, lost: int, box: Box) -> float:
    """Return the share of a cell's section that a flat change takes, in the plane where that is least; else 0."""
    shares = []
    for axis in (axis for axis in range(3) if box.shape[axis] == 1):
        cut = list(scene.index.box(cell).slices)
        cut[axis] = slice(box.start[axis], box.start[axis] + 1)
        shares.append(lost / max(1, int(np.count_nonzero(scene.labels[tuple(cut)] == cell))))
    return min(shares, default=0.0)
