"""How intensities are normalised, with histograms of them before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_scutoid.recipe import Normalise
from napari_scutoid.ui import notify
from napari_scutoid.ui.form import Form, follow_typing
from napari_scutoid.ui.histogram import HistogramPair
from napari_scutoid.ui.inquiry import Inquiry
from napari_scutoid.ui.preparing import counting

if TYPE_CHECKING:
    from napari_scutoid.steps.crop import Box
    from napari_scutoid.ui.preparing import Intensities
    from napari_scutoid.volume import Volume

PERCENTILES = ("low_percentile", "high_percentile")


class NormaliseEdit(QWidget):
    """Edit the settings, and look at what they do.

    Signals
    -------
    valueChanged
        By hand; `setValue` is silent.
    """

    valueChanged = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._volume: Volume | None = None
        self._box: Box | None = None
        self._found: Intensities | None = None
        self._counting = Inquiry(self)
        self.wanted = QCheckBox("Normalise the intensities")
        self.wanted.setToolTip("Without it, the result keeps the stack's own intensities.")
        self.wanted.setChecked(True)
        self.form = Form(Normalise)
        follow_typing(self.form)
        self.histograms = HistogramPair()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        for widget in (self.wanted, self.form, self.histograms):
            rows.addWidget(widget)
        self.wanted.toggled.connect(self._on_edited)
        self.form.valueChanged.connect(self._on_edited)
        self._counting.answered.connect(self._on_counted)
        self._counting.failed.connect(self._on_failed)
        self._follow()

    @property
    def is_busy(self) -> bool:
        """Whether intensities are being counted."""
        return self._counting.is_busy

    def value(self) -> Normalise:
        """Return the settings; only those that were given are set."""
        return self.form.value()  # type: ignore[return-value]

    def setValue(self, value: Normalise) -> None:
        """Show settings."""
        self.form.setValue(value)
        self._follow()

    def effective(self) -> Normalise | None:
        """Return the settings with the defaults filled in; None where nothing is to be normalised."""
        return self.form.effective() if self.wanted.isChecked() else None  # type: ignore[return-value]

    def problem(self) -> str | None:
        """Return why the settings cannot be used, or None."""
        return self.form.problem() if self.wanted.isChecked() else None

    def look(self, volume: Volume | None, box: Box | None) -> None:
        """Show the intensities of a part of a stack; None empties the histograms."""
        self._volume, self._box, self._found = volume, box, None
        if volume is None:
            self._counting.stop()
            self.histograms.setValue(None)
        self._follow()

    def stop(self) -> None:
        """End what runs."""
        self._counting.stop()

    def _on_edited(self) -> None:
        self._follow()
        self.valueChanged.emit()

    def _follow(self) -> None:
        wanted = self.wanted.isChecked()
        self.form.setVisible(wanted)
        self.histograms.setVisible(wanted)
        percentiles = PERCENTILES if self.form.editors["method"].value() == "percentile" else ()
        self.form.show_only(("method", *percentiles, "stabilise"))
        settings, volume, box = self.effective(), self._volume, self._box
        if settings is not None and volume is not None:
            sample = None if self._found is None else self._found.sample
            self._counting.ask(lambda: counting(volume, box, sample, settings))

    def _on_counted(self, found: Intensities) -> None:
        self._found = found
        self.histograms.setValue(found.pair, f"No histogram: {found.problem}." if found.problem else "")

    def _on_failed(self, error: Exception) -> None:
        self.histograms.setValue(None, notify.tell(error))
