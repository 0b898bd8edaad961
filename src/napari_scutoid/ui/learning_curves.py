"""The learning curves of a run, drawn while it goes on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_scutoid.picture.axis import Axis, fitted_axis, linear_axis
from napari_scutoid.picture.curves import BLUE, FAINT, GRID, INK, ORANGE, PAPER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Record = Mapping[str, float | None]
    Colour = tuple[int, int, int]

LOSS: dict[str, tuple[str, Colour]] = {"train_loss": ("training", BLUE), "valid_loss": ("validation", ORANGE)}
CELLS: dict[str, tuple[str, Colour]] = {
    "ap50": ("AP50, cells found", BLUE),
    "panoptic_quality": ("panoptic quality", ORANGE),
}
LEFT, RIGHT, ABOVE, BELOW = 40, 10, 22, 20
HEIGHT = 280
MOST_DOTS = 40


class LearningCurves(QWidget):
    """Losses above, scores of whole cells below, an epoch to the right."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._records: list[Record] = []
        self.best: int | None = None
        self.setMinimumHeight(HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "<qt>Above: the loss, lower is better; where validation rises while training falls, the network learns by "
            "heart. Below: scores of whole cells on the validation stacks, every few epochs; both should rise.</qt>"
        )

    def value(self) -> tuple[Record, ...]:
        """Return the rows that are drawn."""
        return tuple(self._records)

    def setValue(self, records: Sequence[Record], best: int | None = None) -> None:
        """Draw rows of learning curves; `best` is the epoch to mark."""
        self._records, self.best = list(records), best
        self.update()

    def add(self, record: Record, *, best: bool) -> None:
        """Draw one more epoch; a resumed run repeats the one that it stopped in."""
        number = record["epoch"]
        self._records = [one for one in self._records if _number(one) < (number or 0)] + [record]
        if best:
            self.best = int(number or 0)
        self.update()

    def paintEvent(self, event: Any) -> None:
        """Draw both plots."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), _colour(PAPER))
        last = max((_number(one) for one in self._records), default=0)
        across = linear_axis(0.0, max(last, 1), most=6, whole=True)
        half = self.height() / 2
        losses = [value for name in LOSS for _, value in self._points(name)]
        for top, title, curves, up in (
            (0.0, "Loss", LOSS, fitted_axis(losses)),
            (half, "Cells", CELLS, linear_axis(0.0, 1.0, most=4)),
        ):
            area = QRectF(LEFT, top + ABOVE, self.width() - LEFT - RIGHT, half - ABOVE - BELOW)
            self._plot(painter, area, title, curves, across, up)
        painter.end()

    def _points(self, name: str) -> list[tuple[float, float]]:
        found = [(_number(one), one.get(name)) for one in self._records]
        return [(epoch, value) for epoch, value in found if value is not None and math.isfinite(value)]

    def _plot(
        self,
        painter: QPainter,
        area: QRectF,
        title: str,
        curves: Mapping[str, tuple[str, Colour]],
        across: Axis,
        up: Axis,
    ) -> None:
        font = painter.font()
        font.setPointSizeF(8)
        painter.setFont(font)
        for tick in up.ticks:
            y = area.bottom() - area.height() * up.share(tick)
            painter.setPen(_colour(GRID))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(_colour(INK))
            box = QRectF(0, y - 8, area.left() - 5, 16)
            painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{tick:g}")
        for tick in across.ticks:
            x = area.left() + area.width() * across.share(tick)
            painter.drawText(QRectF(x - 20, area.bottom() + 2, 40, 14), Qt.AlignmentFlag.AlignHCenter, f"{tick:g}")
        painter.drawRect(area)
        if self.best is not None:
            x = area.left() + area.width() * across.share(self.best)
            painter.setPen(QPen(_colour(FAINT), 1, Qt.PenStyle.DotLine))
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        left = area.left()
        for text, colour in ((title, INK), *curves.values()):
            painter.setPen(_colour(colour))
            painter.drawText(QPointF(left, area.top() - 7), text)
            left += painter.fontMetrics().horizontalAdvance(text) + 12
        drawn = False
        for name, (_, colour) in curves.items():
            points = [
                QPointF(area.left() + area.width() * across.share(x), area.bottom() - area.height() * up.share(y))
                for x, y in self._points(name)
            ]
            drawn = drawn or bool(points)
            painter.setPen(QPen(_colour(colour), 2))
            painter.drawPolyline(QPolygonF(points))
            if len(points) <= MOST_DOTS:
                painter.setBrush(_colour(colour))
                for point in points:
                    painter.drawEllipse(point, 2, 2)
                painter.setBrush(Qt.BrushStyle.NoBrush)
        if not drawn:
            painter.setPen(_colour(FAINT))
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "not scored yet")


def _number(record: Record) -> float:
    return record.get("epoch") or 0


def _colour(colour: Colour) -> QColor:
    return QColor(*colour)
