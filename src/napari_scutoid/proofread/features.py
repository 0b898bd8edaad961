"""The numbers that a cell and a face are judged by, each relative to what is usual in the tissue."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from napari_scutoid.proofread.index import CellIndex, Contact
    from napari_scutoid.proofread.look import Look

FACE = ("evidence", "faint", "contrast", "share", "emptier", "union_size", "smaller_size")
FACE_OPINIONS = ("agreed", "union_fits")
CELL = (
    "weak_face",
    "next_face",
    "cut",
    "cut_contrast",
    "cut_area",
    "cut_balance",
    "cut_faint",
    "waist",
    "neck",
    "size",
    "size_at_border",
    "size_beside",
    "emptiness",
    "astray",
    "holes",
    "cap",
    "inside",
    "outline",
    "open",
    "one_sided",
    "exposed",
    "brightness",
)
CELL_OPINIONS = ("differs", "differs_most", "divided")

_BALL = math.log(4 / 3 * math.pi * 5**1.5)
_ONE_LAYER = 0.5


@dataclass(frozen=True, slots=True)
class Tissue:
    """What is usual among the cells of a stack: medians.

    Parameters
    ----------
    voxels : float
        Of a cell that the stack's border does not cut.
    emptiness, cap, inside, outline, open, brightness : float
        As in `Look` and `emptiness_of`.
    one_layer : bool
        Whether most cells look at what is no cell on two sides: only there a cell can miss a surface.
    """

    voxels: float = 1.0
    emptiness: float = 0.0
    cap: float = 0.0
    inside: float = 0.0
    outline: float = 0.0
    open: float = 0.0
    brightness: float = math.nan
    one_layer: bool = False

    @classmethod
    def of(cls, looks: Mapping[int, Look], index: CellIndex) -> Tissue:
        """Return what is usual among these cells."""
        whole = [look for cell, look in looks.items() if not index.touches_border(cell)]
        judged = whole if len(whole) > len(looks) / 10 else list(looks.values())
        if not judged:
            return cls()
        both = sum(is_spanning(look) for look in judged)
        return cls(
            float(np.median([look.voxels for look in judged])),
            _median(emptiness_of(look) for look in judged),
            _median(look.cap for look in judged),
            _median(look.inside for look in judged),
            _median(look.outline for look in judged),
            _median(look.open for look in judged),
            _median(look.brightness for look in judged),
            both > _ONE_LAYER * len(judged),
        )


def emptiness_of(look: Look) -> float:
    """Return how little of the ellipsoid with its moments a cell fills; see `napari_scutoid.steps.shape.emptiness`."""
    return _emptiness(look.covariance, look.voxels)


def is_spanning(look: Look) -> bool:
    """Whether a cell reaches both surfaces of a tissue one cell thick."""
    return (look.apical and look.basal) or look.free_patches >= 2


def face_features(
    a: Look, b: Look, contact: Contact, faint: float, surfaces: tuple[float, float], tissue: Tissue
) -> tuple[float, ...]:
    """Return what speaks for a false wall between two cells, in the order of `FACE` and `FACE_OPINIONS`.

    Parameters
    ----------
    a, b : Look
        The two cells.
    contact : Contact
        Where they touch.
    faint : float
        The evidence that a quarter of the face stays below, as in `Look`.
    surfaces : tuple of two floats
        Faces of all voxels of each with others, 0 included.
    tissue : Tissue
        What is usual.
    """
    n = a.voxels + b.voxels
    apart = (a.voxels * emptiness_of(a) + b.voxels * emptiness_of(b)) / n
    own = (
        contact.evidence,
        faint,
        contact.evidence - 0.5 * (a.outline + b.outline),
        contact.faces / max(1.0, min(surfaces)),
        _emptiness(_joint(a, b), n) - apart,
        math.log(n / tissue.voxels),
        math.log(min(a.voxels, b.voxels) / tissue.voxels),
    )
    if not a.overlaps:
        return own
    agreed, fits = 0.0, 0.0
    for first, second in zip(a.overlaps, b.overlaps, strict=True):
        (one, iou), (other, iou_other) = first.best(a.voxels), second.best(b.voxels)
        agreed += float(one == other and one > 0)
        alone = (a.voxels * iou + b.voxels * iou_other) / n
        together = 0.0
        for cell, overlap in ((one, first), (other, second)):
            if cell:
                size = float(overlap.sizes[overlap.ids == cell][0])
                shared = first.shared(cell) + second.shared(cell)
                together = max(together, shared / max(n + size - shared, 1.0))
        fits += together - alone
    return (*own, agreed / len(a.overlaps), fits / len(a.overlaps))


def cell_features(
    look: Look,
    faces: tuple[float, float],
    beside: Iterable[int],
    surface: float,
    exposed: float,
    at_border: bool,
    tissue: Tissue,
) -> tuple[float, ...]:
    """Return what speaks against a cell, in the order of `CELL` and `CELL_OPINIONS`.

    Parameters
    ----------
    look : Look
        The cell.
    faces : tuple of two floats
        Logarithmic odds that its most and second most suspect face are false.
    beside : iterable of int
        Voxels of its neighbours.
    surface, exposed : float
        Faces of its voxels with others, and those of them with no cell.
    at_border : bool
        Whether the stack's border cuts it.
    tissue : Tissue
        What is usual.
    """
    cut, neck = look.cut, look.neck
    neighbours = list(beside)
    size = math.log(look.voxels / tissue.voxels)
    around = float(np.median(neighbours)) if neighbours else tissue.voxels
    own = (
        *faces,
        cut.evidence,
        cut.evidence - look.outline if cut.evidence else -1.0,
        cut.area,
        cut.balance,
        cut.faint,
        look.waist,
        neck.evidence,
        0.0 if at_border else size,
        size if at_border else 0.0,
        0.0 if at_border else math.log(look.voxels / around),
        emptiness_of(look) - tissue.emptiness,
        look.astray,
        look.holes,
        look.cap - tissue.cap,
        look.inside - tissue.inside,
        look.outline - tissue.outline,
        look.open - tissue.open,
        float(tissue.one_layer and not at_border and not is_spanning(look)),
        exposed / max(1.0, surface),
        _log_ratio(look.brightness, tissue.brightness),
    )
    if not look.overlaps:
        return own
    differs = [1.0 - overlap.best(look.voxels)[1] for overlap in look.overlaps]
    divided = [overlap.beside_main(look.voxels) for overlap in look.overlaps]
    return (*own, sum(differs) / len(differs), max(differs), max(divided))


def _joint(a: Look, b: Look) -> NDArray[np.float64]:
    share = a.voxels / (a.voxels + b.voxels)
    apart = a.mean - b.mean
    joint: NDArray[np.float64] = (
        share * a.covariance + (1 - share) * b.covariance + share * (1 - share) * np.outer(apart, apart)
    )
    return joint


def _emptiness(covariance: NDArray[np.float64], voxels: float) -> float:
    return 0.5 * float(np.linalg.slogdet(covariance)[1]) + _BALL - math.log(voxels)


def _log_ratio(value: float, usual: float) -> float:
    if not (value > 0 and usual > 0):  # NaN where there is no image
        return 0.0
    return max(-3.0, min(3.0, math.log(value / usual)))


def _median(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.median(known)) if known else math.nan
