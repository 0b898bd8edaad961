"""Learning curves of a training run, as a picture."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_scutoid.picture.axis import Axis, fitted_axis, linear_axis, round_axis

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from PIL import Image, ImageDraw

    Colour = tuple[int, int, int]
    Point = tuple[float, float]
    Column = Sequence[float | None]

# The palette for the colour-blind by Okabe and Ito (2008), without its yellow, which is lost on white.
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = (
    *((0, 114, 178), (230, 159, 0), (0, 158, 115)),
    *((213, 94, 0), (86, 180, 233), (204, 121, 167)),
)
INK, FAINT, GRID, BEST, PAPER = (30,) * 3, (130,) * 3, (228,) * 3, (90,) * 3, (255,) * 3

_ALONG = {"epoch": ("epoch", 1.0), "steps": ("step", 1.0), "seconds": ("minutes", 60.0)}
_IOU = "iou_"
_NAMES = {
    "train_loss": "training",
    "valid_loss": "validation",
    "dice": "Dice, mean of the outputs",
    "boundary_precision": "boundary, precision",
    "boundary_recall": "boundary, recall",
    "boundary_f1": "boundary, F1",
    "ap50": "AP50, cells found",
    "panoptic_quality": "panoptic quality",
    "arand": "ARAND error",
    "voi_split": "VOI split (bits)",
    "voi_merge": "VOI merge (bits)",
    "wrong_cells": "wrong cells (right axis)",
}
_LOSSES = {"train_loss": BLUE, "valid_loss": ORANGE}
_VOXELS = {"dice": INK, "boundary_precision": SKY, "boundary_recall": PURPLE, "boundary_f1": RED}
_IOU_COLOURS = (BLUE, GREEN, ORANGE, (120, 70, 40), (0, 60, 110), (110, 140, 0), FAINT)
_CELLS = {
    "ap50": BLUE,
    "panoptic_quality": SKY,
    "arand": ORANGE,
    "voi_split": GREEN,
    "voi_merge": PURPLE,
    "wrong_cells": RED,
}

_FINE = 3
"""Everything is drawn so many times larger and shrunk, which smooths all edges alike."""
_WIDTH, _HEIGHT = 340, 250
_LEFT, _RIGHT, _TOP, _FOOT, _LINE = 52, 44, 104, 42, 21
_MOST_DOTS = 30


@dataclass(frozen=True, slots=True)
class _Curve:
    name: str
    colour: Colour
    column: Column

    @property
    def dashed(self) -> bool:
        return self.name in _CELLS.keys() - {"ap50", "panoptic_quality"}

    @property
    def right(self) -> bool:
        return self.name == "wrong_cells"


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    hint: str
    curves: tuple[_Curve, ...]
    left: Axis
    right: Axis | None = None


def learning_curves_picture(
    columns: Mapping[str, Column], x: str = "epoch", *, best_epoch: int | None = None
) -> Image.Image:
    """Draw losses, scores of voxels and scores of cells beside each other, with the best epoch marked.

    Parameters
    ----------
    columns : mapping of str to sequence of float or None
        As `io.learning_curves.curve_columns` gives them; None where an epoch was not scored.
    x : str
        The column to the right: ``epoch``, ``steps`` or ``seconds``, which is drawn in minutes.
    best_epoch : int, optional
        The epoch whose weights are kept. Without it, that of the highest AP50, or else of the lowest loss on the
        validation stacks, the first of equals.

    Returns
    -------
    PIL.Image.Image

    Raises
    ------
    ValueError
        When a column is missing or shorter than another, or there is no such epoch.
    """
    if x not in _ALONG:
        raise ValueError(f"x must be one of {', '.join(_ALONG)}, not {x!r}")
    for name in ("epoch", x):
        if name not in columns:
            raise ValueError(f"columns must hold {name!r}, not only {', '.join(columns)}")
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError(f"columns must be of one length, not {[len(column) for column in columns.values()]}")
    best = _best_row(columns, best_epoch)
    unit, scale = _ALONG[x]
    along = [(value or 0.0) / scale for value in columns[x]]
    across = linear_axis(0.0, max(along, default=0.0), most=7, whole=x != "seconds")
    panels = _panels(columns)
    rows = max(1, *(len(panel.curves) for panel in panels))
    plot = _Plot.of_size(len(panels) * (_LEFT + _WIDTH + _RIGHT), _TOP + _HEIGHT + _FOOT + (rows + 2) * _LINE)
    plot.text((_LEFT, 16), _headline(columns, best), size=20)
    for index, panel in enumerate(panels):
        corner = (_LEFT + index * (_LEFT + _WIDTH + _RIGHT), _TOP)
        plot.frame(corner, panel, across, unit)
        if best is not None and panel.curves:
            plot.mark(corner, across.share(along[best]))
        for curve in panel.curves:
            axis = panel.right if curve.right and panel.right else panel.left
            plot.curve(corner, curve, _points(along, curve.column, across, axis))
        plot.legend(corner, panel.curves, best)
    return plot.shrunk()


def _panels(columns: Mapping[str, Column]) -> tuple[_Panel, _Panel, _Panel]:
    ious = [name for name in columns if name.startswith(_IOU)]
    colours = {name: _IOU_COLOURS[index % len(_IOU_COLOURS)] for index, name in enumerate(ious)}
    losses, voxels, cells = (
        tuple(_Curve(name, colour, columns[name]) for name, colour in some.items() if _scored(columns, name))
        for some in (_LOSSES, colours | _VOXELS, _CELLS)
    )
    counts = [*_finite(curve.column for curve in cells if curve.right)]
    loss = fitted_axis([*_finite(curve.column for curve in losses)])
    return (
        _Panel("Loss", f"lower is better{'; logarithmic' if loss.log else ''}", losses, loss),
        _Panel("Voxels", "higher is better", voxels, linear_axis(0.0, 1.0)),
        _Panel(
            "Cells",
            "solid: higher is better; dashed: lower",
            cells,
            round_axis(max([1.0, *_finite(curve.column for curve in cells if not curve.right)])),
            round_axis(max(5.0, *counts)) if counts else None,
        ),
    )


def _scored(columns: Mapping[str, Column], name: str) -> bool:
    return any(True for _ in _finite([columns.get(name, ())]))


def _finite(columns: Iterable[Column]) -> Iterator[float]:
    for column in columns:
        yield from (value for value in column if value is not None and math.isfinite(value))


def _best_row(columns: Mapping[str, Column], epoch: int | None) -> int | None:
    """Return the row of the best epoch, None where nothing says which it is."""
    if epoch is not None:
        if epoch not in columns["epoch"]:
            raise ValueError(f"best_epoch must be one that columns hold, not {epoch}")
        return columns["epoch"].index(epoch)
    for name, sign in (("panoptic_quality", -1), ("valid_loss", 1)):
        if _scored(columns, name):
            worth = [math.inf if value is None or not math.isfinite(value) else sign * value for value in columns[name]]
            return worth.index(min(worth))
    return None


def _headline(columns: Mapping[str, Column], best: int | None) -> str:
    if not columns["epoch"]:
        return "No epoch yet"
    last = f"{columns['epoch'][-1]:g}"
    if best is None:
        return f"Epoch {last}, not scored yet"
    return f"Best epoch: {columns['epoch'][best]:g} of {last}"


def _points(along: Sequence[float], column: Column, across: Axis, up: Axis) -> list[Point]:
    """Return where the scored epochs are, as shares of the plot to the right and upwards."""
    return [
        (across.share(place), up.share(value))
        for place, value in zip(along, column, strict=True)
        if value is not None and math.isfinite(value)
    ]


def _spoken(name: str) -> str:
    return _NAMES.get(name) or f"{name.removeprefix(_IOU).replace('_', ' ')}, IoU"


def _shown(value: float) -> str:
    return (
        f"{value:.0f}"
        if value == int(value) and abs(value) >= 2
        else f"{value:.3g}"
        if abs(value) < 0.1
        else f"{value:.3f}"
    )


@dataclass(frozen=True, slots=True)
class _Plot:
    """A canvas in pixels of the final picture, `_FINE` times finer inside."""

    canvas: Image.Image
    draw: ImageDraw.ImageDraw

    @classmethod
    def of_size(cls, width: int, height: int) -> _Plot:
        from PIL import Image, ImageDraw

        canvas = Image.new("RGB", (_FINE * width, _FINE * height), PAPER)
        return cls(canvas, ImageDraw.Draw(canvas))

    def shrunk(self) -> Image.Image:
        return self.canvas.reduce(_FINE)

    def text(self, at: Point, text: str, *, colour: Colour = INK, size: int = 13, anchor: str = "la") -> None:
        from PIL import ImageFont

        place = (_FINE * at[0], _FINE * at[1])
        self.draw.text(place, text, fill=colour, font=ImageFont.load_default(_FINE * size), anchor=anchor)

    def line(self, points: Sequence[Point], colour: Colour, width: float = 1.0) -> None:
        fine = [(_FINE * x, _FINE * y) for x, y in points]
        self.draw.line(fine, fill=colour, width=round(_FINE * width), joint="curve")

    def frame(self, corner: Point, panel: _Panel, across: Axis, unit: str) -> None:
        """Draw title, grid, axes and numbers of a panel."""
        left, top = corner
        right, bottom = left + _WIDTH, top + _HEIGHT
        self.text((left, top - 33), panel.title, size=16, anchor="ls")
        self.text((left, top - 15), panel.hint, colour=FAINT, anchor="ls")
        if panel.curves:
            self._numbers(corner, panel, across)
            self.text(((left + right) / 2, bottom + 28), unit, anchor="ma")
        else:
            self.text(((left + right) / 2, (top + bottom) / 2), "not scored yet", colour=FAINT, size=16, anchor="mm")
        self.line([(left, top), (left, bottom), (right, bottom)], INK if panel.curves else GRID)

    def _numbers(self, corner: Point, panel: _Panel, across: Axis) -> None:
        left, top = corner
        right, bottom = left + _WIDTH, top + _HEIGHT
        for tick in panel.left.ticks:
            y = bottom - _HEIGHT * panel.left.share(tick)
            self.line([(left, y), (right, y)], GRID)
            self.text((left - 8, y), f"{tick:g}", anchor="rm")
        for tick in across.ticks:
            x = left + _WIDTH * across.share(tick)
            self.line([(x, bottom), (x, bottom + 5)], INK)
            self.text((x, bottom + 9), f"{tick:g}", anchor="ma")
        if panel.right:
            self.line([(right, top), (right, bottom)], _CELLS["wrong_cells"])
            for tick in panel.right.ticks:
                y = bottom - _HEIGHT * panel.right.share(tick)
                self.text((right + 8, y), f"{tick:g}", colour=_CELLS["wrong_cells"], anchor="lm")

    def mark(self, corner: Point, share: float) -> None:
        """Draw the line of the best epoch."""
        x = corner[0] + _WIDTH * share
        for piece in _dashes([(x, corner[1]), (x, corner[1] + _HEIGHT)], 2.0, 3.0):
            self.line(piece, BEST)
        self.text((x, corner[1] - 3), "best", colour=BEST, size=11, anchor="ms")

    def curve(self, corner: Point, curve: _Curve, shares: Sequence[Point]) -> None:
        points = [(corner[0] + _WIDTH * x, corner[1] + _HEIGHT * (1 - y)) for x, y in shares]
        for piece in _dashes(points) if curve.dashed else [points]:
            self.line(piece, curve.colour, 2.0)
        if len(points) <= _MOST_DOTS:
            for x, y in points:
                self.dot((x, y), curve.colour)

    def dot(self, at: Point, colour: Colour) -> None:
        x, y, radius = _FINE * at[0], _FINE * at[1], _FINE * 3
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def legend(self, corner: Point, curves: Sequence[_Curve], best: int | None) -> None:
        """Name the curves, each with its value where the best epoch is, or the last before it that was scored."""
        left, y = corner[0], corner[1] + _HEIGHT + _FOOT + _LINE
        if curves:
            heading = "last" if best is None else "at the best epoch"
            self.text((left + _WIDTH, y - 6), heading, colour=FAINT, size=11, anchor="rs")
        for curve in curves:
            y += _LINE
            swatch = [(left, y - 5), (left + 26, y - 5)]
            for piece in _dashes(swatch) if curve.dashed else [swatch]:
                self.line(piece, curve.colour, 3.0)
            self.text((left + 36, y), _spoken(curve.name), anchor="ls")
            past = [*_finite([curve.column if best is None else curve.column[: best + 1]])]
            if past:
                self.text((left + _WIDTH, y), _shown(past[-1]), anchor="rs")


def _dashes(points: Sequence[Point], dash: float = 7.0, gap: float = 4.0) -> Iterator[list[Point]]:
    """Cut a line into dashes that go round its corners."""
    piece, left, drawn = list(points[:1]), dash, True
    for start, end in itertools.pairwise(points):
        length, done = math.dist(start, end), 0.0
        while length - done > left:
            done += left
            at = (start[0] + (end[0] - start[0]) * done / length, start[1] + (end[1] - start[1]) * done / length)
            if drawn:
                yield [*piece, at]
            piece, drawn = [at], not drawn
            left = dash if drawn else gap
        left -= length - done
        piece.append(end)
    if drawn and len(piece) > 1:
        yield piece
