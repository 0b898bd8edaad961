"""A picture of a segmentation that says at a glance whether it is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

HIT, MISSED, INVENTED = (90, 160, 90), (220, 60, 50), (70, 110, 230)
_GAP = 6
_CAPTION = 16


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


def sheet(columns: Sequence[tuple[str, NDArray[np.uint8]]], *, z: int, y: int, z_step: float, zoom: int = 2) -> Any:
    """Lay out volumes side by side: the slice z above, the section y below, captions over each column.

    Parameters
    ----------
    columns : sequence of (caption, ndarray of uint8 with shape (z, y, x, 3))
        All of one shape.
    z, y : int
        Where to cut.
    z_step : float
        Length of a voxel along z over its length along x; the section is stretched by it.
    zoom : int
        Screen pixels per voxel.

    Returns
    -------
    PIL.Image.Image
    """
    from PIL import Image, ImageDraw

    depth, height, width, _ = columns[0][1].shape
    section = max(1, round(depth * z_step * zoom))
    size = (
        len(columns) * (width * zoom + _GAP) + _GAP,
        _CAPTION + height * zoom + _GAP + section + _GAP,
    )
    canvas = Image.new("RGB", size, (255, 255, 255))
    draw = ImageDraw.Draw(canvas)
    for index, (caption, volume) in enumerate(columns):
        left = _GAP + index * (width * zoom + _GAP)
        draw.text((left, 2), caption, fill=(0, 0, 0))
        above = Image.fromarray(volume[z]).resize((width * zoom, height * zoom), Image.Resampling.NEAREST)
        below = Image.fromarray(volume[:, y]).resize((width * zoom, section), Image.Resampling.NEAREST)
        canvas.paste(above, (left, _CAPTION))
        canvas.paste(below, (left, _CAPTION + height * zoom + _GAP))
    return canvas
