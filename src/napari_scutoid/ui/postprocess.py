"""The part of a dock that makes labels from what the network said, again and again with other settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.progress import Progress
from napari_scutoid.ui import layers
from napari_scutoid.ui.help import HelpButton
from napari_scutoid.ui.note import Note
from napari_scutoid.ui.postprocess_form import PostprocessForm
from napari_scutoid.ui.preview_box import PreviewBox
from napari_scutoid.ui.size_histogram import SizeHistogram

if TYPE_CHECKING:
    import weakref

    import napari
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_scutoid.pipeline import Result
    from napari_scutoid.preview import Previewed
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.result import Kept
    from napari_scutoid.steps.cell_sizes import SizeHistograms
    from napari_scutoid.ui.job_panel import JobPanel

PAGE = "postprocessing_window.md"
BOUNDARIES = "Scutoid boundaries"
NOTHING_YET = "Segment a stack first: these settings work on what the network has said of it."
NO_VOXEL_SIZE = "The smallest cell is in µm³, and the voxel size is unknown: choose cells or voxels as its unit."


class PostprocessSection(QWidget):
    """Settings, a preview in a box, labels for the whole stack, and the sizes of cells before and after.

    Parameters
    ----------
    viewer : napari.Viewer
        Where previews and boundaries are shown.
    panel : JobPanel
        Runs what works on the whole stack.

    Signals
    -------
    valueChanged
        A setting was changed by hand.
    applied : Result
        The whole stack has new labels.
    """

    valueChanged = Signal()
    applied = Signal(object)

    def __init__(self, viewer: napari.Viewer, panel: JobPanel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._panel = viewer, panel
        self._kept: Kept | None = None
        self._boundaries: weakref.ref[Image] | None = None
        self.form = PostprocessForm()
        self.preview = PreviewBox(viewer)
        self.boundaries = QCheckBox("Show boundaries")
        self.boundaries.setToolTip("<qt>A layer of the voxels where cells of the whole stack meet, or end.</qt>")
        self.apply_button = QPushButton("Apply to the whole stack")
        self.apply_button.setToolTip("<qt>Make new labels of the whole stack. The network is not run again.</qt>")
        self.reason = Note()
        self.counts = Note()
        self.histogram = SizeHistogram()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.form)
        rows.addWidget(self.preview)
        line = QHBoxLayout()
        line.addWidget(self.apply_button, 1)
        line.addWidget(HelpButton(PAGE))
        rows.addLayout(line)
        for widget in (self.reason, self.counts, self.histogram, self.boundaries):
            rows.addWidget(widget)

        self.form.valueChanged.connect(self._on_edited)
        self.preview.previewed.connect(self._on_previewed)
        self.apply_button.clicked.connect(self.apply)
        self.boundaries.toggled.connect(self._on_boundaries)
        panel.busyChanged.connect(self._update)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        self._update()

    def value(self) -> Recipe:
        """Return the parts `watershed`, `partition` and `cleanup`; only what was given is set."""
        return self.form.value()

    def setValue(self, recipe: Recipe) -> None:
        """Show settings; what they do not set is the model's own."""
        self.form.setValue(recipe)
        self._on_settings()

    def setBase(self, recipe: Recipe) -> None:
        """State what counts where nothing is given: the model's own settings."""
        self.form.setBase(recipe)
        self._on_settings()

    def setKept(self, kept: Kept | None) -> None:
        """State what labels are made from; None where nothing was segmented yet."""
        if kept is self._kept:
            return
        self._kept = kept
        self._show_sizes(None, "")
        self.boundaries.setChecked(False)
        if kept is not None:
            self.form.setBase(kept.base)
        self.preview.stop()
        self.preview.setKept(kept)
        self._on_settings()

    def problem(self) -> str | None:
        """Return why the settings cannot be used, or None."""
        kept = self._kept
        if kept is not None and kept.voxel_size_um is None and self.form.effective().cleanup.min_size_unit == "um3":
            return NO_VOXEL_SIZE
        return None

    def apply(self) -> None:
        """Make labels of the whole stack."""
        kept, recipe = self._kept, self.form.effective()
        if kept is None or self.problem() is not None:
            return

        def job() -> Steps[tuple[Result, SizeHistograms]]:
            from napari_scutoid.pipeline import relabel
            from napari_scutoid.steps.cell_sizes import size_histograms

            result = yield from relabel(kept, recipe)
            yield Progress("Measuring the cells")
            return result, size_histograms(kept.labels or result.labels, result.labels)

        self.preview.stop()
        self._panel.run("Making labels", job, self._on_applied)

    def _on_applied(self, made: tuple[Result, SizeHistograms]) -> None:
        result, sizes = made
        self.setKept(result.kept)
        self._show_sizes(sizes, "in the whole stack")
        self.applied.emit(result)

    def _on_previewed(self, done: Previewed) -> None:
        self._show_sizes(done.sizes, "in the box")

    def _show_sizes(self, sizes: SizeHistograms | None, where: str) -> None:
        self.counts.setText("" if sizes is None else f"Cells {where}: {sizes.n_before} before, {sizes.n_after} after.")
        self.counts.setVisible(sizes is not None)
        self.histogram.setValue(sizes)

    def _on_edited(self) -> None:
        self._on_settings()
        self.valueChanged.emit()

    def _on_settings(self) -> None:
        self._update()
        self.preview.setRecipe(None if self.problem() else self.form.effective())

    # The boundaries of the labels of the whole stack.

    def _on_boundaries(self, is_on: bool) -> None:
        labels = None if self._kept is None else self._kept.labels
        if not is_on or labels is None:
            layer = None if self._boundaries is None else self._boundaries()
            self._boundaries = None
            if layer is not None and layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
            return

        def job() -> Steps[NDArray[Any]]:
            from napari_scutoid.steps.boundaries import finding_boundaries

            return (yield from finding_boundaries(labels.data)).view("uint8")

        def show(found: NDArray[Any]) -> None:
            layer = self._viewer.add_image(
                found,
                name=BOUNDARIES,
                contrast_limits=(0, 1),
                colormap="yellow",
                blending="additive",
                metadata={layers.METADATA: {"kind": "boundaries"}},
                **layers.grid(labels),
            )
            self._boundaries = layers.held_weakly(layer)

        if not self._panel.run("Finding boundaries", job, show, otherwise=self._uncheck_boundaries):
            self._uncheck_boundaries()

    def _uncheck_boundaries(self) -> None:
        self.boundaries.setChecked(False)

    def _on_layer_removed(self, _event: object = None) -> None:
        layer = None if self._boundaries is None else self._boundaries()
        if self._boundaries is not None and (layer is None or layer not in self._viewer.layers):
            self._boundaries = None
            self.boundaries.setChecked(False)

    def _update(self, _busy: bool = False) -> None:
        busy, ready = self._panel.is_busy, self._kept is not None
        problem = self.problem() if ready else NOTHING_YET
        self.apply_button.setEnabled(problem is None and not busy)
        self.boundaries.setEnabled(ready and self._kept is not None and self._kept.labels is not None and not busy)
        self.preview.setEnabled(not busy)
        self.reason.setText(problem or "")
        self.reason.setVisible(problem is not None)
