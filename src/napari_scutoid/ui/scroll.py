"""A column of widgets that scrolls up and down, and is never narrower than what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QResizeEvent

MARGIN = 4


class ScrollColumn(QScrollArea):
    """Shows widgets below each other; what lies beyond a right edge nobody finds.

    Parameters
    ----------
    widgets : sequence of QWidget
        From top to bottom.
    stretched : QWidget, optional
        The one of them that takes the room that is left; without it, that stays empty below.
    """

    def __init__(self, widgets: Sequence[QWidget], stretched: QWidget | None = None) -> None:
        super().__init__()
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        for widget in widgets:
            column.addWidget(widget, int(widget is stretched))
        if stretched is None:
            column.addStretch(1)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)

    def minimumSizeHint(self) -> QSize:
        """Return the width of the content and of the bar beside it."""
        content, bar = self.widget(), self.verticalScrollBar()
        width = 0 if content is None or bar is None else content.minimumSizeHint().width() + bar.sizeHint().width()
        return QSize(width, super().minimumSizeHint().height())

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Ask for another width when the content has changed."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest and watched is self.widget():
            self.updateGeometry()
            self._fit()
            # What changes while the content is laid out asks for no layout again.
            QTimer.singleShot(0, self._fit)
        return bool(super().eventFilter(watched, event))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Fit the content's height to the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Give words that wrap the height they need at this width; the area itself asks for their least one."""
        content, view = self.widget(), self.viewport()
        layout = None if content is None else content.layout()
        if content is not None and layout is not None and view is not None:
            wrapped = layout.totalHeightForWidth(view.width()) if layout.hasHeightForWidth() else 0
            content.setMinimumHeight(max(wrapped, layout.totalMinimumSize().height()))
