"""Which errors a cell probably has, as far as nobody's edit has settled that and the border does not explain it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from napari_scutoid.proofread.handwork import Handwork
    from napari_scutoid.proofread.index import CellIndex
    from napari_scutoid.proofread.scene import Scene
    from napari_scutoid.proofread.suspects import Suspects

NEVER = -np.inf

_FORM = (
    *("cut_area", "cut_balance", "waist", "neck", "size", "size_at_border", "size_beside", "emptiness", "astray"),
    *("holes", "cap", "one_sided", "exposed"),
)
"""What the stack's border changes of a true cell that it cuts."""


class Likely(NamedTuple):
    """Logarithmic odds of a cell's errors.

    Parameters
    ----------
    wrong : float
        That it is wrong at all.
    face : float
        That no wall divides it from `other`, its most suspect neighbour; None where it has none.
    other : int or None
    merged : float
        That it is several cells.
    """

    wrong: float
    face: float
    other: int | None
    merged: float


def likely(suspects: Suspects, index: CellIndex, handwork: Handwork, cell: int) -> Likely:
    """Return what is probably wrong with a cell.

    What a person has made is suspect only of what that leaves open: of being a part of a neighbour that they did not
    divide it from, or of holding several cells that they did not merge. Its form and its outline are as they want them.

    Parameters
    ----------
    suspects : Suspects
    index : CellIndex
        Of the labels as they are; KeyError where either does not know the cell.
    handwork : Handwork
        What people have made.
    cell : int
    """
    odds, faces = suspects.odds(cell), suspects.weakest_faces(cell)
    open_faces = (one for one in faces if one[0] in index and not handwork.is_parted(cell, one[0]))
    other, face = next(open_faces, (None, NEVER))
    if cell not in handwork:
        return Likely(odds.wrong, face, other, odds.merged)
    seeds = suspects.look(cell).seeds
    merged = NEVER if seeds is None or handwork.is_joined(cell, seeds) else odds.merged
    return Likely(min(odds.wrong, max(face, merged)), face, other, merged)


def invented(scene: Scene, suspects: Suspects, handwork: Handwork, cell: int) -> float:
    """Return the logarithmic odds that a cell should be deleted.

    Never where a person has made it. Where the stack's border cuts it, it is small and flat for that reason: only
    walls, signal and second opinions count there.
    """
    odds = suspects.odds(cell).invented
    if cell in handwork:
        return NEVER
    if not scene.index.touches_border(cell):
        return odds
    model = suspects.judge.invented
    added = model.contributions(np.array([suspects.features(scene, cell)]))[0]
    form = [i for i, curve in enumerate(model.curves) if curve.feature in _FORM]
    return odds - float(np.maximum(added[form], 0.0).sum())
