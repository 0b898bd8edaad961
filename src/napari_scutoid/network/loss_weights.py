"""Weights of voxels that teach a network to keep touching cells apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.steps.boundaries import find_boundaries
from napari_scutoid.volume import VoxelSize, as_label_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.recipe.train import Loss


def separation_weights(labels: NDArray[Any], settings: Loss, spacing: Sequence[float]) -> NDArray[np.float32]:
    """Return the weight of each voxel in the loss, w_bal + lambda w_sep, of the U-Net for cell counting [1]_.

    With d1 and d2 the distances to the nearest and the second nearest cell, v_bal ``settings.background_weight``,
    sigma_bal ``settings.background_sigma``, lambda ``settings.separation`` and sigma_sep
    ``settings.separation_sigma``:

    * w_bal = 1 in cells, and v_bal + (1 - v_bal) exp(-d1² / (2 sigma_bal²)) in the background;
    * w_sep = exp(-(d1 + d2)² / (2 sigma_sep²)).

    In the background, this is the paper's weight. The authors draw a ridge of background, one voxel wide, between cells
    that touch, and their program [2]_ adds w_sep in the background and on that ridge only, where it takes d1 as 0.
    Cells that touch have no such ridge here, since what parts them is an output of its own: w_sep counts in the
    background and in the outermost voxels of cells, on both sides of a contact, with d1 = 0 and d2 the distance to the
    nearest other cell.

    Parameters
    ----------
    labels : ndarray of integers, shape (z, y, x)
        One id per cell, 0 elsewhere. What is unknown counts as background; give it no weight afterwards.
    settings : Loss
        The four constants; both sigmas are in voxels of the finest axis.
    spacing : sequence of 3 floats
        Voxel edges along z, y, x; only their ratio matters.

    Returns
    -------
    ndarray of float32, shape (z, y, x)
        At least v_bal and at most 1 + lambda.

    Raises
    ------
    ValueError
        When the labels have not three axes or are no whole, non-negative numbers, or an edge is not positive.

    References
    ----------
    .. [1] T. Falk et al. (2019), U-Net: deep learning for cell counting, detection, and morphometry, Nature Methods 16,
           67-70, online methods.
    .. [2] ``addLabelsAndWeightsToBlobs`` in ``TrainingSample.java`` of https://github.com/lmb-freiburg/Unet-Segmentation

    Examples
    --------
    >>> from napari_scutoid.recipe.train import Loss
    >>> labels = np.array([[[1, 1, 0, 2, 0, 0, 0]]])
    >>> separation_weights(labels, Loss(separation=10, separation_sigma=1), (1, 1, 1)).round(1)
    array([[[1. , 2.4, 2.3, 2.4, 1. , 1. , 1. ]]], dtype=float32)
    """
    nearest, second = two_nearest_cells(labels, spacing)
    spread = np.exp(-0.5 * (nearest / np.float32(settings.background_sigma)) ** 2)
    balance = settings.background_weight + (1 - settings.background_weight) * spread  # 1 in cells, where nearest is 0
    apart = np.exp(-0.5 * ((nearest + second) / np.float32(settings.separation_sigma)) ** 2)
    cells = as_label_array(labels)
    apart *= (cells == 0) | find_boundaries(cells, mode="inner", connectivity=1)
    weights: NDArray[np.float32] = (balance + settings.separation * apart).astype(np.float32, copy=False)
    return weights


def two_nearest_cells(
    labels: NDArray[Any], spacing: Sequence[float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each voxel's distances to the nearest and to the second nearest cell, exactly.

    Two cells differ in at least one binary digit of their numbers. For one digit, the distances to the cells with a 0
    and to those with a 1 are two ordinary distance transforms. The nearest cell has one of the two values, so the
    smaller is the distance to it, and the larger that to the nearest cell of the other value. The least of the larger
    ones, over all digits, is the distance to the second nearest cell. That takes two transforms per digit, 18 for 500
    cells, and no cell by itself.

    Parameters
    ----------
    labels : ndarray of integers, shape (z, y, x)
        One id per cell, 0 elsewhere. Pieces with one id are one cell.
    spacing : sequence of 3 floats
        Voxel edges along z, y, x; only their ratio matters.

    Returns
    -------
    nearest, second : ndarray of float32, shape (z, y, x)
        Between voxel centres, in edges of the finest axis; 0 in the cell itself, infinite where there is no such cell.

    Raises
    ------
    ValueError
        As `separation_weights`.
    """
    import edt

    array = np.asarray(labels)
    if array.ndim != 3:
        raise ValueError(f"labels need three axes (z, y, x); got shape {array.shape}")
    if len(spacing) != 3:
        raise ValueError(f"spacing must be three positive numbers (z, y, x), not {tuple(spacing)}")
    edges = VoxelSize.checked(*spacing)
    unit = tuple(edge / min(edges) for edge in edges)
    cells = as_label_array(array)
    inside = cells > 0
    ids, number = np.unique(cells[inside], return_inverse=True)
    nearest = np.full(cells.shape, np.inf, np.float32)
    second = nearest.copy()
    for digit in range(max(1, int(len(ids) - 1).bit_length())):
        is_one = np.zeros(cells.shape, np.bool_)
        is_one[inside] = number >> digit & 1
        # One thread: patches are small, and several are made at once.
        to_ones, to_zeros = (
            edt.edtsq(~members, anisotropy=unit, black_border=False, parallel=1)
            for members in (is_one, inside & ~is_one)
        )
        if digit == 0:
            np.minimum(to_ones, to_zeros, out=nearest)
        np.minimum(second, np.maximum(to_ones, to_zeros), out=second)
    return np.sqrt(nearest), np.sqrt(second)
