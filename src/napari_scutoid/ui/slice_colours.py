"""What a plane of a layer looks like, without the graphics card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.ui.edit_colours import CellColormap

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.layers import Labels as LabelsLayer
    from numpy.typing import NDArray


def image_colours(layer: Image, plane: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the colours of a plane of an image, shape (rows, columns, 4)."""
    low, high = layer.contrast_limits
    table = layer.colormap.map(np.linspace(0.0, 1.0, 256) ** layer.gamma)
    greys = (np.asarray(plane, np.float32) - low) * (255.0 / (high - low))
    np.clip(greys, 0, 255, out=greys)
    return _as_bytes(table)[np.nan_to_num(greys, copy=False).astype(np.uint8)]


def label_colours(layer: LabelsLayer, plane: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the colours of a plane of labels, shape (rows, columns, 4)."""
    if layer.contour:
        inside = np.ones(plane.shape, np.bool_)
        for axis in (0, 1):
            for step in (1, -1):
                inside &= plane == np.roll(plane, step, axis)
        plane = np.where(inside, 0, plane)
    if isinstance(layer.colormap, CellColormap) and plane.dtype.itemsize > 2:
        return _as_bytes(layer.colormap.shades)[layer.colormap.numbers(plane)]
    # napari looks each pixel up by itself; there are far fewer cells.
    ids, places = np.unique(plane, return_inverse=True)
    return _as_bytes(np.asarray(layer.colormap.map(ids)))[places.reshape(plane.shape)]


def _as_bytes(colours: NDArray[Any]) -> NDArray[np.uint8]:
    return np.rint(255 * np.clip(colours, 0, 1)).astype(np.uint8)
