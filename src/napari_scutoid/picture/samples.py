"""Training samples side by side, to see whether they still make sense after they were changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.picture.paint import coloured, grey
from napari_scutoid.picture.sections import sections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL import Image

_GAP, _LINE, _TEXT = 12, 17, 13
_PAPER, _INK, _HATCH = (255, 255, 255), (20, 20, 20), (110, 60, 60)
_STRIPE = 8


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What a network is shown, and what that is.

    Parameters
    ----------
    caption : str
        For example what was done to it.
    image : ndarray of float, shape (z, y, x)
        Normalised intensities.
    labels : ndarray of integers, shape (z, y, x)
        One id per cell, 0 elsewhere.
    known : ndarray of bool, shape (z, y, x)
        Where the labels count.
    spacing : sequence of three floats
        Voxel edges along z, y, x, of which only the ratio matters.
    """

    caption: str
    image: NDArray[np.floating]
    labels: NDArray[np.integer]
    known: NDArray[np.bool_]
    spacing: Sequence[float] = (1.0, 1.0, 1.0)


def sample_sheet(samples: Sequence[Sample], *, columns: int = 4, box: int = 320) -> Image.Image:
    """Draw the middle slice of each sample, the section XZ through its middle below, and the caption above.

    Cells are outlined in colours that depend on their id; what is unknown is hatched. All samples are stretched to one
    range of grey, so that one that was made brighter looks brighter.

    Parameters
    ----------
    samples : sequence of Sample
        At least one.
    columns : int
        Samples side by side.
    box : int
        Pixels of a sample's slice and section together, downwards.

    Raises
    ------
    ValueError
        When there is no sample, or the arrays of one differ in shape.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not samples:
        raise ValueError("samples is empty")
    for sample in samples:
        if not sample.image.shape == sample.labels.shape == sample.known.shape:
            raise ValueError(
                f"sample {sample.caption!r}: image has shape {sample.image.shape}, labels {sample.labels.shape}, "
                f"known {sample.known.shape}"
            )
    tiles = _tiles(samples, box)
    width = max(tile.shape[1] for tile in tiles)
    font = ImageFont.load_default(_TEXT)
    captions = [_wrapped(sample.caption, width, font) for sample in samples]
    columns = min(columns, len(tiles))
    rows = [slice(first, first + columns) for first in range(0, len(tiles), columns)]
    tops = [_LINE * max(map(len, captions[row])) + _LINE // 4 for row in rows]
    heights = [top + max(len(tile) for tile in tiles[row]) + _GAP for top, row in zip(tops, rows, strict=True)]
    canvas = Image.new("RGB", (columns * (width + _GAP) + _GAP, sum(heights) + _GAP), _PAPER)
    draw = ImageDraw.Draw(canvas)
    for number, (row, top) in enumerate(zip(rows, tops, strict=True)):
        upper = _GAP + sum(heights[:number])
        for column, (tile, lines) in enumerate(zip(tiles[row], captions[row], strict=True)):
            left = _GAP + column * (width + _GAP)
            draw.multiline_text((left, upper), "\n".join(lines), fill=_INK, font=font, spacing=_LINE - _TEXT)
            canvas.paste(Image.fromarray(tile), (left, upper + top))
    return canvas


def _tiles(samples: Sequence[Sample], box: int) -> list[NDArray[np.uint8]]:
    """Return each sample's slice over its section, shape (height, width, 3)."""
    cuts = [
        sections(_triple(one.image.shape), _triple([n // 2 for n in one.image.shape]), one.spacing, box)[:2]
        for one in samples
    ]
    planes = [cut.cut(one.image) for one, pair in zip(samples, cuts, strict=True) for cut in pair]
    levels = grey(np.concatenate([plane.ravel() for plane in planes]))
    greys = iter(np.split(levels, np.cumsum([plane.size for plane in planes])[:-1]))
    tiles = []
    for sample, pair in zip(samples, cuts, strict=True):
        parts = []
        for cut in pair:
            labels, known = cut.cut(sample.labels), cut.cut(sample.known)
            pixels = cut.stretch(next(greys).reshape(*labels.shape, 3))
            parts.append(_overlaid(pixels, cut.stretch(labels), cut.stretch(known)))
        above, below = parts
        parting = np.full((_GAP // 2, above.shape[1], 3), _PAPER, np.uint8)
        tiles.append(np.concatenate([above, parting, below]))
    return tiles


def _triple(numbers: Sequence[int]) -> tuple[int, int, int]:
    z, y, x = numbers
    return z, y, x


def _overlaid(pixels: NDArray[np.uint8], labels: NDArray[np.integer], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    rim = _rim(labels)
    # Transparent: whether a wall lies under its outline is what one looks for.
    pixels[rim] = pixels[rim] // 3 + coloured(labels[rim]) // 3 * 2
    down, across = np.indices(labels.shape)
    stripes = (down + across) % _STRIPE < _STRIPE // 4
    pixels[~known] //= 2
    pixels[~known & stripes] = _HATCH
    return pixels


def _rim(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return the pixels of cells that touch something else, the outer border of the picture not counted."""
    rim = np.zeros(labels.shape, np.bool_)
    for one, other in (
        (np.s_[1:, :], np.s_[:-1, :]),
        (np.s_[:, 1:], np.s_[:, :-1]),
    ):
        differ = labels[one] != labels[other]
        rim[one] |= differ
        rim[other] |= differ
    return rim & (labels > 0)


def _wrapped(text: str, width: int, font: Any) -> list[str]:
    """Break a caption before the word that would leave the width."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
