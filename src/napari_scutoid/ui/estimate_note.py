"""Say how long a segmentation will take, and how much memory, before it is started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from napari_scutoid.errors import as_problem
from napari_scutoid.ui.inquiry import Inquiry
from napari_scutoid.ui.note import Note

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_scutoid.estimate import Forecast
    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.steps.cell_size import CellSize
    from napari_scutoid.ui.core import Core
    from napari_scutoid.volume import Volume

PATIENCE_MS = 400
"""Numbers that are being typed are waited for."""


class EstimateNote(Note):
    """Shows the estimate that was asked for last."""

    def __init__(self, core: Core, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._core = core
        self._inquiry = Inquiry(self)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PATIENCE_MS)
        self._asked: tuple[Any, ...] | None = None
        self._question: tuple[Volume, Recipe, ModelConfig] | None = None
        self._sized: tuple[int, CellSize] | None = None
        self._forecast: Forecast | None = None
        self._timer.timeout.connect(self._ask)
        self._inquiry.answered.connect(self._on_answer)
        self._inquiry.failed.connect(self._on_failed)

    def value(self) -> Forecast | None:
        """Return what was found, or None while nothing is known."""
        return self._forecast

    def ask(self, volume: Volume, recipe: Recipe, config: ModelConfig) -> None:
        """Estimate anew, a moment after the last question; the same question again changes nothing."""
        # What is made of the network's answer hardly changes the time.
        asked = (id(volume.data), volume.voxel_size_um, recipe.rescale, recipe.predict, config)
        if asked == self._asked:
            return
        self.clear()
        self._asked = asked
        self.setText("Estimating time and memory…")
        self._question = (volume, recipe, config)
        self._timer.start()

    def clear(self) -> None:
        """Show nothing, and stop asking."""
        self._asked = self._question = self._forecast = None
        self.stop()
        super().clear()

    def hold(self) -> None:
        """Ask no more; what is known stays."""
        if self._forecast is None:
            self.clear()

    def stop(self) -> None:
        """Ask no more."""
        self._timer.stop()
        self._inquiry.stop()

    def forget_stack(self) -> None:
        """State that the next question is about another stack."""
        self._sized = None
        self.clear()

    def _ask(self) -> None:
        if self._question is None:
            return
        volume, recipe, config = self._question
        self._question = None
        # Cells keep their size whatever the settings are, and finding it is most of the work.
        known = self._sized[1] if self._sized is not None and self._sized[0] == id(volume.data) else None
        self._inquiry.ask(lambda: self._core.forecast(volume, recipe, config, known))

    def _on_answer(self, forecast: Any) -> None:
        self._forecast = forecast
        if forecast.cell_size is not None and self._asked is not None:
            self._sized = (self._asked[0], forecast.cell_size)
        estimate = forecast.estimate
        lines = [str(estimate)]
        if forecast.cell_size is not None:
            lines.append(f"Cells are about {forecast.cell_size.diameter:.0f} voxels across.")
        if estimate.peak_bytes > forecast.free_bytes:
            lines.append(
                f"⚠ Only {forecast.free_bytes / 1e9:.1f} GB of memory are free: close other programs, or crop or "
                "downscale the stack first (Prepare)."
            )
        lines += [f"⚠ {warning}" for warning in estimate.warnings]
        self.setText("\n".join(lines))

    def _on_failed(self, error: Exception) -> None:
        problem = as_problem(error)
        self.setText(f"Time and memory could not be estimated: {error if problem is None else problem.why}.")
