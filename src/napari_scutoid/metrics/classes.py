"""Agreement of two images of classes, such as background, cell and lumen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.metrics.overlaps import Overlaps, count_overlaps, sizes
from napari_scutoid.metrics.ratio import ratio
from napari_scutoid.volume import as_label_array

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MOST_CLASSES = 256
"""More different numbers than this are cells, not classes."""


def compare_classes(prediction: NDArray[Any], truth: NDArray[Any]) -> dict[str, Any]:
    """Return all scores of ``scutoid evaluate --classes``.

    Parameters
    ----------
    prediction, truth : ndarray of integers, same shape
        A class per voxel, 0 the background; any number of axes.

    Returns
    -------
    dict
        ``classes``
            Every class that occurs in either image, in ascending order.
        ``dice_per_class``, ``iou_per_class``
            By class.
        ``mean_dice``, ``mean_iou``
            Over all classes but 0; 1 where there are none.
        ``mean_dice_all``, ``mean_iou_all``
            With class 0.
        ``accuracy``
            Share of voxels whose class is right.
        ``confusion_matrix``
            Voxels, a row for each true class, a column for each predicted one, in the order of ``classes``.

    Raises
    ------
    ValueError
        When shapes differ, or the numbers are not whole, are negative, or more than `MOST_CLASSES` different ones.
    """
    overlaps = count_overlaps(as_label_array(prediction), as_label_array(truth))
    classes, matrix = confusion_matrix(overlaps)
    dice, iou = agreement(overlaps)
    return {
        "classes": classes.tolist(),
        "dice_per_class": dice,
        "iou_per_class": iou,
        "mean_dice": _mean(dice, background=0),
        "mean_iou": _mean(iou, background=0),
        "mean_dice_all": _mean(dice, background=None),
        "mean_iou_all": _mean(iou, background=None),
        "accuracy": ratio(int(np.trace(matrix)), int(matrix.sum()), empty=1.0),
        "confusion_matrix": matrix.tolist(),
    }


def confusion_matrix(overlaps: Overlaps) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the classes that occur, and how many voxels of each true class (row) became each class (column).

    Raises
    ------
    ValueError
        When there are more than `MOST_CLASSES`.
    """
    classes = np.union1d(overlaps.truth, overlaps.prediction)
    if classes.size > MOST_CLASSES:
        raise ValueError(f"the images hold {classes.size} different numbers; classes are {MOST_CLASSES} at most")
    matrix = np.zeros((classes.size, classes.size), np.int64)
    rows, columns = (np.searchsorted(classes, ids) for ids in (overlaps.truth, overlaps.prediction))
    matrix[rows, columns] = overlaps.voxels
    return classes, matrix


def dice_per_class(prediction: NDArray[Any], truth: NDArray[Any]) -> dict[int, float]:
    """Return the Dice coefficient of every class that occurs in either image, background included.

    Raises
    ------
    ValueError
        When shapes differ or classes are not whole, non-negative numbers.

    Examples
    --------
    >>> dice_per_class(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]))
    {0: 1.0, 1: 0.6666666666666666, 2: 0.6666666666666666}
    """
    return agreement(count_overlaps(as_label_array(prediction), as_label_array(truth)))[0]


def iou_per_class(prediction: NDArray[Any], truth: NDArray[Any]) -> dict[int, float]:
    """Return the IoU (Jaccard index) of every class that occurs in either image, background included.

    Raises
    ------
    ValueError
        As `dice_per_class`.

    Examples
    --------
    >>> iou_per_class(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]))
    {0: 1.0, 1: 0.5, 2: 0.5}
    """
    return agreement(count_overlaps(as_label_array(prediction), as_label_array(truth)))[1]


def mean_dice(prediction: NDArray[Any], truth: NDArray[Any], *, background: int | None = 0) -> float:
    """Return the mean Dice coefficient over classes, without the background unless that is None.

    1 where no class is left.
    """
    return _mean(dice_per_class(prediction, truth), background)


def agreement(overlaps: Overlaps) -> tuple[dict[int, float], dict[int, float]]:
    """Return Dice and IoU of every class of a table of overlaps."""
    classes = np.union1d(overlaps.truth, overlaps.prediction)
    in_one = np.zeros(classes.size, np.int64)
    for side in sizes(overlaps):
        in_one[np.searchsorted(classes, side.ids)] += side.voxels
    both = np.zeros(classes.size, np.int64)
    same = overlaps.truth == overlaps.prediction
    both[np.searchsorted(classes, overlaps.truth[same])] = overlaps.voxels[same]
    names = classes.tolist()
    return (
        dict(zip(names, (2 * both / in_one).tolist(), strict=True)),
        dict(zip(names, (both / (in_one - both)).tolist(), strict=True)),
    )


def foreground_scores(overlaps: Overlaps) -> tuple[float, float]:
    """Return IoU and Dice of all that is not 0, taken as one object; 1 where there is none."""
    true, predicted = overlaps.truth > 0, overlaps.prediction > 0
    both, either = (int(overlaps.voxels[where].sum()) for where in (true & predicted, true | predicted))
    return ratio(both, either, empty=1.0), ratio(2 * both, both + either, empty=1.0)


def _mean(scores: Mapping[int, float], background: int | None) -> float:
    kept = [score for i, score in scores.items() if i != background]
    return float(np.mean(kept)) if kept else 1.0
