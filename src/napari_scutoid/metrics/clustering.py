"""How much a segmentation tells about the reference, whichever ids and however many cells both have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.metrics.overlaps import Overlaps, sizes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.metrics.ratio import Score


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


def _within_truth(overlaps: Overlaps) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return voxels of pairs, true cells and predicted cells, counting only where the reference has a cell."""
    cell = overlaps.truth > 0
    inside = Overlaps(overlaps.truth[cell], overlaps.prediction[cell], overlaps.voxels[cell])
    true, predicted = sizes(inside)
    return inside.voxels.astype(np.float64), true.voxels.astype(np.float64), predicted.voxels.astype(np.float64)


def _entropy(shares: NDArray[np.float64]) -> float:
    return float(-(shares * np.log2(shares)).sum())
