"""One plane of the viewer's stacks seen from the side, painted by Qt: no second OpenGL window, no copy of the data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from napari_scutoid.ui import layers
from napari_scutoid.ui.slice_colours import image_colours, label_colours

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import napari
    from napari.layers import Layer
    from numpy.typing import NDArray

LINE = "#ffd24a"
GAP = 6
"""Pixels around the crosshair's middle that its lines leave free."""
STILL = 4
"""Pixels that the mouse may move in a click."""
ZOOM = 1.15
"""How much a step of the wheel zooms."""
SHOWN = ("image", "labels")
"""Kinds of layers that are shown from the side."""
SHOWN_AGAIN = frozenset(
    "set_data labels_update data colormap contrast_limits gamma opacity blending visible contour show_selected_label "
    "selected_label scale translate".split()
)
"""Events of a layer after which it looks different from the side, too."""
_BLENDINGS = {
    "additive": QPainter.CompositionMode.CompositionMode_Plus,
    "minimum": QPainter.CompositionMode.CompositionMode_Darken,
    "multiplicative": QPainter.CompositionMode.CompositionMode_Multiply,
}
_BUTTONS = {Qt.MouseButton.LeftButton: 1, Qt.MouseButton.RightButton: 2, Qt.MouseButton.MiddleButton: 3}
_MODIFIERS = {
    Qt.KeyboardModifier.ShiftModifier: "Shift",
    Qt.KeyboardModifier.ControlModifier: "Control",
    Qt.KeyboardModifier.AltModifier: "Alt",
}


@dataclass(frozen=True, slots=True)
class SideEvent:
    """What the mouse did, as napari's own events say it.

    Parameters
    ----------
    type : {"mouse_press", "mouse_move", "mouse_release", "mouse_double_click"}
    position : tuple of 3 floats
        In the world.
    dims_displayed : list of 2 ints
        Axes of the plane.
    button : int
        1 is the left one, 2 the right one.
    modifiers : tuple of str
        ``"Shift"``, ``"Control"``, ``"Alt"``.
    pos : tuple of 2 floats
        In the widget.
    """

    type: str
    position: tuple[float, ...]
    dims_displayed: list[int]
    button: int = 1
    modifiers: tuple[str, ...] = ()
    pos: tuple[float, float] = (0.0, 0.0)
    view_direction: None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Something drawn over the planes while a tool is used.

    Parameters
    ----------
    places : ndarray, shape (n, 3)
        In the world; joined by a line.
    colour : str
    is_line : bool
        Whether they are joined; else they are dots.
    """

    places: NDArray[np.float64]
    colour: str = LINE
    is_line: bool = False


@dataclass
class _Held:
    """A button that is down."""

    where: QPointF
    centre: tuple[float, float]
    by_tool: bool = False
    moved: bool = field(default=False)


class SliceView(QWidget):
    """A plane through the viewer's images and labels.

    Wheel: zoom; with Ctrl, as in napari, the next plane. Drag: move the view. Click: `pointed`. Double click: show all.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Its layers are shown as they are there: visible ones, with their colours, contrast and opacity.
    down, right : int
        Axes of the stack (z, y, x) that point down and to the right.

    Signals
    -------
    pointed : tuple of 3 floats
        The user clicked this place in the world.
    """

    pointed = Signal(object)

    def __init__(self, viewer: napari.Viewer, down: int, right: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.down, self.right = down, right
        self.across = 3 - down - right
        self.tool: Callable[[SideEvent], bool] | None = None
        self._point = (0.0, 0.0, 0.0)
        self._marks: Sequence[Mark] = ()
        self._centre: tuple[float, float] | None = None
        self._zoom = 1.0
        self._held: _Held | None = None
        self.setMinimumSize(80, 60)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setAccessibleName(f"{'zyx'[right]} to the right, {'zyx'[down]} downwards")
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.events.reordered.connect(self._on_changed)
        for layer in viewer.layers:
            layer.events.connect(self._on_layer)

    # What is shown.

    def point(self) -> tuple[float, float, float]:
        """Return the place of the crosshair, in the world."""
        return self._point

    def setPoint(self, point: Sequence[float], *, centre: bool = False) -> None:
        """Move the crosshair, and the plane with it.

        Parameters
        ----------
        point : sequence of 3 floats
            In the world.
        centre : bool
            Whether to move the view there as well; it moves anyhow where the crosshair would leave it.
        """
        z, y, x = map(float, point)
        self._point = (z, y, x)
        there = (self._point[self.down], self._point[self.right])
        if self._centre is not None and (centre or not self.rect().contains(self._to_screen(*there).toPoint())):
            self._centre = there
        self.update()

    def zoom(self) -> float:
        """Return the pixels of the screen in a unit of the world."""
        return self._zoom

    def setZoom(self, zoom: float) -> None:
        """Zoom around the crosshair."""
        self._zoom = zoom
        self._centre = (self._point[self.down], self._point[self.right])
        self.update()

    def setMarks(self, marks: Sequence[Mark]) -> None:
        """Show what a tool draws."""
        self._marks = marks
        self.update()

    def fit(self) -> None:
        """Show all of the plane."""
        self._centre = None
        self.update()

    def sizeHint(self) -> QSize:
        """Return a size in which cells can be told apart."""
        return QSize(280, 260)

    def stop(self) -> None:
        """Follow the viewer no longer."""
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.layers.events.reordered.disconnect(self._on_changed)
        for layer in self._viewer.layers:
            layer.events.disconnect(self._on_layer)

    def paintEvent(self, _event: Any) -> None:
        """Paint the plane of each layer, the lowest first, and the crosshair."""
        painter = QPainter(self)
        try:
            self._paint(painter)
        finally:
            painter.end()  # a painter that outlives an error would take the window along

    def _paint(self, painter: QPainter) -> None:
        painter.fillRect(self.rect(), QColor(0, 0, 0))
        if self._centre is None:
            self._fit()
        unseen = [layer.name for layer in self._viewer.layers if not self._paint_layer(painter, layer)]
        painter.setOpacity(1.0)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceOver)
        self._paint_marks(painter)
        self._paint_crosshair(painter)
        painter.setPen(QColor(220, 220, 220))
        if unseen:
            text = f"Not shown, for it is read from its file: {', '.join(unseen)}"
            painter.drawText(self.rect().adjusted(4, 4, -4, -4), Qt.AlignmentFlag.AlignBottom, text)
        painter.drawText(6, 16, "".join(sorted("ZYX"[axis] for axis in self._axes)))

    def _paint_layer(self, painter: QPainter, layer: Layer) -> bool:
        """Paint a layer; False where it would have to be read from a file first, which takes seconds."""
        if not layer.visible or layer.ndim != 3 or layer._type_string not in SHOWN:
            return True
        if layers.problem_of(layer) is not None:
            return True
        if not isinstance(layer.data, np.ndarray):
            return False
        origin, step = np.asarray(layer.translate, float), np.asarray(layer.scale, float)
        number = round((self._point[self.across] - origin[self.across]) / step[self.across])
        runs = [self._seen(axis, origin[axis], step[axis], layer.data.shape[axis]) for axis in (self.down, self.right)]
        if not 0 <= number < layer.data.shape[self.across] or any(run.start >= run.stop for run in runs):
            return True
        # Where a pixel of the screen holds several voxels, one of them is shown, as the viewer's canvas does.
        thin = [max(1, math.floor(1 / (self._zoom * step[axis]))) for axis in self._axes]
        runs = [slice(run.start - run.start % n, run.stop, n) for run, n in zip(runs, thin, strict=True)]
        key: list[Any] = [number] * 3
        key[self.down], key[self.right] = runs
        plane = layer.data[tuple(key)]
        plane = plane.T if self.down > self.right else plane
        painter.setOpacity(float(layer.opacity))
        mode = _BLENDINGS.get(str(layer.blending), QPainter.CompositionMode.CompositionMode_SourceOver)
        painter.setCompositionMode(mode)
        is_image = layer._type_string == "image"
        colours = image_colours(layer, plane) if is_image else label_colours(layer, plane)
        rows, columns = colours.shape
        picture = QImage(colours.tobytes(), columns, rows, 4 * columns, QImage.Format.Format_ARGB32_Premultiplied)
        edges = [origin[axis] + (run.start - 0.5) * step[axis] for axis, run in zip(self._axes, runs, strict=True)]
        corner = self._to_screen(*edges)
        size = (columns * thin[1] * step[self.right] * self._zoom, rows * thin[0] * step[self.down] * self._zoom)
        painter.drawImage(QRectF(corner.x(), corner.y(), *size), picture)
        return True

    def _paint_marks(self, painter: QPainter) -> None:
        half = self._thickness() / 2
        for mark in self._marks:
            seen = np.abs(mark.places[:, self.across] - self._point[self.across]) <= half
            where = [self._to_screen(place[self.down], place[self.right]) for place in mark.places[seen]]
            painter.setPen(QPen(QColor(mark.colour), 2 if mark.is_line else 8, cap=Qt.PenCapStyle.RoundCap))
            if mark.is_line:
                painter.drawPolyline(QPolygonF(where))
            elif where:
                painter.drawPoints(QPolygonF(where))

    def _paint_crosshair(self, painter: QPainter) -> None:
        middle = self._to_screen(self._point[self.down], self._point[self.right])
        x, y = middle.x(), middle.y()
        painter.setPen(QPen(QColor(LINE), 1))
        painter.drawLine(QPointF(0, y), QPointF(x - GAP, y))
        painter.drawLine(QPointF(x + GAP, y), QPointF(self.width(), y))
        painter.drawLine(QPointF(x, 0), QPointF(x, y - GAP))
        painter.drawLine(QPointF(x, y + GAP), QPointF(x, self.height()))

    # Where things are.

    @property
    def _axes(self) -> tuple[int, int]:
        return self.down, self.right

    def to_world(self, where: QPointF) -> tuple[float, float, float]:
        """Return the place in the world under a place of the widget."""
        down, right = self._centre or (0.0, 0.0)
        place = list(self._point)
        place[self.right] = right + (where.x() - self.width() / 2) / self._zoom
        place[self.down] = down + (where.y() - self.height() / 2) / self._zoom
        return place[0], place[1], place[2]

    def _to_screen(self, down: float, right: float) -> QPointF:
        middle = self._centre or (0.0, 0.0)
        return QPointF(
            self.width() / 2 + (right - middle[1]) * self._zoom, self.height() / 2 + (down - middle[0]) * self._zoom
        )

    def _seen(self, axis: int, origin: float, step: float, n: int) -> slice:
        """Return the voxels along an axis that the widget shows."""
        ends = (self.to_world(QPointF(0, 0))[axis], self.to_world(QPointF(self.width(), self.height()))[axis])
        first, last = ((end - origin) / step for end in ends)
        return slice(max(0, math.floor(first)), min(n, math.ceil(last) + 1))

    def _fit(self) -> None:
        extents = [layer.extent.world for layer in self._stacks()]
        if not extents:
            return
        low, high = np.min(extents, axis=(0, 1)), np.max(extents, axis=(0, 1))
        sides = np.maximum(high - low, 1e-9)
        self._zoom = float(0.95 * min(self.height() / sides[self.down], self.width() / sides[self.right]))
        down, right = ((low + high) / 2)[[self.down, self.right]].tolist()
        self._centre = (down, right)

    def _thickness(self) -> float:
        return float(min((layer.scale[self.across] for layer in self._stacks()), default=1.0))

    def _stacks(self) -> list[Layer]:
        """Return the layers of stacks; marks may lie nowhere, and what is lit says little of where the stack ends."""
        return [
            layer
            for layer in self._viewer.layers
            if layer.ndim == 3 and layer._type_string in SHOWN and layers.kind_of(layer) != "spotlight"
        ]

    # What the user does.

    def mousePressEvent(self, event: Any) -> None:
        """Begin a click, a drag or a tool's stroke."""
        held = _Held(event.position(), self._centre or (0.0, 0.0))
        held.by_tool = self._offered("mouse_press", event)
        self._held = held

    def mouseMoveEvent(self, event: Any) -> None:
        """Move the view, or draw with a tool."""
        held = self._held
        self._offered("mouse_move", event)
        if held is None:
            return
        way = event.position() - held.where
        held.moved |= way.manhattanLength() > STILL
        if held.moved and not held.by_tool:
            self._centre = (held.centre[0] - way.y() / self._zoom, held.centre[1] - way.x() / self._zoom)
            self.update()

    def mouseReleaseEvent(self, event: Any) -> None:
        """End a click, a drag or a tool's stroke."""
        held, self._held = self._held, None
        self._offered("mouse_release", event)
        if held is not None and not held.moved and event.button() == Qt.MouseButton.LeftButton:
            self.pointed.emit(self.to_world(event.position()))

    def mouseDoubleClickEvent(self, event: Any) -> None:
        """Show all of the plane, unless a tool has a use for it."""
        if not self._offered("mouse_double_click", event):
            self.fit()

    def wheelEvent(self, event: Any) -> None:
        """Zoom around the mouse; with Ctrl go to the next plane."""
        steps = event.angleDelta().y() / 120
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            place = list(self._point)
            place[self.across] += math.copysign(self._thickness(), steps)
            self.pointed.emit(tuple(place))
        elif steps:
            before = self.to_world(event.position())
            self._zoom = float(np.clip(self._zoom * ZOOM**steps, 1e-6, 1e6))
            after = self.to_world(event.position())
            down, right = self._centre or (0.0, 0.0)
            self._centre = (
                down + before[self.down] - after[self.down],
                right + before[self.right] - after[self.right],
            )
            self.update()
        event.accept()

    def resizeEvent(self, event: Any) -> None:
        """Show all of the plane in the new size."""
        super().resizeEvent(event)
        self.fit()

    def _offered(self, kind: str, event: Any) -> bool:
        """Return whether a tool takes what the mouse did."""
        if self.tool is None:
            return False
        modifiers = tuple(name for one, name in _MODIFIERS.items() if event.modifiers() & one)
        place = self.to_world(event.position())
        button = _BUTTONS.get(event.button(), 1)
        pos = (event.position().x(), event.position().y())
        return self.tool(SideEvent(kind, place, list(self._axes), button, modifiers, pos))

    # What the viewer tells.

    def _on_inserted(self, event: Any) -> None:
        event.value.events.connect(self._on_layer)
        self.update()

    def _on_removed(self, event: Any) -> None:
        event.value.events.disconnect(self._on_layer)
        self.update()

    def _on_layer(self, event: Any) -> None:
        if event.type in SHOWN_AGAIN:
            self.update()

    def _on_changed(self, _event: object = None) -> None:
        self.update()
