"""Arrays as colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HIT, MISSED, INVENTED = (90, 160, 90), (220, 60, 50), (70, 110, 230)


def grey(image: NDArray[Any], low_percentile: float = 1.0, high_percentile: float = 99.0) -> NDArray[np.uint8]:
    """Return an image as grey RGB, stretched between two percentiles so that a bright line hides nothing else.

    Parameters
    ----------
    image : ndarray, shape (...)
        Any real type.
    low_percentile, high_percentile : float
        What becomes black and white.

    Returns
    -------
    ndarray of uint8, shape (..., 3)
    """
    low, high = np.percentile(image, [low_percentile, high_percentile])
    stretched = np.clip((image.astype(np.float32) - low) / max(float(high - low), 1e-6), 0, 1)
    return np.repeat((255 * np.sqrt(stretched)).astype(np.uint8)[..., None], 3, axis=-1)


def coloured(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return labels in bright colours that depend on the id only; 0 is black.

    Returns
    -------
    ndarray of uint8, shape (..., 3)
    """
    # Golden-ratio steps around the colour circle keep successive ids apart.
    hue = (labels.astype(np.float64) * 0.618034 + 0.1) % 1.0
    value = np.where(labels > 0, 0.7 + 0.3 * ((labels * 7) % 5) / 4, 0.0)
    shift = np.array([0.0, 2 / 3, 1 / 3])
    wheel = np.clip(np.abs(((hue[..., None] + shift) % 1.0) * 6 - 3) - 1, 0, 1)
    colours: NDArray[np.uint8] = (255 * value[..., None] * (0.35 + 0.65 * wheel)).astype(np.uint8)
    return colours


def errors(prediction: NDArray[Any], truth: NDArray[Any], matched: dict[int, int]) -> NDArray[np.uint8]:
    """Colour what is right and wrong: matched cells green, missed cells red, invented cells blue.

    Parameters
    ----------
    prediction, truth : ndarray of integers, same shape
        Labels, 0 for no cell.
    matched : dict
        True id for each predicted id that was found (IoU above one half).

    Returns
    -------
    ndarray of uint8, shape (..., 3)
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, truth has {truth.shape}")
    right_prediction = np.isin(prediction, list(matched))
    right_truth = np.isin(truth, list(matched.values()))
    picture = np.zeros((*truth.shape, 3), np.uint8)
    picture[(truth > 0) & right_truth] = HIT
    picture[(prediction > 0) & ~right_prediction] = INVENTED
    picture[(truth > 0) & ~right_truth] = MISSED
    wall = np.zeros(truth.shape, bool)
    for axis in range(truth.ndim):
        one = np.take(truth, range(truth.shape[axis] - 1), axis)
        other = np.take(truth, range(1, truth.shape[axis]), axis)
        place = [slice(None)] * truth.ndim
        place[axis] = slice(None, -1)
        wall[tuple(place)] |= one != other
    picture[wall] = 255
    return picture
