"""Scores of a segmentation against a reference.

All scores of cells come from one sparse table of overlaps, counted slab by slab, so a stack is never copied whole.
Voxels where the reference is 0 (lumen, outside) are ignored by the adapted Rand error and the variation of information;
matching counts all voxels, so a cell predicted outside the tissue is a false positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from napari_scutoid.volume import as_label_array

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

Score: TypeAlias = float | None
"""None where a score is not defined, as the agreement of boundaries that do not exist."""

BOUNDARY_TOLERANCE = 2.0
"""Distance in voxels (edges of a cube of a voxel's volume) up to which two boundaries count as the same."""

_SLAB_VOXELS = 2**23


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """A sparse contingency table: how many voxels each pair of ids shares, id 0 included.

    Parameters
    ----------
    truth, prediction : ndarray of uint32, shape (n,)
        The ids of each pair that occurs, sorted.
    voxels : ndarray of int64, shape (n,)
        Voxels they share.
    """

    truth: NDArray[np.uint32]
    prediction: NDArray[np.uint32]
    voxels: NDArray[np.int64]


def evaluate(
    prediction: NDArray[Any],
    truth: NDArray[Any],
    *,
    semantic_target: NDArray[Any] | None = None,
    spacing: Sequence[float] | None = None,
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

    Returns
    -------
    dict
        Numbers, and None where one is not defined:

        ``arand``, ``voi_split``, ``voi_merge``
            See `adapted_rand_error` and `variation_of_information`.
        ``f1_50``, ``ap50``, ``ap75``
            Cells matched at IoU above 0.5 (0.75): F1 = 2 TP / (2 TP + FP + FN), AP = TP / (TP + FP + FN).
        ``n_true``, ``n_pred``, ``cell_count_error``
            Numbers of cells and their absolute difference (the seed project's *wrongCells* of one stack).
        ``semantic_iou``
            IoU of the insides of the predicted cells and those of `semantic_target`; None without one.
        ``dice_per_class``
            Dice of ``background`` and ``cell`` after boundaries are removed; against `semantic_target` where given.
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
    >>> truth = np.array([[1, 1, 2, 2], [1, 1, 2, 2]])
    >>> scores = evaluate(np.ones_like(truth), truth)
    >>> scores["n_pred"], scores["n_true"], scores["ap50"], scores["voi_merge"], scores["voi_split"]
    (1, 2, 0.0, 1.0, 0.0)
    """
    prediction, truth = as_label_array(prediction), as_label_array(truth)
    _check_shapes(prediction, truth)
    overlaps = count_overlaps(prediction, truth)
    split, merge = variation_of_information(overlaps)
    true_positive, strict = len(match_cells(overlaps, 0.5)), len(match_cells(overlaps, 0.75))
    n_true, n_pred = (int(np.count_nonzero(np.unique(ids))) for ids in (overlaps.truth, overlaps.prediction))
    foreground = _binary_counts(overlaps)
    inside = _cell_insides(prediction)
    if semantic_target is None:
        target = _cell_insides(truth)
    else:
        _check_shapes(semantic_target, truth, "semantic_target")
        target = (np.asarray(semantic_target) > 0).view(np.uint8)
    classes = count_overlaps(inside, target)
    precision, recall, f1 = boundary_scores(prediction, truth, spacing=spacing)
    return {
        "arand": adapted_rand_error(overlaps),
        "voi_split": split,
        "voi_merge": merge,
        "f1_50": _ratio(2 * true_positive, n_true + n_pred, empty=1.0),
        "ap50": _ratio(true_positive, n_true + n_pred - true_positive, empty=1.0),
        "ap75": _ratio(strict, n_true + n_pred - strict, empty=1.0),
        "n_true": n_true,
        "n_pred": n_pred,
        "cell_count_error": abs(n_true - n_pred),
        "semantic_iou": None if semantic_target is None else _iou(*_binary_counts(classes)),
        "dice_per_class": {("background", "cell")[i]: dice for i, dice in _dice(classes).items()},
        "foreground_iou": _iou(*foreground),
        "foreground_dice": _ratio(2 * foreground[0], foreground[1] + foreground[2], empty=1.0),
        "boundary_precision": precision,
        "boundary_recall": recall,
        "boundary_f1": f1,
    }


def count_overlaps(prediction: NDArray[Any], truth: NDArray[Any]) -> Overlaps:
    """Count the voxels that every pair of ids shares.

    Ids change rarely along a row, so runs of equal pairs are counted, not voxels.

    Raises
    ------
    ValueError
        When shapes differ.
    """
    _check_shapes(prediction, truth)
    pairs, counts = [], []
    for slab, _ in _slabs(truth.shape, halo=0):
        pair = truth[slab].astype(np.uint64).ravel() << np.uint64(32)
        pair |= prediction[slab].astype(np.uint64).ravel()
        starts = np.flatnonzero(np.concatenate([[True], pair[1:] != pair[:-1]]))
        found, voxels = _summed(pair[starts], np.diff(starts, append=pair.size))
        pairs.append(found)
        counts.append(voxels)
    if not pairs:
        pairs, counts = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    pair, voxels = _summed(np.concatenate(pairs), np.concatenate(counts))
    return Overlaps((pair >> np.uint64(32)).astype(np.uint32), pair.astype(np.uint32), voxels)


def adapted_rand_error(overlaps: Overlaps) -> Score:
    """Return the adapted Rand error [1]_ over the voxels that the reference gives to a cell.

    One minus the F-score of pairs of voxels that share a cell; 0 is perfect. A predicted 0 counts as one more cell.
    Equal to `skimage.metrics.adapted_rand_error`.

    References
    ----------
    .. [1] I. Arganda-Carreras et al. (2015), Crowdsourcing the creation of image segmentation algorithms for
           connectomics, Front. Neuroanat. 9:142.
    """
    both, in_truth, in_prediction = _within_truth(overlaps)
    total = both.sum()
    if total == 0:
        return None
    pairs = (both @ both) - total
    of_one = 0.5 * (in_truth @ in_truth + in_prediction @ in_prediction) - total
    return float(1.0 - pairs / of_one) if of_one > 0 else 0.0


def variation_of_information(overlaps: Overlaps) -> tuple[Score, Score]:
    """Return the two parts of the variation of information [1]_, in bits, over the reference's cells.

    Returns
    -------
    split : float or None
        H(prediction | truth): grows when cells are cut into pieces (over-segmentation).
    merge : float or None
        H(truth | prediction): grows when cells are joined (under-segmentation).

    Notes
    -----
    Equal to both values of ``skimage.metrics.variation_of_information(truth, prediction, ignore_labels=[0])``.

    References
    ----------
    .. [1] M. Meilă (2007), Comparing clusterings - an information based distance, J. Multivar. Anal. 98, 873-895.
    """
    both, in_truth, in_prediction = _within_truth(overlaps)
    total = both.sum()
    if total == 0:
        return None, None
    joint = _entropy(both / total)
    # Rounding can leave a tiny negative number where there is no uncertainty.
    return max(0.0, joint - _entropy(in_truth / total)), max(0.0, joint - _entropy(in_prediction / total))


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
    t, p, true_sizes, predicted_sizes = _sizes(overlaps)
    union = true_sizes[t] + predicted_sizes[p] - overlaps.voxels
    matched = (overlaps.truth > 0) & (overlaps.prediction > 0) & (overlaps.voxels > threshold * union)
    return dict(zip(overlaps.prediction[matched].tolist(), overlaps.truth[matched].tolist(), strict=True))


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
    return _dice(count_overlaps(as_label_array(prediction), as_label_array(truth)))


def mean_dice(prediction: NDArray[Any], truth: NDArray[Any], *, background: int | None = 0) -> float:
    """Return the mean Dice coefficient over classes, without the background unless that is None.

    1 where no class is left.
    """
    scores = [dice for i, dice in dice_per_class(prediction, truth).items() if i != background]
    return float(np.mean(scores)) if scores else 1.0


def boundary_scores(
    prediction: NDArray[Any],
    truth: NDArray[Any],
    *,
    spacing: Sequence[float] | None = None,
    tolerance: float = BOUNDARY_TOLERANCE,
) -> tuple[Score, Score, Score]:
    """Return precision, recall and F1 of the cells' outermost voxels.

    Precision is the share of predicted boundary voxels within the tolerance of a true one, recall the reverse.

    Parameters
    ----------
    prediction, truth : ndarray of integers, same shape
        One id per cell, 0 elsewhere.
    spacing : sequence of floats, one per axis, optional
        Voxel edges; only their ratio matters.
    tolerance : float
        In voxels: edges of a cube (square) of one voxel's volume (area).

    Returns
    -------
    precision, recall, f1 : float or None
        None where there is no boundary to judge; F1 is 0 where only one of both has any.

    Raises
    ------
    ValueError
        When shapes differ, or the spacing has not one positive number per axis.
    """
    import edt
    from skimage.segmentation import find_boundaries

    _check_shapes(prediction, truth)
    edges = np.ones(truth.ndim) if spacing is None else np.asarray(spacing, dtype=np.float64)
    if edges.shape != (truth.ndim,) or not np.all(np.isfinite(edges) & (edges > 0)):
        raise ValueError(f"spacing must be {truth.ndim} positive numbers for shape {truth.shape}, not {spacing}")
    unit = tuple(float(edge) for edge in edges / np.exp(np.log(edges).mean()))

    hits, totals = np.zeros(2, np.int64), np.zeros(2, np.int64)
    # One plane more than the tolerance reaches: boundaries in a slab's outermost plane are not all seen.
    for slab, core in _slabs(truth.shape, halo=int(np.ceil(tolerance / unit[0])) + 1):
        lines = [
            find_boundaries(labels[slab], mode="inner", connectivity=1)  # type: ignore[no-untyped-call]
            for labels in (prediction, truth)
        ]
        for i, (own, other) in enumerate((lines, reversed(lines))):
            distance = edt.edt(np.ascontiguousarray(~other), anisotropy=unit, black_border=False, parallel=0)
            hits[i] += np.count_nonzero(own[core] & (distance[core] <= tolerance * (1 + 1e-6)))
            totals[i] += np.count_nonzero(own[core])
    precision, recall = _ratio(hits[0], totals[0]), _ratio(hits[1], totals[1])
    if precision is None or recall is None:
        # Boundaries on one side only are all wrong; on neither side there is nothing to judge.
        return precision, recall, None if precision is recall else 0.0
    return precision, recall, _ratio(2 * precision * recall, precision + recall, empty=0.0)


def _check_shapes(prediction: NDArray[Any], truth: NDArray[Any], name: str = "prediction") -> None:
    if prediction.shape != truth.shape:
        raise ValueError(f"{name} has shape {prediction.shape}, truth {truth.shape}")


def _slabs(shape: tuple[int, ...], halo: int) -> Iterator[tuple[slice, slice]]:
    """Yield slices of the first axis with a margin, and where the part without margin lies inside each."""
    length = shape[0] if shape else 0
    step = max(1, 4 * halo, _SLAB_VOXELS // max(1, int(np.prod(shape[1:]))))
    for start in range(0, length, step):
        low = max(0, start - halo)
        stop = min(length, start + step)
        yield slice(low, min(length, stop + halo)), slice(start - low, stop - low)


def _summed(keys: NDArray[np.uint64], counts: NDArray[np.integer[Any]]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return each key once, with the sum of its counts."""
    unique, index = np.unique(keys, return_inverse=True)
    sums = np.zeros(unique.size, dtype=np.int64)
    np.add.at(sums, index, counts)
    return unique, sums


def _sizes(
    overlaps: Overlaps,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    """Return each pair's place among the true and among the predicted ids, and the sizes of those."""
    true_ids, t = np.unique(overlaps.truth, return_inverse=True)
    predicted_ids, p = np.unique(overlaps.prediction, return_inverse=True)
    true_sizes, predicted_sizes = np.zeros(true_ids.size, np.int64), np.zeros(predicted_ids.size, np.int64)
    np.add.at(true_sizes, t, overlaps.voxels)
    np.add.at(predicted_sizes, p, overlaps.voxels)
    return t, p, true_sizes, predicted_sizes


def _within_truth(overlaps: Overlaps) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return voxels of pairs, true cells and predicted cells, counting only where the reference has a cell."""
    cell = overlaps.truth > 0
    inside = Overlaps(overlaps.truth[cell], overlaps.prediction[cell], overlaps.voxels[cell])
    _, _, true_sizes, predicted_sizes = _sizes(inside)
    return inside.voxels.astype(np.float64), true_sizes.astype(np.float64), predicted_sizes.astype(np.float64)


def _entropy(shares: NDArray[np.float64]) -> float:
    return float(-(shares * np.log2(shares)).sum())


def _binary_counts(overlaps: Overlaps) -> tuple[int, int, int]:
    """Return voxels that are no background in both, in the truth, in the prediction."""
    t, p = overlaps.truth > 0, overlaps.prediction > 0
    return int(overlaps.voxels[t & p].sum()), int(overlaps.voxels[t].sum()), int(overlaps.voxels[p].sum())


def _dice(overlaps: Overlaps) -> dict[int, float]:
    scores = {}
    for i in np.union1d(overlaps.truth, overlaps.prediction):
        t, p = overlaps.truth == i, overlaps.prediction == i
        both = overlaps.voxels[t & p].sum()
        scores[int(i)] = float(2 * both / (overlaps.voxels[t].sum() + overlaps.voxels[p].sum()))
    return scores


def _cell_insides(labels: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return the seed project's training target: cells without their outer boundaries."""
    from skimage.segmentation import find_boundaries

    inside = np.zeros(labels.shape, dtype=np.uint8)
    for slab, core in _slabs(labels.shape, halo=1):
        here = labels[slab]
        boundary = find_boundaries(here, mode="outer", connectivity=min(3, labels.ndim))  # type: ignore[no-untyped-call]
        inside[slab][core] = ((here > 0) & ~boundary)[core]
    return inside


def _iou(both: int, in_truth: int, in_prediction: int) -> Score:
    return _ratio(both, in_truth + in_prediction - both, empty=1.0)


def _ratio(part: float, whole: float, *, empty: Score = None) -> Score:
    return float(part / whole) if whole > 0 else empty
