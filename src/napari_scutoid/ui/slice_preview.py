"""Pictures in a dock and in a window of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QRect, Qt
from qtpy.QtGui import QImage, QPainter, QPixmap
from qtpy.QtWidgets import QLabel, QScrollArea, QSizePolicy, QWidget

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WIDTH, HEIGHT = 1000, 760


class SlicePreview(QWidget):
    """A picture as wide as the dock; a click shows it large."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self._value: NDArray[np.uint8] | None = None
        self._pixmap: QPixmap | None = None
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def value(self) -> NDArray[np.uint8] | None:
        """Return the picture, shape (height, width, 3)."""
        return self._value

    def setValue(self, picture: NDArray[np.uint8] | None) -> None:
        """Show a picture, or nothing."""
        self._value = picture
        self._pixmap = None if picture is None else pixmap_of(picture)
        self.setVisible(picture is not None)
        self.updateGeometry()
        self.update()

    def hasHeightForWidth(self) -> bool:
        """Tell the layout that its shape stays."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Return the height at which the picture is not distorted."""
        if self._pixmap is None:
            return 0
        return max(1, round(width * self._pixmap.height() / self._pixmap.width()))

    def enlarge(self) -> PictureWindow | None:
        """Show it in a window."""
        return None if self._value is None else show_picture(self._title, self._value, self.window())

    def mousePressEvent(self, event: Any) -> None:
        """Show it large."""
        self.enlarge()

    def paintEvent(self, event: Any) -> None:
        """Draw it in its shape."""
        if self._pixmap is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        height = min(self.height(), self.heightForWidth(self.width()))
        painter.drawPixmap(QRect(0, 0, self.width(), height), self._pixmap)
        painter.end()


class PictureWindow(QScrollArea):
    """A picture in a window, in its own pixels or larger where it is small."""

    def __init__(self, title: str, picture: NDArray[np.uint8], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowFlag(Qt.WindowType.Window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self.label = QLabel()
        shown = pixmap_of(picture)
        times = max(1, min(WIDTH // max(1, shown.width()), HEIGHT // max(1, shown.height())))
        self.label.setPixmap(shown.scaled(shown.size() * times))
        self.setWidget(self.label)
        self.resize(min(WIDTH, shown.width() * times + 24), min(HEIGHT, shown.height() * times + 24))


def show_picture(title: str, picture: NDArray[np.uint8], parent: QWidget | None) -> PictureWindow:
    """Open a picture in a window of its own."""
    window = PictureWindow(title, picture, parent)
    window.show()
    return window


def pixmap_of(picture: NDArray[np.uint8]) -> QPixmap:
    """Return red, green and blue, shape (height, width, 3), as Qt shows them."""
    height, width, _ = picture.shape
    image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image)
