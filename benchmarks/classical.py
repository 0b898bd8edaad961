"""Cells by classical steps alone, for comparison: Otsu's threshold and a watershed from h-minima, on the raw image.

Intensities are taken as logarithms: walls of one gland differ tenfold in brightness, and on the image as it is Otsu's
threshold keeps only the brightest of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Setting(NamedTuple):
    """What the watershed depends on.

    Parameters
    ----------
    sigma : float
        Smoothing of the image in voxels.
    height : float
        How deep a minimum must be to make a cell: share of the range from the 1st to the 99.5th percentile.
    """

    sigma: float
    height: float


FIXED = Setting(1.5, 0.05)
"""Of the oracle's six, that of the highest mean AP50 over the shared stacks: the chain is not made worse than it is."""
ORACLE = tuple(Setting(sigma, height) for sigma in (1.0, 1.5, 2.0) for height in (0.05, 0.1))
"""The six settings of which the oracle takes the best for each stack."""
FOREGROUND_SIGMA = 3.0
LEVELS = 255


def classical(image: NDArray[Any], setting: Setting = FIXED, foreground: NDArray[np.bool_] | None = None) -> Any:
    """Return the cells that a watershed from h-minima finds.

    Parameters
    ----------
    image : ndarray, shape (z, y, x)
        Intensities of 0 and above; walls are bright.
    setting : Setting
    foreground : ndarray of bool, same shape, optional
        Where cells are; without it, where the strongly smoothed image lies above Otsu's threshold.

    Returns
    -------
    ndarray of uint32, same shape
    """
    from scipy.ndimage import gaussian_filter, label
    from skimage.morphology import h_minima
    from skimage.segmentation import watershed

    logarithm = _logarithm(image)
    if foreground is None:
        foreground = _above_otsu(gaussian_filter(logarithm, FOREGROUND_SIGMA))
    smooth = gaussian_filter(logarithm, setting.sigma)
    low, high = np.percentile(smooth, (1.0, 99.5))
    levels = np.round((smooth - low) / max(high - low, np.finfo(np.float32).tiny) * LEVELS).astype(np.int16)
    # The outside lies lowest, so that the outer flanks of the outermost walls fall towards it and make no cells.
    levels[~foreground] = levels.min() - 1
    minima = h_minima(levels, round(setting.height * LEVELS)).astype(bool) & foreground
    seeds, _ = label(minima, np.ones((3, 3, 3)))
    return watershed(levels, seeds, mask=foreground).astype(np.uint32)


def _logarithm(image: NDArray[Any]) -> NDArray[np.float32]:
    return np.log(np.maximum(image, 1), dtype=np.float32)


def _above_otsu(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    from skimage.filters import threshold_otsu

    above: NDArray[np.bool_] = image > threshold_otsu(image)
    return above
