"""Two small histograms beside each other: intensities before and after normalising."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_scutoid.ui.note import Note

if TYPE_CHECKING:
    from qtpy.QtGui import QPaintEvent

    from napari_scutoid.steps.histogram import Histogram

HEIGHT = 96
BARS = "#6a9fd4"
ZERO, ONE = "#d05fd0", "#e0a030"
LOGARITHMIC = "Counts are logarithmic: a bar half as high stands for far fewer than half as many voxels."


class HistogramView(QWidget):
    """Paint counts, on a logarithmic scale, with the places of 0 and 1.

    Parameters
    ----------
    title : str
        What the intensities are.
    """

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self._histogram: Histogram | None = None
        self.setMinimumSize(80, HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(f"<qt>{title}. {LOGARITHMIC}</qt>")

    def value(self) -> Histogram | None:
        """Return what is shown."""
        return self._histogram

    def setValue(self, histogram: Histogram | None) -> None:
        """Show counts, or an empty frame."""
        self._histogram = histogram
        self.setAccessibleDescription("" if histogram is None else _in_words(histogram))
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint the bars, the two marks and the ends of the axis."""
        painter = QPainter(self)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        line = self.fontMetrics().height()
        frame = QRectF(0.5, line + 0.5, self.width() - 1, self.height() - 2 * line - 1)
        painter.setPen(ink)
        painter.drawText(0, 0, self.width(), line, Qt.AlignmentFlag.AlignLeft, self._title)
        if self._histogram is not None:
            self._paint_bars(painter, frame, self._histogram)
            self._paint_axis(painter, frame, self._histogram, ink)
        faint = QColor(ink)
        faint.setAlpha(90)
        painter.setPen(faint)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(frame)

    def _paint_bars(self, painter: QPainter, frame: QRectF, histogram: Histogram) -> None:
        heights = np.log1p(histogram.counts) / np.log1p(max(1, int(histogram.counts.max())))
        x = frame.left() + _share(histogram, histogram.edges) * frame.width()
        y = frame.bottom() - heights * (frame.height() - 4)
        outline = [QPointF(frame.left(), frame.bottom())]
        for left, right, top in zip(x[:-1], x[1:], y, strict=True):
            outline += [QPointF(left, top), QPointF(right, top)]
        outline.append(QPointF(frame.right(), frame.bottom()))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(BARS))
        painter.drawPolygon(QPolygonF(outline))

    def _paint_axis(self, painter: QPainter, frame: QRectF, histogram: Histogram, ink: QColor) -> None:
        below = QRectF(0, frame.bottom() + 1, self.width(), self.fontMetrics().height())
        painter.setPen(ink)
        for edge, side in zip(
            histogram.edges[[0, -1]], (Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight), strict=True
        ):
            painter.drawText(below, side, f"{edge:.3g}")
        for value, name, colour in ((histogram.zero, "0", ZERO), (histogram.one, "1", ONE)):
            x = frame.left() + float(_share(histogram, np.array(value))) * frame.width()
            painter.setPen(QPen(QColor(colour), 2))
            painter.drawLine(QPointF(x, frame.top()), QPointF(x, frame.bottom()))
            width = self.fontMetrics().horizontalAdvance(name)
            beside = x + 3 if x + 3 + width < frame.right() else x - 3 - width
            painter.drawText(QPointF(beside, frame.top() + self.fontMetrics().ascent()), name)


class HistogramPair(QWidget):
    """The intensities as they are and as they would be, and what becomes 0 and 1 in words."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.before, self.after = HistogramView("Intensities now"), HistogramView("Normalised")
        self.note = Note()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.before)
        row.addWidget(self.after)
        rows.addLayout(row)
        rows.addWidget(self.note)

    def value(self) -> tuple[Histogram, Histogram] | None:
        """Return both histograms."""
        before, after = self.before.value(), self.after.value()
        return None if before is None or after is None else (before, after)

    def setValue(self, pair: tuple[Histogram, Histogram] | None, note: str = "") -> None:
        """Show both; without them, say why they are missing."""
        before, after = pair or (None, None)
        self.before.setValue(before)
        self.after.setValue(after)
        self.note.setText(note if before is None else _in_words(before))


def _share(histogram: Histogram, values: np.ndarray) -> np.ndarray:
    """Where between the ends of the axis values lie, 0 to 1."""
    low, high = histogram.edges[0], histogram.edges[-1]
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def _in_words(histogram: Histogram) -> str:
    return f"{histogram.zero:.4g} becomes 0, {histogram.one:.4g} becomes 1."
