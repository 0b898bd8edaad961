"""A slice of a validation stack: what the microscope saw, what is true, and what a network says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.picture.curves import BLUE, GREEN, ORANGE, PURPLE
from napari_scutoid.picture.paint import coloured, grey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
"""Of the outputs, in their order; foreground and boundary are the first two."""
_GAP = 4


def look_picture(
    image: NDArray[Any], labels: NDArray[np.integer], maps: Mapping[str, NDArray[np.floating]]
) -> NDArray[np.uint8]:
    """Draw a slice three times beside each other: raw, true cells, prediction.

    Parameters
    ----------
    image : ndarray, shape (y, x)
        Intensities of any kind.
    labels : ndarray of integers, shape (y, x)
        True cells, in colours that depend on their id.
    maps : mapping of str to ndarray of floats, shape (y, x)
        Probabilities, each in a colour of `COLOURS`, which add up; the output ``background`` is left out.

    Returns
    -------
    ndarray of uint8, shape (y, 3 x + 2 gaps, 3)

    Raises
    ------
    ValueError
        When shapes differ.
    """
    for name, plane in {"labels": labels, **maps}.items():
        if plane.shape != image.shape:
            raise ValueError(f"{name} has shape {plane.shape}, image {image.shape}")
    light = np.zeros((*image.shape, 3), np.float32)
    shown = [plane for name, plane in maps.items() if name != "background"]
    for number, plane in enumerate(shown):
        colour = np.array(COLOURS[number % len(COLOURS)], np.float32)
        light += np.clip(plane, 0, 1)[..., None] * colour
    gap = np.full((image.shape[0], _GAP, 3), 255, np.uint8)
    predicted = np.clip(light, 0, 255).astype(np.uint8)
    # Half precision overflows in sums over a large slice.
    return np.concatenate([grey(image.astype(np.float32)), gap, coloured(labels), gap, predicted], axis=1)
