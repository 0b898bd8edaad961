"""Strokes painted with napari's own brush, fill, polygon and eraser become edits of the session's history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_scutoid.ui.label_refresh import refresh_box
from napari_scutoid.ui.layers import unwrapped

if TYPE_CHECKING:
    from napari.layers import Labels as LabelsLayer


class StrokeCapture(QObject):
    """Takes each stroke on a layer back, and hands it over as an edit.

    napari writes a stroke into the labels itself. Its own undo forgets strokes once another slice is shown and knows
    of no other edit, so it is kept empty: what was painted is taken back, and comes again as the edit's change, with
    the guards and the journal.

    Parameters
    ----------
    layer : napari.layers.Labels
        Its data are the labels that the session changes in place.

    Signals
    -------
    wished : Stroke
        What was painted; guards are those by default.
    failed : Exception
        A stroke could not be made an edit; the labels are as before it.
    """

    wished = Signal(object)
    failed = Signal(object)

    def __init__(self, layer: LabelsLayer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layer = unwrapped(layer)
        self._atoms: list[Any] = []
        # napari tells of a polygon or a fill before it has written it.
        self._written = QTimer(self)
        self._written.setSingleShot(True)
        self._written.setInterval(0)
        self._written.timeout.connect(self.settle)
        self._layer._reset_history()
        self._layer.events.paint.connect(self._on_paint)

    @property
    def is_settled(self) -> bool:
        """Whether the labels hold nothing but what the session knows."""
        return not self._atoms

    def settle(self) -> None:
        """Hand over what was painted, now; to be called before another edit is made or undone."""
        from napari_scutoid.proofread.edits.stroke import captured, put_back

        self._written.stop()
        atoms, self._atoms = self._atoms, []
        if not atoms:
            return
        stroke: Any = None
        problem: Exception | None = None
        try:
            stroke = captured(atoms, self._layer.data.shape)
        except Exception as error:  # whatever is wrong with it, it must not stay in the labels
            problem = error
        refresh_box(self._layer, put_back(atoms, self._layer.data))
        if problem is None:
            self.wished.emit(stroke)
        else:
            self.failed.emit(problem)

    def stop(self) -> None:
        """Leave the layer to napari."""
        self.settle()
        self._layer.events.paint.disconnect(self._on_paint)

    def _on_paint(self, event: Any) -> None:
        self._atoms.extend(event.value)
        self._layer._undo_history.clear()
        self._layer._redo_history.clear()
        self._written.start()
