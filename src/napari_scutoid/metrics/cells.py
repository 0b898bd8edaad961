"""A table of all cells of two segmentations, for a spreadsheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from napari_scutoid.metrics.overlaps import check_shapes, count_overlaps
from napari_scutoid.metrics.slabs import slabs
from napari_scutoid.metrics.verdicts import Side, Verdict, Verdicts, judge
from napari_scutoid.volume import as_label_array

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


class ComparedCell(NamedTuple):
    """A row of the table: one cell of one side, and its partner on the other.

    Parameters
    ----------
    side : {"truth", "prediction"}
        Whose cell it is; verdict, border and centroid are about that one.
    true_id, pred_id : int or None
        The cell and its partner, with which it shares most voxels; None where there is no partner.
    iou : float
        Of both; 0 without a partner.
    verdict : Verdict
        As `judge` defines it.
    true_voxels, pred_voxels : int
        Sizes of both; 0 without a partner.
    touches_border : bool
        Whether it has a voxel in the outermost layer of the stack, which may then show only a part of it.
    centroid : tuple of float
        In voxels, counted from 0, in the order of the axes.
    """

    side: Literal["truth", "prediction"]
    true_id: int | None
    pred_id: int | None
    iou: float
    verdict: Verdict
    true_voxels: int
    pred_voxels: int
    touches_border: bool
    centroid: tuple[float, ...]


def compare_cells(
    prediction: NDArray[Any], truth: NDArray[Any], verdicts: Verdicts | None = None
) -> list[ComparedCell]:
    """Return a row for every true cell, then one for every predicted cell, in ascending order of their ids.

    Parameters
    ----------
    prediction, truth : ndarray of integers, same shape
        One id per cell, 0 elsewhere; any number of axes.
    verdicts : Verdicts, optional
        What `judge` says about these arrays, where that is known already.

    Raises
    ------
    ValueError
        When shapes differ or the labels are not whole, non-negative numbers.
    """
    prediction, truth = as_label_array(prediction), as_label_array(truth)
    check_shapes(prediction, truth)
    if verdicts is None:
        verdicts = judge(count_overlaps(prediction, truth))
    return [
        *_rows("truth", verdicts.truth, verdicts.prediction, truth),
        *_rows("prediction", verdicts.prediction, verdicts.truth, prediction),
    ]


def _rows(
    name: Literal["truth", "prediction"], side: Side, other: Side, labels: NDArray[np.uint32]
) -> Iterator[ComparedCell]:
    voxels_of = dict(zip(other.ids.tolist(), other.voxels.tolist(), strict=True))
    centroids, touch_border = _places(labels, side)
    columns = (side.ids, side.voxels, side.partners, side.iou, touch_border, centroids)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for verdict, (i, voxels, partner, iou, touches, centroid) in zip(side.verdicts, rows, strict=True):
        true = own = (i, voxels)
        predicted = found = (partner or None, voxels_of.get(partner, 0))
        if name == "prediction":
            true, predicted = found, own
        yield ComparedCell(name, true[0], predicted[0], iou, verdict, true[1], predicted[1], touches, tuple(centroid))


def _places(labels: NDArray[np.uint32], side: Side) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return centroids and whether the border cuts each cell, from runs of equal ids rather than from voxels."""
    n_cells, shape = side.ids.size, labels.shape
    sums, touch_border = np.zeros((n_cells, labels.ndim)), np.zeros(n_cells, np.bool_)
    for slab, _ in slabs(shape):
        here = labels[slab]
        begins = np.ones(here.shape, np.bool_)
        begins[..., 1:] = here[..., 1:] != here[..., :-1]
        starts = np.flatnonzero(begins)
        lengths = np.diff(starts, append=here.size)
        ids = here.ravel()[starts]
        cells = ids > 0
        starts, lengths, place = starts[cells], lengths[cells], np.searchsorted(side.ids, ids[cells])
        first = np.unravel_index(starts, here.shape)
        for axis, length in enumerate(shape):
            low = first[axis] + (slab.start if axis == 0 else 0)
            high = low + (lengths - 1 if axis == labels.ndim - 1 else 0)
            sums[:, axis] += np.bincount(place, (low + high) / 2 * lengths, n_cells)
            touch_border[place[(low == 0) | (high == length - 1)]] = True
    return sums / side.voxels[:, None], touch_border
