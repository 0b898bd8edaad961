"""Random changes of a sample's intensities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.recipe.train import Augment


def changed_intensities(
    image: NDArray[np.float32], settings: Augment, rng: np.random.Generator, edges: Sequence[float] = (1.0, 1.0, 1.0)
) -> tuple[NDArray[np.float32], list[str]]:
    """Blur an image, change its slices, contrast, gamma and brightness, add noise and hide a box, each at random.

    Optics come first and the camera's noise after them, as in a microscope.

    Parameters
    ----------
    image : ndarray of float32, shape (z, y, x)
        Normalised intensities; not changed.
    settings : Augment
        Probabilities and bounds.
    rng : numpy.random.Generator
        All randomness comes from here.
    edges : sequence of three floats
        Voxel edges along z, y, x in voxels of the plane.

    Returns
    -------
    image : ndarray of float32, shape (z, y, x)
        The same array where nothing was drawn.
    words : list of str
        What was done.
    """
    words = []
    if rng.random() < settings.blur:
        sigma = rng.uniform(0, settings.blur_sigma)
        image = _blurred(image, [sigma / edge for edge in edges])
        words.append(f"blur {sigma:.2f}")
    if rng.random() < settings.slices:
        bound = settings.slices_range
        factors = 1 + rng.uniform(-bound, bound, (image.shape[0], 1, 1))
        image = image * factors.astype(np.float32)
        words.append(f"slices ±{bound:.2f}")
    if rng.random() < settings.contrast:
        # About 0, where the normalisation puts the background: the share of empty space moves its percentiles just so.
        factor = up_or_down(settings.contrast_range, rng)
        image = image * np.float32(factor)
        words.append(f"contrast {factor:.2f}")
    if rng.random() < settings.gamma:
        power = up_or_down(settings.gamma_range, rng)
        image = with_gamma(image, power)
        words.append(f"gamma {power:.2f}")
    if rng.random() < settings.brightness:
        offset = rng.uniform(-settings.brightness_range, settings.brightness_range)
        image = image + np.float32(offset)
        words.append(f"brightness {offset:+.2f}")
    if rng.random() < settings.noise:
        sigma = rng.uniform(0, settings.noise_sigma)
        image = image + rng.standard_normal(image.shape, np.float32) * np.float32(sigma)
        words.append(f"noise {sigma:.2f}")
    if rng.random() < settings.cutout:
        largest = [int(settings.cutout_share * n) for n in image.shape]
        if min(largest) > 0:
            lengths = [int(rng.integers(1, n + 1)) for n in largest]
            image = _with_a_box_hidden(image, lengths, rng)
            words.append(f"cut-out {'x'.join(map(str, lengths))}")
    return image, words


def up_or_down(bound: float, rng: np.random.Generator) -> float:
    """Draw a factor between 1 / bound and bound, its logarithm uniform so that both ways are equally likely."""
    return math.exp(rng.uniform(-1, 1) * math.log(bound))


def with_gamma(image: NDArray[np.float32], power: float) -> NDArray[np.float32]:
    """Raise intensities to a power within their own range, whose ends stay.

    Normalised intensities reach below 0 and above 1, so the range is the image's own.

    Parameters
    ----------
    image : ndarray of float32
        Any finite values.
    power : float
        Above 1 darkens, below 1 brightens.
    """
    low, high = image.min(), image.max()
    if power == 1 or low == high:
        return image
    share = (image - low) / (high - low)
    changed: NDArray[np.float32] = low + (high - low) * share ** np.float32(power)
    return changed


def _blurred(image: NDArray[np.float32], sigmas: Sequence[float]) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(image, sigmas, mode="nearest", truncate=3.0), np.float32)


def _with_a_box_hidden(
    image: NDArray[np.float32], lengths: Sequence[int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Fill a box anywhere with the mean, which is neither a wall nor a lumen."""
    corner = [int(rng.integers(n - length + 1)) for n, length in zip(image.shape, lengths, strict=True)]
    hidden = image.copy()
    hidden[tuple(slice(c, c + n) for c, n in zip(corner, lengths, strict=True))] = image.mean()
    return hidden
