"""Bars that compare the sizes of cells before and after a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPalette
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from qtpy.QtGui import QPaintEvent

    from napari_scutoid.steps.cell_sizes import SizeHistograms

AFTER = QColor(230, 140, 40)
HEIGHT = 110


class SizeHistogram(QWidget):
    """Paints how many cells there are of each size: before as outlines, after as bars."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sizes: SizeHistograms | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setVisible(False)

    def value(self) -> SizeHistograms | None:
        """Return what is shown."""
        return self._sizes

    def setValue(self, sizes: SizeHistograms | None) -> None:
        """Show histograms; the widget hides where there are none."""
        self._sizes = sizes
        self.setVisible(sizes is not None)
        if sizes is not None:
            low, high = sizes.edges[0], sizes.edges[-1]
            self.setToolTip(
                f"<qt>Cells by size, from {_number(low)} to {_number(high)} {sizes.unit}, on a "
                "logarithmic axis. Line: before. Bars: after. A hump far to the left are fragments, one at twice the "
                "usual size are merged cells.</qt>"
            )
        self.update()

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the rest of a dock."""
        return QSize(240, HEIGHT)

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        """Paint the bars and the ends of the axis."""
        sizes = self._sizes
        if sizes is None:
            return
        painter = QPainter(self)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        line = painter.fontMetrics().height()
        area = QRectF(0, line + 2, self.width() - 1, self.height() - 2 * line - 6)
        tallest = max(1, int(sizes.before.max(initial=0)), int(sizes.after.max(initial=0)))
        step = area.width() / len(sizes.after)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(AFTER)
        for i, count in enumerate(sizes.after.tolist()):
            painter.drawRect(QRectF(i * step + 1, area.bottom(), step - 2, -area.height() * count / tallest))
        painter.setPen(text)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        levels = [area.bottom() - area.height() * count / tallest for count in sizes.before.tolist()]
        for i, level in enumerate(levels):
            painter.drawLine(round(i * step), round(level), round((i + 1) * step), round(level))
            nxt = levels[i + 1] if i + 1 < len(levels) else area.bottom()
            painter.drawLine(round((i + 1) * step), round(level), round((i + 1) * step), round(nxt))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        top = QRectF(0, 0, self.width(), line)
        painter.drawText(top, Qt.AlignmentFlag.AlignLeft, f"{tallest} cells")
        painter.drawText(top, Qt.AlignmentFlag.AlignRight, "— before")
        painter.setPen(AFTER)
        beside = painter.fontMetrics().horizontalAdvance("— before  ")
        painter.drawText(top.adjusted(0, 0, -beside, 0), Qt.AlignmentFlag.AlignRight, "■ after")
        painter.setPen(text)
        foot = QRectF(0, self.height() - line, self.width(), line)
        painter.drawText(foot, Qt.AlignmentFlag.AlignLeft, f"{_number(sizes.edges[0])} {sizes.unit}")
        painter.drawText(foot, Qt.AlignmentFlag.AlignRight, f"{_number(sizes.edges[-1])} {sizes.unit}")
        painter.end()


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
