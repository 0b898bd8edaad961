"""How well the boundaries of two segmentations lie on each other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.metrics.overlaps import check_shapes
from napari_scutoid.metrics.ratio import ratio
from napari_scutoid.metrics.slabs import slabs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.metrics.ratio import Score

BOUNDARY_TOLERANCE = 2.0
"""Distance in voxels (edges of a cube of a voxel's volume) up to which two boundaries count as the same."""


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
        In voxels: edges of a cube (square) of one voxel's volume (area). At 0, boundaries have to coincide.

    Returns
    -------
    precision, recall, f1 : float or None
        None where there is no boundary to judge; F1 is 0 where only one of both has any.

    Raises
    ------
    ValueError
        When shapes differ, the spacing has not one positive number per axis, or the tolerance is negative or no number.
    """
    import edt
    from skimage.segmentation import find_boundaries

    check_shapes(prediction, truth)
    edges = np.ones(truth.ndim) if spacing is None else np.asarray(spacing, dtype=np.float64)
    if edges.shape != (truth.ndim,) or not np.all(np.isfinite(edges) & (edges > 0)):
        raise ValueError(f"spacing must be {truth.ndim} positive numbers for shape {truth.shape}, not {spacing}")
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance must be a number of voxels, 0 or more, not {tolerance}")
    unit = tuple(float(edge) for edge in edges / np.exp(np.log(edges).mean()))

    hits, totals = np.zeros(2, np.int64), np.zeros(2, np.int64)
    # One plane more than the tolerance reaches: boundaries in a slab's outermost plane are not all seen.
    for slab, core in slabs(truth.shape, halo=math.ceil(tolerance / unit[0]) + 1):
        lines = [
            find_boundaries(labels[slab], mode="inner", connectivity=1)  # type: ignore[no-untyped-call]
            for labels in (prediction, truth)
        ]
        for i, (own, other) in enumerate((lines, reversed(lines))):
            distance = edt.edt(np.ascontiguousarray(~other), anisotropy=unit, black_border=False, parallel=0)
            hits[i] += np.count_nonzero(own[core] & (distance[core] <= tolerance * (1 + 1e-6)))
            totals[i] += np.count_nonzero(own[core])
    precision, recall = ratio(hits[0], totals[0]), ratio(hits[1], totals[1])
    if precision is None or recall is None:
        # Boundaries on one side only are all wrong; on neither side there is nothing to judge.
        return precision, recall, None if precision is recall else 0.0
    return precision, recall, ratio(2 * precision * recall, precision + recall, empty=0.0)
