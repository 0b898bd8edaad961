"""What a segmentation gave: its layers, the settings behind the network, and the file they are saved to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.suffixes import save_filters, with_suffix
from napari_scutoid.recipe import Recipe
from napari_scutoid.ui import layers
from napari_scutoid.ui.colours import colour_cells
from napari_scutoid.ui.core import Core, choose_colours, save
from napari_scutoid.ui.dock import heading
from napari_scutoid.ui.inquiry import Inquiry
from napari_scutoid.ui.note import Note

if TYPE_CHECKING:
    import weakref

    import napari
    from napari.layers import Labels as LabelsLayer
    from napari.layers import Layer

    from napari_scutoid.result import Result
    from napari_scutoid.ui.job_panel import JobPanel
    from napari_scutoid.ui.postprocess import PostprocessSection
    from napari_scutoid.volume import Source, Volume

NOTHING = "Nothing to save yet."
LATER = "Thresholds, seeds and the smallest cell can be changed here once there is a result, without a new run."


class SegmentResult(QWidget):
    """Shows a result as layers, makes other labels from it, and saves it.

    Parameters
    ----------
    viewer : napari.Viewer
    core : Core
    panel : JobPanel
        Runs the jobs.

    Signals
    -------
    recipeChanged
        A setting behind the network was changed.
    """

    recipeChanged = Signal()

    def __init__(self, viewer: napari.Viewer, core: Core, panel: JobPanel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._core = core
        self._panel = panel
        self._source: Source | None = None
        self._result: Result | None = None
        self._name = ""
        self._cells: weakref.ref[LabelsLayer] | None = None
        self._colouring = Inquiry(self)
        self.postprocess: PostprocessSection | None = None
        self._recipe = Recipe()
        self.later = Note()
        self.later.setText(LATER)
        self.outlines = QCheckBox("show cells as outlines")
        self.outlines.setToolTip("Draw the borders of the cells only, so that the membranes under them can be seen.")
        self.with_probabilities = QCheckBox("with the probability maps")
        self.with_probabilities.setToolTip("Also write the network's foreground and boundary, as bytes.")
        self.with_probabilities.setChecked(True)
        self.save_button = QPushButton("Save labels…")
        self.save_reason = Note()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.outlines)
        rows.addWidget(heading("5  Post-processing"))
        rows.addWidget(self.later)
        rows.addWidget(heading("6  Save"))
        for widget in (self.with_probabilities, self.save_button, self.save_reason):
            rows.addWidget(widget)

        self.outlines.toggled.connect(self._on_outlines)
        self.save_button.clicked.connect(self._on_save)
        self._colouring.answered.connect(self._on_colours)
        panel.busyChanged.connect(self._update)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        self._update()

    def recipe(self) -> Recipe:
        """Return the settings behind the network that were given."""
        return self._recipe if self.postprocess is None else self.postprocess.value()

    def setRecipe(self, recipe: Recipe) -> None:
        """Show settings."""
        self._recipe = recipe
        if self.postprocess is not None:
            self.postprocess.setValue(recipe)

    def problem(self) -> str | None:
        """Return why the settings cannot be used, or None."""
        return None if self.postprocess is None else self.postprocess.problem()

    def stop(self) -> None:
        """Ask for nothing more, and take the preview out: it hides other labels."""
        self._colouring.stop()
        if self.postprocess is not None:
            self.postprocess.preview.stop()

    def cells(self) -> LabelsLayer | None:
        """Return the layer of the cells, or None where there is none, or no longer one."""
        layer = None if self._cells is None else self._cells()
        return layer if layer is not None and layer in self._viewer.layers else None

    def show_result(self, volume: Volume, result: Result, image: Layer | None) -> None:
        """Add what was found as layers.

        Parameters
        ----------
        volume : Volume
            What was segmented.
        result : Result
        image : Layer or None
            The layer it came from, which may be gone.
        """
        there = image is not None and image in self._viewer.layers
        self._name = image.name if there and image is not None else _name(volume)
        for output, probability in result.probabilities.items():
            layers.add_probability(self._viewer, probability, volume, f"{self._name} {output}")
        self._source = volume.source
        cells = self._show_cells(result)
        layers.show_middle(self._viewer, cells)
        self._viewer.canvas.overlays.scale_bar.visible = volume.voxel_size_um is not None
        self._section().setKept(result.kept)
        self._panel.say(_outcome(result))

    def save_labels(self, path: str | Path) -> None:
        """Write the cells, as the viewer shows them now, and how they were made; the name's ending is the format."""
        cells, result = self.cells(), self._result
        if cells is None or result is None:
            return
        file, source = Path(path), self._source
        if source is not None and file.resolve() == Path(source.path).resolve():
            self._panel.complain(
                ScutoidError("The labels were not saved", f"{file} is the stack itself", "choose another name")
            )
            return
        # Copied in the job: a large stack's takes longer than a window may stand still.
        shown, made = cells.data, result.labels
        probabilities = result.probabilities if self.with_probabilities.isChecked() else {}
        self._panel.run(
            "Saving",
            lambda: save(self._core, file, shown, made, probabilities, result.provenance),
            lambda saved: self._panel.say(f"Saved {saved}."),
        )

    def _section(self) -> PostprocessSection:
        """Make the section when there is something to work on: its fields take time to make."""
        if self.postprocess is None:
            from napari_scutoid.ui.postprocess import PostprocessSection

            self.postprocess = PostprocessSection(self._viewer, self._panel)
            self.postprocess.setValue(self._recipe)
            self.postprocess.valueChanged.connect(self.recipeChanged)
            self.postprocess.applied.connect(self._on_applied)
            rows = self.layout()
            if rows is not None:
                rows.replaceWidget(self.later, self.postprocess)
            self.later.hide()
        return self.postprocess

    def _show_cells(self, result: Result) -> LabelsLayer:
        for layer in self._viewer.layers:
            # An earlier result stays, with what was corrected in it, but does not shine through the new one.
            if layers.kind_of(layer) == "labels":
                layer.visible = False
        cells = layers.add_labels(self._viewer, result.labels, f"{self._name} cells", result.provenance)
        # For whoever corrects them: another post-processing is a second opinion.
        cells.metadata[layers.METADATA][layers.KEPT] = result.kept
        # napari hands a plugin a proxy, which nobody else holds.
        self._result, self._cells = result, layers.held_weakly(cells)
        self._viewer.layers.selection.active = cells
        data = result.labels.data
        self._colouring.ask(lambda: choose_colours(data))
        self._on_outlines()
        self._update()
        return cells

    def _on_applied(self, result: Result) -> None:
        self._show_cells(result)
        self._panel.say(_outcome(result))

    def _on_colours(self, colours: dict[int, int]) -> None:
        cells = self.cells()
        if cells is not None:
            colour_cells(cells, colours)

    def _on_outlines(self) -> None:
        cells = self.cells()
        if cells is not None:
            cells.contour = int(self.outlines.isChecked())

    def _on_layer_removed(self, _event: object = None) -> None:
        if self._result is not None and self.cells() is None:
            # Labels may be gigabytes; what other labels are made from is kept by the section for it.
            self._cells = self._result = None
            self._update()

    def _on_save(self) -> None:
        source = self._source
        start = Path(source.path) if source is not None and Path(source.path).exists() else Path("stack")
        filters = save_filters()
        usual = next(iter(filters.values()))
        name, chosen = QFileDialog.getSaveFileName(
            self, "Save labels", str(start.with_name(f"{start.stem}_labels{usual}")), ";;".join(filters)
        )
        target = with_suffix(name, filters.get(chosen, usual))
        if name and name != target and Path(target).exists():
            # The dialog has asked about the name without its ending only.
            self._panel.complain(
                ScutoidError(
                    "The labels were not saved",
                    f"{target} is there already",
                    "give another name, or all of this one to replace it",
                )
            )
        elif name:
            self.save_labels(target)

    def _update(self, _busy: object = None) -> None:
        busy, there = self._panel.is_busy, self._result is not None
        self.save_button.setEnabled(not busy and there)
        self.save_reason.setText("" if busy or there else NOTHING)
        self.save_reason.setVisible(bool(self.save_reason.text()))


def _outcome(result: Result) -> str:
    number = result.provenance["cells"]["n"]
    first = f"Found {number} cell{'' if number == 1 else 's'}."
    if number:
        first += " Move the slider below the image to look through the slices."
    return "\n".join([first, *result.facts, *result.warnings])


def _name(volume: Volume) -> str:
    return "stack" if volume.source is None else Path(volume.source.path).stem
