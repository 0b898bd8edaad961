"""All scores of one segmentation at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_scutoid.metrics.boundary import BOUNDARY_TOLERANCE, boundary_scores
from napari_scutoid.metrics.classes import agreement, foreground_scores
from napari_scutoid.metrics.clustering import adapted_rand_error, variation_of_information
from napari_scutoid.metrics.insides import as_insides, cell_insides
from napari_scutoid.metrics.matching import match_cells, panoptic_quality
from napari_scutoid.metrics.overlaps import check_shapes, count_overlaps
from napari_scutoid.metrics.ratio import ratio
from napari_scutoid.metrics.verdicts import judge
from napari_scutoid.volume import as_label_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.metrics.overlaps import Overlaps


def evaluate(
    prediction: NDArray[Any],
    truth: NDArray[Any],
    *,
    semantic_target: NDArray[Any] | None = None,
    spacing: Sequence[float] | None = None,
    boundary_tolerance: float = BOUNDARY_TOLERANCE,
    overlaps: Overlaps | None = None,
) -> dict[str, Any]:
    """Return all scores of ``scutoid evaluate``.

    Parameters
    ----------
    prediction, truth : ndarray of integers, same shape
        One id per cell, 0 elsewhere; any number of axes.
    semantic_target : ndarray, same shape, optional
        A training target of the laboratory: 0 background and boundary, else the inside of a cell.
    spacing : sequence of floats, one per axis, optional
        Voxel edges, for the distances between boundaries; only their ratio matters.
    boundary_tolerance : float
        Distance up to which boundaries count as the same, as `boundary_scores` takes it.
    overlaps : Overlaps, optional
        What `count_overlaps` says about these arrays, where that is known already.

    Returns
    -------
    dict
        Numbers, and None where one is not defined:

        ``arand``, ``voi_split``, ``voi_merge``
            See `adapted_rand_error` and `variation_of_information`.
        ``f1_50``, ``ap50``, ``ap75``
            Cells matched at IoU above 0.5 (0.75): F1 = 2 TP / (2 TP + FP + FN), AP = TP / (TP + FP + FN).
        ``panoptic_quality``, ``segmentation_quality``, ``recognition_quality``
            See `PanopticQuality`.
        ``n_true``, ``n_pred``, ``cell_count_error``
            Numbers of cells and their absolute difference (the seed project's *wrongCells* of one stack).
        ``n_matched``, ``n_split``, ``n_merged``, ``n_missed``
            True cells of each verdict, as `judge` defines them; together they are ``n_true``.
        ``n_invented``
            Predicted cells of that verdict.
        ``semantic_iou``
            IoU of the insides of the predicted cells and those of `semantic_target`; None without one.
        ``dice_per_class``, ``iou_per_class``
            Of ``background`` and ``cell`` after boundaries are removed; against `semantic_target` where given.
        ``foreground_iou``, ``foreground_dice``
            All cells as one object.
        ``boundary_precision``, ``boundary_recall``, ``boundary_f1``
            See `boundary_scores`.

    Raises
    ------
    ValueError
        When shapes differ or the labels are not whole, non-negative numbers.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.array([[1, 1, 2, 2], [1, 1, 2, 2]])
    >>> scores = evaluate(np.ones_like(truth), truth)
    >>> scores["n_pred"], scores["n_true"], scores["ap50"], scores["voi_merge"], scores["voi_split"]
    (1, 2, 0.0, 1.0, 0.0)
    """
    prediction, truth = as_label_array(prediction), as_label_array(truth)
    check_shapes(prediction, truth)
    if overlaps is None:
        overlaps = count_overlaps(prediction, truth)
    if semantic_target is None:
        insides = count_overlaps(cell_insides(prediction), cell_insides(truth))
    else:
        check_shapes(semantic_target, truth, "semantic_target")
        insides = count_overlaps(cell_insides(prediction), as_insides(semantic_target))
    verdicts = judge(overlaps)
    n_true, n_pred = verdicts.truth.ids.size, verdicts.prediction.ids.size
    n_matched, n_strict = len(match_cells(overlaps, 0.5)), len(match_cells(overlaps, 0.75))
    voi_split, voi_merge = variation_of_information(overlaps)
    quality = panoptic_quality(overlaps)
    dice, iou = ({("background", "cell")[i]: score for i, score in one.items()} for one in agreement(insides))
    foreground_iou, foreground_dice = foreground_scores(overlaps)
    precision, recall, f1 = boundary_scores(prediction, truth, spacing=spacing, tolerance=boundary_tolerance)
    return {
        "arand": adapted_rand_error(overlaps),
        "voi_split": voi_split,
        "voi_merge": voi_merge,
        "f1_50": ratio(2 * n_matched, n_true + n_pred, empty=1.0),
        "ap50": ratio(n_matched, n_true + n_pred - n_matched, empty=1.0),
        "ap75": ratio(n_strict, n_true + n_pred - n_strict, empty=1.0),
        "panoptic_quality": quality.panoptic,
        "segmentation_quality": quality.segmentation,
        "recognition_quality": quality.recognition,
        "n_true": n_true,
        "n_pred": n_pred,
        "cell_count_error": abs(n_true - n_pred),
        "n_matched": verdicts.truth.count("matched"),
        "n_split": verdicts.truth.count("split"),
        "n_merged": verdicts.truth.count("merged"),
        "n_missed": verdicts.truth.count("missed"),
        "n_invented": verdicts.prediction.count("invented"),
        "semantic_iou": None if semantic_target is None else foreground_scores(insides)[0],
        "dice_per_class": dice,
        "iou_per_class": iou,
        "foreground_iou": foreground_iou,
        "foreground_dice": foreground_dice,
        "boundary_precision": precision,
        "boundary_recall": recall,
        "boundary_f1": f1,
    }
