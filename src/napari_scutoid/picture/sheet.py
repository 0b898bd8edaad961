"""Volumes side by side, each as a slice and a section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_GAP = 6
_CAPTION = 16


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
