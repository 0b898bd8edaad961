"""Which predicted cell is which true cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_scutoid.metrics.overlaps import Overlaps, count_overlaps, sizes
from napari_scutoid.metrics.ratio import ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.metrics.ratio import Score


class PanopticQuality(NamedTuple):
    """Panoptic quality and its two factors, each 0 to 1.

    Parameters
    ----------
    panoptic : float
        Segmentation quality times recognition quality.
    segmentation : float or None
        Mean IoU of the matched cells; None where no cell is matched.
    recognition : float
        TP / (TP + FP / 2 + FN / 2), which is the F1 of matching.
    """

    panoptic: float
    segmentation: Score
    recognition: float


def matches(prediction: NDArray[Any], truth: NDArray[Any], threshold: float = 0.5) -> dict[int, int]:
    """Return the true cell of each predicted cell that overlaps one with an IoU above the threshold.

    Raises
    ------
    ValueError
        When shapes differ, or the threshold is not between 0.5 and 1.
    """
    return match_cells(count_overlaps(prediction, truth), threshold)


def match_cells(overlaps: Overlaps, threshold: float = 0.5) -> dict[int, int]:
    """Return the true cell of each predicted cell that overlaps one with an IoU above the threshold.

    Above 0.5 a cell can match only one other, so no assignment has to be solved.

    Raises
    ------
    ValueError
        When the threshold is not between 0.5 and 1.
    """
    if not 0.5 <= threshold < 1.0:
        raise ValueError(f"threshold must be at least 0.5 and below 1, not {threshold}")
    matched = iou_of_pairs(overlaps) > threshold
    return dict(zip(overlaps.prediction[matched].tolist(), overlaps.truth[matched].tolist(), strict=True))


def panoptic_quality(overlaps: Overlaps) -> PanopticQuality:
    """Return the panoptic quality of the cells, a class of things with matches at IoU above 0.5 [1]_.

    Where neither side has a cell there is nothing to get wrong: 1.

    References
    ----------
    .. [1] A. Kirillov et al. (2019), Panoptic segmentation, CVPR, equations 1 and 2.
    """
    iou = iou_of_pairs(overlaps)
    matched = iou[iou > 0.5]
    total = float(matched.sum())
    n_cells = sum(int(np.count_nonzero(np.unique(ids))) for ids in (overlaps.truth, overlaps.prediction))
    return PanopticQuality(
        panoptic=ratio(2 * total, n_cells, empty=1.0),
        segmentation=ratio(total, matched.size),
        recognition=ratio(2 * matched.size, n_cells, empty=1.0),
    )


def iou_of_true_cells(overlaps: Overlaps) -> NDArray[np.float64]:
    """Return the IoU of each true cell with the predicted one that matches it, by rising id; 0 where none does."""
    ids = np.unique(overlaps.truth[overlaps.truth > 0])
    iou = iou_of_pairs(overlaps)
    matched = iou > 0.5
    result = np.zeros(ids.size)
    result[np.searchsorted(ids, overlaps.truth[matched])] = iou[matched]
    return result


def iou_of_pairs(overlaps: Overlaps) -> NDArray[np.float64]:
    """Return the IoU of the cells of each pair; 0 where one of them is no cell."""
    true, predicted = sizes(overlaps)
    union = true.voxels[true.place] + predicted.voxels[predicted.place] - overlaps.voxels
    cells = (overlaps.truth > 0) & (overlaps.prediction > 0)
    return np.where(cells, overlaps.voxels / union, 0.0)
