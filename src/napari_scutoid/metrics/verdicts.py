"""What became of each cell: found, split, merged, missed, or made up by the segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_scutoid.metrics.matching import iou_of_pairs
from napari_scutoid.metrics.overlaps import Overlaps, Sizes, sizes

if TYPE_CHECKING:
    from numpy.typing import NDArray

Verdict = Literal["matched", "split", "merged", "missed", "invented"]
"""What became of a cell; `judge` defines each. No true cell is ``invented``, no predicted cell ``missed``."""

REMAINDER = 0.1
"""Share of a true cell that has to lie in other pieces than the largest, for the cell to count as split."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """The cells of one of both segmentations, judged.

    Parameters
    ----------
    ids : ndarray of uint32, shape (n,)
        The cells, sorted.
    voxels : ndarray of int64, shape (n,)
        Their sizes.
    verdicts : tuple of Verdict, length n
        One each.
    partners : ndarray of uint32, shape (n,)
        The cell of the other side with which each shares most voxels; 0 where it touches none.
    iou : ndarray of float64, shape (n,)
        With that partner; 0 without one.
    """

    ids: NDArray[np.uint32]
    voxels: NDArray[np.int64]
    verdicts: tuple[Verdict, ...]
    partners: NDArray[np.uint32]
    iou: NDArray[np.float64]

    def count(self, verdict: Verdict) -> int:
        """Return how many cells were judged so."""
        return self.verdicts.count(verdict)

    def by_id(self) -> dict[int, Verdict]:
        """Return the verdict on each cell."""
        return dict(zip(self.ids.tolist(), self.verdicts, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """The verdicts on all cells of both sides."""

    truth: Side
    prediction: Side


def judge(overlaps: Overlaps) -> Verdicts:
    """Give every cell of both sides one verdict, the first of its side that holds.

    *Mainly* is more than half of the voxels of a cell, background and other cells counted.

    A true cell is

    ``matched``
        when a predicted cell overlaps it with an IoU above 0.5;
    ``split``
        when the predicted cells that lie mainly inside it, its pieces, cover more than half of it together, and all
        but the largest of them at least a tenth (`REMAINDER`);
    ``merged``
        when it lies mainly inside a predicted cell that another true cell lies mainly inside, too;
    ``missed``
        otherwise.

    A predicted cell is

    ``matched``
        when it overlaps a true cell with an IoU above 0.5;
    ``split``
        when it is a piece of a true cell that is ``split``;
    ``merged``
        when true cells that are ``merged`` lie mainly inside it;
    ``invented``
        otherwise: it lies mainly on background, is a fragment of a cell that was found without it, or fits no cell.

    So ``n_true = matched + split + merged + missed``; of the predicted cells as many are matched as of the true ones.
    """
    true, predicted = sizes(overlaps)
    t, p, voxels = true.place, predicted.place, overlaps.voxels
    iou = iou_of_pairs(overlaps)
    cells = (overlaps.truth > 0) & (overlaps.prediction > 0)

    match = iou > 0.5
    true_matched, predicted_matched = _any(t[match], true), _any(p[match], predicted)

    piece = cells & (2 * voxels > predicted.voxels[p])
    covered, largest = np.zeros_like(true.voxels), np.zeros_like(true.voxels)
    np.add.at(covered, t[piece], voxels[piece])
    np.maximum.at(largest, t[piece], voxels[piece])
    true_split = (2 * covered > true.voxels) & ((covered - largest) / true.voxels >= REMAINDER) & ~true_matched
    predicted_split = _any(p[piece & true_split[t]], predicted)

    held = cells & (2 * voxels > true.voxels[t])
    holds = np.bincount(p[held], minlength=predicted.ids.size)
    merge = held & (holds[p] > 1) & ~(true_matched | true_split)[t]
    true_merged, predicted_merged = _any(t[merge], true), _any(p[merge], predicted)

    return Verdicts(
        _side(overlaps, iou, true, predicted, (true_matched, true_split, true_merged), "missed"),
        _side(overlaps, iou, predicted, true, (predicted_matched, predicted_split, predicted_merged), "invented"),
    )


def _any(places: NDArray[np.intp], side: Sizes) -> NDArray[np.bool_]:
    marked = np.zeros(side.ids.size, np.bool_)
    marked[places] = True
    return marked


def _side(
    overlaps: Overlaps,
    iou: NDArray[np.float64],
    own: Sizes,
    other: Sizes,
    marks: tuple[NDArray[np.bool_], ...],
    otherwise: Verdict,
) -> Side:
    kinds: tuple[Verdict, ...] = ("matched", "split", "merged", otherwise)
    first = np.argmax(np.stack([*marks, np.ones(own.ids.size, np.bool_)]), axis=0)
    partners, best = np.zeros(own.ids.size, np.uint32), np.zeros(own.ids.size)
    # Ascending, so that the last written of a cell's partners shares most; of equal ones, fits best, then comes first.
    order = np.lexsort((-other.place, iou, overlaps.voxels, own.place))
    order = order[(overlaps.truth[order] > 0) & (overlaps.prediction[order] > 0)]
    partners[own.place[order]] = other.ids[other.place[order]]
    best[own.place[order]] = iou[order]
    cells = own.ids > 0
    return Side(
        own.ids[cells],
        own.voxels[cells],
        tuple(kinds[i] for i in first[cells]),
        partners[cells],
        best[cells],
    )
