"""A picture of two segmentations that says which cells are wrong, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.picture.paint import grey
from napari_scutoid.picture.sections import Judged, Section, sections, telling_place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from PIL import Image, ImageDraw

    from napari_scutoid.volume import ArrayLike

# The palette for the colour-blind by Okabe and Ito (2008), with a green so dark that what is wrong stands out.
COLOURS: Mapping[str, tuple[int, int, int]] = {
    "matched": (0, 105, 70),
    "split": (240, 228, 66),
    "merged": (86, 180, 233),
    "missed": (213, 94, 0),
    "invented": (204, 121, 167),
}
EMPTY = (24, 24, 24)

_OF_TRUE = {
    "matched": "matched: found, overlap (IoU) above one half",
    "split": "split: cut up into several predicted cells",
    "merged": "merged: shares its predicted cell with another",
    "missed": "missed: no predicted cell is like it",
}
_OF_PREDICTED = {
    "matched": "matched: the same as a true cell",
    "split": "split: pieces of a true cell",
    "merged": "merged: several true cells in one",
    "invented": "invented: no true cell is like it",
}

_BOX, _NARROWEST = 640, 380
_MARGIN, _GAP, _LINE, _TICK = 28, 32, 20, 5
_PAPER, _INK, _TRUE_LINE, _PREDICTED_LINE = (255,) * 3, (20,) * 3, (255,) * 3, (0,) * 3


def draw_verdicts(
    truth: Judged,
    prediction: Judged,
    *,
    spacing: Sequence[float] | None = None,
    image: ArrayLike | None = None,
    title: str = "",
) -> Image.Image:
    """Draw XY, XZ and YZ sections of the true cells and of the predicted cells, coloured by verdict.

    They are cut where most voxels are wrong; true boundaries are white, predicted ones black.

    Parameters
    ----------
    truth, prediction : Judged
        Of one shape.
    spacing : sequence of three floats, optional
        Voxel edges along z, y, x in micrometres; without it voxels are drawn as cubes.
    image : ArrayLike, shape (z, y, x), optional
        Intensities to be seen under the colours; read plane by plane.
    title : str
        What is compared with what.

    Raises
    ------
    ValueError
        When shapes differ.
    """
    for name, data in (("prediction", prediction.labels), ("image", image)):
        if data is not None and tuple(data.shape) != truth.labels.shape:
            raise ValueError(f"{name} has shape {tuple(data.shape)}, truth {truth.labels.shape}")
    cuts = sections(truth.labels.shape, telling_place(truth, prediction), spacing or (1.0, 1.0, 1.0), _BOX)
    unders = _greys(cuts, image)
    xy, xz, yz = cuts
    corners = ((0, 0), (0, xy.height + _GAP + _LINE), (xy.width + _GAP, 0))
    wide = max(_NARROWEST, xy.width + _GAP + max(yz.width, 4 * _LINE))
    top = 5 * _LINE
    below = top + corners[1][1] + xz.height + _GAP
    foot = below + (len(_OF_TRUE) + 1) * _LINE
    page = _Page.of_size(2 * wide + 4 * _MARGIN, foot + 2 * _LINE)
    page.write((_MARGIN, _LINE // 2), title)
    lefts = (_MARGIN, 3 * _MARGIN + wide)
    for left, side, heading, meanings in zip(
        lefts, (truth, prediction), ("true cells", "predicted cells"), (_OF_TRUE, _OF_PREDICTED), strict=True
    ):
        page.write((left, 2 * _LINE), f"{len(side.verdicts)} {heading}", large=True)
        for cut, under, (x, y) in zip(cuts, unders, corners, strict=True):
            page.section(cut, (left + x, top + y), _painted(cut, side, truth, under))
        page.legend((left, below), side, meanings)
    note = "White lines: boundaries of true cells. Black: of predicted cells."
    if spacing is None:
        page.write((lefts[0], foot), f"{note} Voxel size unknown: drawn as cubes.")
    else:
        page.write((lefts[0], foot), note)
        page.scale_bar((lefts[1], foot), xy.width / (truth.labels.shape[2] * spacing[2]))
    return page.canvas


def _greys(cuts: Sequence[Section], image: ArrayLike | None) -> list[NDArray[np.uint8] | None]:
    """Return the image under each section, all stretched alike."""
    if image is None:
        return [None] * len(cuts)
    planes = [cut.cut(image) for cut in cuts]
    levels = grey(np.concatenate([plane.ravel() for plane in planes]))[:, 0]
    parts = np.split(levels, np.cumsum([plane.size for plane in planes])[:-1])
    return [part.reshape(plane.shape) for part, plane in zip(parts, planes, strict=True)]


def _painted(cut: Section, side: Judged, truth: Judged, under: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Return one section as colours, shape (height, width, 3)."""
    labels = cut.cut(side.labels)
    ids, place = np.unique(labels, return_inverse=True)
    palette = np.array([COLOURS[side.verdicts[i]] if i else EMPTY for i in ids.tolist()], np.float32)
    colours = palette[place.reshape(labels.shape)]
    if under is not None:
        light = under[..., None] / np.float32(255)
        colours = np.where(labels[..., None] > 0, colours * (0.6 + 0.4 * light), 255 * light)
    pixels = cut.stretch(colours.astype(np.uint8))
    if side is not truth:
        pixels[_edges(cut.stretch(labels))] = _PREDICTED_LINE
    pixels[_edges(cut.stretch(cut.cut(truth.labels)))] = _TRUE_LINE
    return pixels


def _edges(labels: NDArray[Any]) -> NDArray[np.bool_]:
    edges = np.zeros(labels.shape, np.bool_)
    edges[:-1] |= labels[1:] != labels[:-1]
    edges[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    return edges


@dataclass(frozen=True, slots=True)
class _Page:
    canvas: Image.Image
    draw: ImageDraw.ImageDraw

    @classmethod
    def of_size(cls, width: int, height: int) -> _Page:
        from PIL import Image, ImageDraw

        canvas = Image.new("RGB", (width, height), _PAPER)
        return cls(canvas, ImageDraw.Draw(canvas))

    def write(self, at: tuple[float, float], text: str, *, large: bool = False, anchor: str = "la") -> None:
        from PIL import ImageFont

        self.draw.text(at, text, fill=_INK, font=ImageFont.load_default(18 if large else 14), anchor=anchor)

    def section(self, cut: Section, corner: tuple[int, int], pixels: NDArray[np.uint8]) -> None:
        """Place a section with its caption, the names of its axes, and marks where the others cut it."""
        from PIL import Image

        self.canvas.paste(Image.fromarray(pixels), corner)
        left, top = corner
        right, bottom = left + cut.width, top + cut.height
        self.write((left, top - _TICK - 3), cut.caption, anchor="ls")
        x, y = left + cut.mark[0], top + cut.mark[1]
        for near, far in ((left - _TICK, left - 2), (right + 1, right + _TICK - 1)):
            self.draw.line((near, y, far, y), fill=_INK, width=2)
        for near, far in ((top - _TICK, top - 2), (bottom + 1, bottom + _TICK - 1)):
            self.draw.line((x, near, x, far), fill=_INK, width=2)
        self.write((left - 14, top + 6), cut.down, anchor="mm")
        self._arrow((left - 14, top + 16), (left - 14, top + 32))
        self.write((left + 4, bottom + 14), cut.across, anchor="mm")
        self._arrow((left + 14, bottom + 14), (left + 30, bottom + 14))

    def _arrow(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        (x, y), across = end, start[1] == end[1]
        self.draw.line((start, end), fill=_INK, width=1)
        wings = ((x - 5, y - 3), (x - 5, y + 3)) if across else ((x - 3, y - 5), (x + 3, y - 5))
        self.draw.polygon((end, *wings), fill=_INK)

    def legend(self, corner: tuple[int, int], side: Judged, meanings: Mapping[str, str]) -> None:
        """Say what each colour means, and how many cells have it."""
        left, top = corner
        for verdict, meaning in meanings.items():
            self.draw.rectangle((left, top + 2, left + 14, top + 16), fill=COLOURS[verdict], outline=_INK)
            self.write((left + 52, top + 15), str(side.count(verdict)), anchor="rs")
            self.write((left + 60, top + 15), meaning, anchor="ls")
            top += _LINE

    def scale_bar(self, corner: tuple[int, int], pixels_per_um: float) -> None:
        """Draw a bar of 1, 2 or 5 times a power of ten micrometres, 50 to 125 pixels long."""
        exponent = math.floor(math.log10(125 / pixels_per_um))
        length = max(step * 10.0**exponent for step in (1, 2, 5) if step * 10.0**exponent * pixels_per_um <= 125)
        left, top = corner
        end = left + length * pixels_per_um
        self.draw.rectangle((left, top + 6, end, top + 10), fill=_INK)
        # The font that Pillow carries has no Greek letters.
        self.write((end + 8, top + 13), f"{length:g} um", anchor="ls")
