"""What a plane of a layer looks like, without the graphics card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.layers import Labels as LabelsLayer
    from numpy.typing import NDArray


def image_colours(layer: Image, plane: NDArray[Any]) -> NDArray[np.uint32]:
    """Return the colours of a plane of an image as Qt paints them fastest: premultiplied, 0xAARRGGBB."""
    low, high = layer.contrast_limits
    greys = np.asarray(plane, np.float32)
    greys = (greys - np.float32(low)) * np.float32(255.0 / (high - low))
    places = np.nan_to_num(np.clip(greys, 0, 255), copy=False).astype(np.uint8)
    return _packed(layer.colormap.map(np.linspace(0.0, 1.0, 256) ** layer.gamma)).take(places)


def label_colours(layer: LabelsLayer, plane: NDArray[Any]) -> NDArray[np.uint32]:
    """Return the colours of a plane of labels, as `image_colours` does."""
    if layer.contour:
        inside = np.ones(plane.shape, np.bool_)
        for axis in (0, 1):
            for step in (1, -1):
                inside &= plane == np.roll(plane, step, axis)
        plane = np.where(inside, 0, plane)
    from napari_scutoid.ui.cell_colormap import CellColormap

    if isinstance(layer.colormap, CellColormap) and plane.dtype.itemsize > 2:
        return _packed(layer.colormap.shades).take(layer.colormap.numbers(plane))
    # napari looks each pixel up by itself; there are far fewer cells.
    ids, places = np.unique(plane, return_inverse=True)
    return _packed(layer.colormap.map(ids)).take(places.reshape(plane.shape))


def _packed(colours: Any) -> NDArray[np.uint32]:
    """Return colours, shape (n, 4) of 0 to 1, as one number each."""
    shades = np.clip(np.asarray(colours, np.float64), 0, 1)
    shades[:, :3] *= shades[:, 3:]
    red, green, blue, alpha = np.rint(255 * shades).astype(np.uint32).T
    return (alpha << 24) | (red << 16) | (green << 8) | blue
