"""The grid to put a stack on; where it is to match a model, by the cell size: estimated, typed or drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.recipe import Rescale
from napari_scutoid.ui import layers, notify
from napari_scutoid.ui.cell_circle import CellCircle
from napari_scutoid.ui.form import Form, follow_typing
from napari_scutoid.ui.inquiry import Inquiry
from napari_scutoid.ui.note import Note
from napari_scutoid.ui.preferences import preferences
from napari_scutoid.ui.preparing import Known, finding_out, spacing_of
from napari_scutoid.ui.summary import of_estimate

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

    from napari_scutoid.volume import Volume

NAMES = ("mode", "cell_diameter", "factors", "voxel_size_um", "order", "anti_alias", "labels")
NUMBERS = {"cell_size": "cell_diameter", "factors": "factors", "voxel_size": "voxel_size_um"}
"""What a mode goes by."""


class GridEdit(QWidget):
    """Edit how a stack is resampled.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the typical cell is shown as a circle.

    Signals
    -------
    valueChanged
        By hand, here or on the image, or because something was found out; `setValue` is silent.
    """

    valueChanged = Signal()

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image: Image | None = None
        self._data: Any = None
        self._with_labels = False
        self._circle_next = False
        self.known = Known()
        self._finding = Inquiry(self)
        self.form = Form(Rescale, NAMES)
        follow_typing(self.form)
        self.estimate_button = QPushButton("Estimate")
        self.estimate_button.setToolTip("Estimate the typical cell diameter from the whole image, and show it.")
        self.circle_box = QCheckBox("as a circle on the image")
        self.circle_box.setToolTip("Drag a corner of the circle until it is as large as a typical cell.")
        self.circle = CellCircle(viewer, self)
        self.note = Note()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.form)
        self.cell = QWidget()
        column = QVBoxLayout(self.cell)
        column.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.estimate_button)
        row.addWidget(self.circle_box)
        row.addStretch(1)
        column.addLayout(row)
        column.addWidget(self.note)
        rows.addWidget(self.cell)

        self.form.valueChanged.connect(self._on_edited)
        self.estimate_button.clicked.connect(self.estimate)
        self.circle_box.toggled.connect(self._on_circle_wanted)
        self.circle.valueChanged.connect(self._on_dragged)
        self.circle.shownChanged.connect(self._on_circle_shown)
        self._finding.answered.connect(self._on_found)
        self._finding.failed.connect(self._on_failed)
        self._follow()

    @property
    def is_busy(self) -> bool:
        """Whether something is being found out."""
        return self._finding.is_busy

    def value(self) -> Rescale:
        """Return the settings; only those that were given are set, and the numbers that the mode needs.

        Raises
        ------
        pydantic.ValidationError
            Where the settings contradict each other, see `problem`.
        """
        effective = self.effective()
        names = set(self.form.given())
        if effective.mode in ("factors", "voxel_size"):
            names |= {"mode", NUMBERS[effective.mode]}
        return Rescale.model_validate(effective.model_dump(include=names))

    def setValue(self, value: Rescale) -> None:
        """Show settings."""
        self.form.setValue(value)
        self._follow()

    def effective(self) -> Rescale:
        """Return the settings with the estimate, and then the defaults, filled in; raises as `value`."""
        return self.form.effective()  # type: ignore[return-value]

    def problem(self) -> str | None:
        """Return why the settings cannot be used, or None."""
        mode, number = self._mode(), self._number()
        if mode == "none":
            return None
        if mode == "voxel_size" and self._image is not None and self._volume().voxel_size_um is None:
            return "The voxel size of the image is not known: choose another way to rescale."
        if number is not None and (mode != "cell_size" or self.known.config is not None):
            return self.form.problem()
        if mode != "cell_size":
            return f"Give the {'factors' if mode == 'factors' else 'target voxel size'}, or rescale in another way."
        if self.is_busy:
            return "The cell diameter is being estimated…"
        return "The typical cell diameter is not known: press Estimate, or enter it."

    def setImage(self, image: Image | None) -> None:
        """State which image it is about; what was found out about another one is forgotten."""
        data = None if image is None else image.data
        if data is not self._data:
            self._data = data
            self._circle_next = False
            self.known = Known(config=self.known.config)
            self.circle.hide()
            self._finding.stop()
        self._image = image
        self._offer()
        if image is not None:
            # A stack that stays in its file is read as a whole only when somebody asks for it.
            self._find_out(estimate=isinstance(data, np.ndarray) and self._mode() == "cell_size")
        self._follow()

    def setWithLabels(self, with_labels: bool) -> None:
        """State whether labels are resampled too."""
        self._with_labels = with_labels
        self._follow()

    def estimate(self) -> None:
        """Estimate the cell size from the image, in place of a given one, and show it as a circle."""
        if self._image is not None:
            self.form.forget("cell_diameter")
            self._circle_next = True
            self.known = replace(self.known, cell_size=None)
            self._offer()
            self._find_out(estimate=True)
            self._on_edited()

    def stop(self) -> None:
        """End what runs."""
        self._finding.stop()

    def cover_circle(self) -> None:
        """Make the circle invisible."""
        self.circle.cover()

    def _mode(self) -> str:
        return self.form.editors["mode"].value()

    def _number(self) -> Any:
        name = NUMBERS.get(self._mode())
        return None if name is None else self.form.editors[name].value()

    def _volume(self) -> Volume:
        return layers.volume_of(self._image)

    def _find_out(self, *, estimate: bool) -> None:
        estimate = estimate and self.known.cell_size is None and self._number() is None
        if estimate or self.known.config is None:
            volume, model, known = self._volume(), preferences().model, self.known
            self._finding.ask(lambda: finding_out(volume, model, known, estimate=estimate))

    def _offer(self) -> None:
        """Fill in the stack's own voxel size and the estimated diameter where none is given."""
        offered: dict[str, Any] = {"factors": (1.0, 1.0, 1.0)}
        if self._image is not None:
            offered["voxel_size_um"] = self._volume().voxel_size_um
        if self.known.cell_size is not None:
            offered["cell_diameter"] = self.known.cell_size.diameter
        base = Rescale()
        for name, number in offered.items():
            # What lies outside the bounds of a setting cannot be offered.
            try:
                base = Rescale.model_validate({**base.model_dump(), name: number})
            except ValidationError:
                continue
        self.form.setBase(base)

    def _on_found(self, known: Known) -> None:
        self.known = known
        self._offer()
        if self._circle_next and known.cell_size is not None:
            self._show_circle()
        self._circle_next = False
        self._on_edited()

    def _on_failed(self, error: Exception) -> None:
        self._circle_next = False
        self.known = replace(self.known, problem=notify.tell(error))
        self._on_edited()

    def _on_edited(self) -> None:
        self._follow()
        self.valueChanged.emit()

    def _follow(self) -> None:
        """Show what matters in this mode, and the circle at the diameter that counts."""
        mode = self._mode()
        shown = ["mode"]
        if mode != "none":
            shown += [NUMBERS[mode], "order", "anti_alias", *(["labels"] if self._with_labels else [])]
        self.form.show_only(shown)
        self.cell.setVisible(mode == "cell_size")
        self.note.setText(of_estimate(self.known, self.is_busy))
        self.estimate_button.setEnabled(self._image is not None and not self.is_busy)
        can_show = self._image is not None and mode == "cell_size" and self._number() is not None
        self.circle_box.setEnabled(can_show)
        if not can_show:
            self.circle.hide()
        elif self.circle.is_shown:
            self._show_circle()

    def _show_circle(self) -> None:
        diameter = self._number()
        if diameter is not None and self._image is not None:
            self.circle.show(self._image, diameter, spacing_of(self._volume(), self.known))

    def _on_circle_wanted(self, wanted: bool) -> None:
        if wanted:
            self._show_circle()
        elif self.circle.is_shown:
            self.circle.hide()

    def _on_circle_shown(self, is_shown: bool) -> None:
        self.circle_box.setChecked(is_shown)

    def _on_dragged(self) -> None:
        # As if it had been typed.
        self.form.editors["cell_diameter"].box.setValue(self.circle.value())  # type: ignore[attr-defined]
