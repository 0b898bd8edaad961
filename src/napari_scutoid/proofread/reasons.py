"""Why a cell is suspect, in words, and what would set it right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.additive import probability
from napari_scutoid.proofread.features import is_spanning
from napari_scutoid.proofread.likely import invented, likely

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.handwork import Handwork
    from napari_scutoid.proofread.likely import Likely
    from napari_scutoid.proofread.look import Look
    from napari_scutoid.proofread.scene import Edit, Scene
    from napari_scutoid.proofread.suspects import Suspects

_COUNTS = 0.15
"""Logarithmic odds that a group of features adds at least to be named."""
_LIKELY = -1.5
"""Logarithmic odds of an error from which its fix is proposed."""
_MOST_NAMED = 3
_PLANNED = 2**21
"""Voxels of the largest cell's box in which a repair is tried before it is proposed: the next suspect must not wait."""

_GROUPS = {
    "wall": ("weak_face", "next_face"),
    "cut": ("cut", "cut_contrast", "cut_area", "cut_balance", "cut_faint", "neck", "divided"),
    "waist": ("waist", "emptiness"),
    "size": ("size", "size_at_border", "size_beside"),
    "pieces": ("astray",),
    "holes": ("holes",),
    "cap": ("cap",),
    "inside": ("inside",),
    "outline": ("outline", "open"),
    "sides": ("one_sided",),
    "exposed": ("exposed",),
    "signal": ("brightness",),
    "opinions": ("differs", "differs_most"),
}


@dataclass(frozen=True, slots=True)
class Suspect:
    """A cell to look at, or background where one may be missing.

    Parameters
    ----------
    cell : int
        Its id; 0 for background.
    probability : float
        That it is wrong; of background, where it stands in the list.
    reasons : tuple of str
        What speaks against it, the weightiest first; at least one.
    place : tuple of 3 floats
        Where to look, in voxels: the suspect face, cut or the cell's middle.
    other : int, optional
        The cell behind the face that is suspect; None where the cell as a whole is.
    fix : Edit, optional
        What would set it right; None where nothing is proposed.
    fix_title : str
        The same in words: ``"Merge with cell 217"``.
    """

    cell: int
    probability: float
    reasons: tuple[str, ...]
    place: tuple[float, float, float]
    other: int | None = None
    fix: Edit | None = None
    fix_title: str = ""

    @property
    def reason(self) -> str:
        """What speaks most against it."""
        return self.reasons[0]

    @property
    def cells(self) -> list[int]:
        """The cell, and the one behind the suspect face; none for background."""
        if not self.cell:
            return []
        return [self.cell] if self.other is None else [self.cell, self.other]


@dataclass(frozen=True, slots=True)
class BestCut:
    """Divide a cell where most speaks for it; see `proposals`."""

    cell: int

    def plan(self, scene: Scene) -> Change:
        """Return the first of the proposals.

        Raises
        ------
        ScutoidError
            When there is none, or the cell is not there or accepted.
        """
        from napari_scutoid.proofread.edits.propose import proposals

        found = proposals(scene, self.cell, 1)
        if not found:
            raise ScutoidError(
                f"No cut of cell {self.cell} can be proposed", "it is too small or too uniform", "mark its parts"
            )
        return found[0]


def suspect(scene: Scene, suspects: Suspects, cell: int, handwork: Handwork) -> Suspect:
    """Return a cell as a suspect: why, where, and what to do about it.

    Parameters
    ----------
    scene : Scene
    suspects : Suspects
        Of its labels.
    cell : int
        KeyError where there is none of this number.
    handwork : Handwork
        What people have made: it is as they want it.
    """
    look, found = suspects.look(cell), likely(suspects, scene.index, handwork, cell)
    weakest, is_made = found.other, cell in handwork
    odds = {"face": found.face, "merged": found.merged, "invented": invented(scene, suspects, handwork, cell)}
    kind = max(odds, key=lambda name: odds[name])
    if odds[kind] < _LIKELY:
        kind = "" if is_made else "pieces" if look.pieces > 1 else "holes" if look.holes > 0 else ""
    fix, title = _fix(scene, cell, kind, look, weakest)
    place = scene.index.centroid(cell)
    if kind == "face" and weakest is not None:
        place = face_place(scene, cell, weakest) or place
    elif kind == "merged" and look.seeds is not None:
        z, y, x = (0.5 * (a + b) for a, b in zip(*look.seeds, strict=True))
        place = z, y, x
    told = _reasons(scene, suspects, cell, kind, weakest, _open_groups(found) if is_made else tuple(_GROUPS))
    other = weakest if kind == "face" else None
    chance = float(probability(np.array([found.wrong]))[0])
    return Suspect(cell, chance, told, place, other, fix, title)


def _open_groups(found: Likely) -> tuple[str, ...]:
    """Return what still counts against a cell that a person has made; what they settled is in the same features."""
    return (("wall",) if found.face >= _LIKELY else ()) + (("cut", "inside") if found.merged >= _LIKELY else ())


def face_place(scene: Scene, a: int, b: int) -> tuple[float, float, float] | None:
    """Return the place on the face between two cells that is nearest to its middle; None where they do not touch."""
    box = scene.index.box(a).padded(1, scene.shape).overlap(scene.index.box(b).padded(1, scene.shape))
    if not box.size:
        return None
    labels = scene.labels[box.slices]
    one, two = labels == a, labels == b
    places = []
    for axis in range(3):
        near = tuple(slice(None, -1) if i == axis else slice(None) for i in range(3))
        far = tuple(slice(1, None) if i == axis else slice(None) for i in range(3))
        found = np.argwhere((one[near] & two[far]) | (two[near] & one[far])).astype(np.float64)
        found[:, axis] += 0.5
        places.append(found)
    on_face = np.concatenate(places)
    if not len(on_face):
        return None
    away = (((on_face - on_face.mean(axis=0)) * np.asarray(scene.spacing)) ** 2).sum(axis=1)
    z, y, x = (float(i) for i in on_face[int(np.argmin(away))] + box.start)
    return z, y, x


def _fix(scene: Scene, cell: int, kind: str, look: Look, weakest: int | None) -> tuple[Edit | None, str]:
    if scene.state(cell).accepted:
        return None, ""
    from napari_scutoid.proofread.edits.delete import Delete
    from napari_scutoid.proofread.edits.merge import Merge
    from napari_scutoid.proofread.edits.repair import FillHoles, KeepLargest

    if kind == "face" and weakest is not None and not scene.state(weakest).accepted:
        return Merge((cell, weakest)), f"Merge with cell {weakest}"
    if kind == "merged" and look.seeds is not None:
        return BestCut(cell), "Split in two"
    if kind == "invented":
        return Delete((cell,)), "Delete the cell"
    if kind not in ("pieces", "holes"):
        return None, ""
    repair: Edit = KeepLargest(cell) if kind == "pieces" else FillHoles(cell)
    # A hole may hold another cell, and pieces may touch where the coarser grid misses it: nothing would change.
    if scene.index.box(cell).size <= _PLANNED and repair.plan(scene).is_empty:
        return None, ""
    return repair, "Keep the largest piece" if kind == "pieces" else "Fill the holes"


def _reasons(
    scene: Scene, suspects: Suspects, cell: int, kind: str, weakest: int | None, groups: Sequence[str]
) -> tuple[str, ...]:
    names = [curve.feature for curve in suspects.judge.wrong.curves]
    added = dict(zip(names, suspects.odds(cell).added.tolist(), strict=True))
    weights = {group: sum(added.get(name, 0.0) for name in _GROUPS[group]) for group in groups}
    # What the fix is about comes first, or the two would seem to contradict each other.
    first = {"face": "wall", "merged": "cut", "pieces": "pieces", "holes": "holes"}.get(kind)
    order = sorted(weights, key=lambda group: (group != first, -weights[group]))
    told = []
    for group in order[: _MOST_NAMED + 1]:
        if group == first or weights[group] >= _COUNTS:
            words = _words(scene, suspects, cell, kind, group, weakest)
            if words:
                told.append(words)
    if told:
        return tuple(told[:_MOST_NAMED])
    return (
        "nothing in particular" if len(groups) == len(_GROUPS) else "made by an edit; nothing else speaks against it",
    )


def _words(scene: Scene, suspects: Suspects, cell: int, kind: str, group: str, weakest: int | None) -> str:
    look, usual = suspects.look(cell), suspects.tissue
    contact = None if weakest is None else scene.index.contact(cell, weakest)
    if group == "wall":
        return "" if contact is None else f"weak wall to cell {weakest}: {contact.evidence:.2f}"
    if group == "cut":
        cut = look.cut if look.cut.evidence >= look.neck.evidence else look.neck
        told = "may be two cells: a cut with {:.2f} evidence" if kind == "merged" else "a wall inside it: {:.2f}"
        return told.format(cut.evidence) if cut.balance else ""
    if group == "pieces":
        return f"{look.pieces} pieces" if look.pieces > 1 else ""
    if group == "holes":
        return f"holes: {look.holes:.1%} of it" if look.holes else ""
    if group == "cap":
        return "ends flat at a slice" if look.cap > usual.cap else ""
    if group == "sides":
        return "" if is_spanning(look) else _missing_side(look)
    if group == "opinions":
        fits = [overlap.best(look.voxels)[1] for overlap in look.overlaps]
        return f"second opinions differ on {1 - min(fits):.0%} of it" if fits else ""
    if group == "size":
        cut_off = ", cut by the stack's border" if scene.index.touches_border(cell) else ""
        return f"{look.voxels / usual.voxels:.2g} times the usual size{cut_off}"
    if group == "signal":
        if not (look.brightness > 0 and usual.brightness > 0):  # NaN where there is no image
            return ""
        ratio = look.brightness / usual.brightness
        return f"{'low signal' if ratio < 1 else 'unusually bright'}: {ratio:.2g} times the usual brightness"
    return {
        "waist": "an unusual shape",
        "inside": f"signs of walls deep inside: {look.inside:.2f}",
        "outline": f"a faint outline: {look.outline:.2f}",
        "exposed": "unusually many or few neighbours around it",
    }[group]


def _missing_side(look: Look) -> str:
    if look.basal and not look.apical:
        return "misses the apical surface"
    if look.apical and not look.basal:
        return "misses the basal surface"
    return "misses the apical or the basal surface" if look.free_patches else "misses the apical and the basal surface"
