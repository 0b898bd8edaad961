"""Cells in a box of the stack, made again whenever a setting changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.ui import layers, notify
from napari_scutoid.ui.box_drag import KEY, BoxDrag
from napari_scutoid.ui.editors import ChoiceBox
from napari_scutoid.ui.inquiry import Inquiry
from napari_scutoid.ui.note import Note

if TYPE_CHECKING:
    import weakref

    import napari
    from napari.layers import Labels as LabelsLayer
    from napari.layers import Layer

    from napari_scutoid.preview import Preview, Previewed
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.result import Kept

NAME = "Scutoid preview"
WAIT_MS = 150
SIZES = {"small, fast": (32, 128, 128), "medium": (48, 192, 192), "large": (64, 256, 256)}
BOUNDARY = "boundary"


class PreviewBox(QWidget):
    """Show the cells in a box, as a layer.

    Parameters
    ----------
    viewer : napari.Viewer

    Signals
    -------
    previewed : Previewed
        The cells in the box were made.
    """

    previewed = Signal(object)

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._making = Inquiry(self)
        self._drag = BoxDrag(viewer, self)
        self._kept: Kept | None = None
        self._recipe: Recipe | None = None
        self._preview: Preview | None = None
        self._centre: tuple[float, ...] | None = None
        self._layer: weakref.ref[LabelsLayer] | None = None
        self._hidden: list[weakref.ref[Layer]] = []
        self.switch = QCheckBox("Preview in a box")
        self.switch.setToolTip(
            "<qt>Show at once what the settings do, in a piece of the stack. Other labels are hidden meanwhile.</qt>"
        )
        self.extent = ChoiceBox()
        for name, sides in SIZES.items():
            self.extent.addItem(f"{name} ({' × '.join(map(str, sides))})", sides)
        self.extent.setToolTip("<qt>Voxels of the box along z, y, x. The larger, the longer each change takes.</qt>")
        self.extent.setSizeAdjustPolicy(ChoiceBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.move_button = QPushButton("Move here")
        self.move_button.setToolTip(
            f"<qt>Put the box in the middle of what the viewer shows now; or hold {KEY} and drag it there.</qt>"
        )
        self.status = Note()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(WAIT_MS)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.switch)
        line = QHBoxLayout()
        line.addWidget(self.extent, 1)
        line.addWidget(self.move_button)
        rows.addLayout(line)
        rows.addWidget(self.status)

        self.switch.toggled.connect(self._on_switched)
        self.extent.currentIndexChanged.connect(self._on_box)
        self.move_button.clicked.connect(self._on_moved)
        self._timer.timeout.connect(self._begin)
        self._making.answered.connect(self._on_made)
        self._making.failed.connect(self._on_failed)
        self._drag.moved.connect(self._on_dragged)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        self._update()

    @property
    def is_busy(self) -> bool:
        """Whether a preview is being made, or about to be."""
        return self._making.is_busy or self._timer.isActive()

    def setKept(self, kept: Kept | None) -> None:
        """State what the network said; None ends the preview."""
        self._kept = kept
        self._preview = self._centre = None
        self._update()
        if kept is None:
            self.switch.setChecked(False)
        else:
            self._refresh()

    def setRecipe(self, recipe: Recipe | None) -> None:
        """State the settings; None where they cannot be used."""
        self._recipe = recipe
        self._refresh()

    def stop(self) -> None:
        """Take the preview out of the viewer."""
        self.switch.setChecked(False)

    def layer(self) -> LabelsLayer | None:
        """Return the layer of the preview, or None."""
        layer = None if self._layer is None else self._layer()
        return layer if layer is not None and layer in self._viewer.layers else None

    # What the user does.

    def _on_switched(self, is_on: bool) -> None:
        self._update()
        if is_on:
            self._refresh()
            return
        self._timer.stop()
        self._making.stop()
        self._preview = self._centre = None
        self.status.clear()
        self._drag.stop()
        if (layer := self.layer()) is not None:
            self._layer = None
            self._viewer.layers.remove(layer)
        for held in self._hidden:
            if (other := held()) is not None:
                other.visible = True
        self._hidden.clear()

    def _on_moved(self) -> None:
        self._centre = None
        self._on_box()

    def _on_dragged(self, by: tuple[float, ...]) -> None:
        if self._kept is None or self._preview is None:
            return
        box, step = self._preview.box, self._grid(self._kept)["scale"]
        moved = np.array(by) / np.array(step)
        self._centre = tuple(first + n / 2 + more for first, n, more in zip(box.start, box.shape, moved, strict=True))
        self._on_box()

    def _on_box(self) -> None:
        self._preview = None
        self._refresh()

    def _on_layer_removed(self, _event: object = None) -> None:
        if self._layer is not None and self.layer() is None:
            self._layer = None
            self.switch.setChecked(False)

    def _refresh(self) -> None:
        if self.switch.isChecked() and self._kept is not None and self._recipe is not None:
            self._timer.start()

    def _begin(self) -> None:
        kept, recipe = self._kept, self._recipe
        if kept is None or recipe is None or not self.switch.isChecked():
            return
        if self._preview is None:
            from napari_scutoid.box import Box
            from napari_scutoid.preview import Preview

            self._centre = self._centre or self._view_centre(kept)
            grid = kept.probabilities[BOUNDARY].shape
            self._preview = Preview(kept, Box.around(self._centre, self.extent.currentData(), grid))
        preview = self._preview
        self.status.setText("Making the cells in the box…")
        self._making.ask(lambda: preview.cells(recipe))

    def _on_made(self, done: Previewed) -> None:
        if self._preview is None or self._preview.box != done.box:
            return
        self._show(done)
        self.status.clear()
        self.previewed.emit(done)

    def _on_failed(self, error: Exception) -> None:
        self.status.setText(f"⚠ {notify.tell(error)}")

    # Where it is.

    def _view_centre(self, kept: Kept) -> tuple[float, ...]:
        """Return the working voxel in the middle of the view."""
        dims, camera = self._viewer.dims, self._viewer.scene.camera
        if dims.ndim < len(layers.AXES):  # nothing but flat layers: the middle of the stack
            return tuple(n / 2 for n in kept.probabilities[BOUNDARY].shape)
        world = np.array(dims.point, float)
        shown = list(dims.displayed)
        world[shown] = camera.center[-len(shown) :]
        grid = self._grid(kept)
        return tuple((world[-3:] - grid["translate"]) / np.array(grid["scale"]))

    def _grid(self, kept: Kept) -> dict[str, Any]:
        return layers.grid(kept.probabilities[BOUNDARY], within=kept)  # type: ignore[arg-type]

    def _show(self, done: Previewed) -> None:
        if self._kept is None:
            return
        grid = self._grid(self._kept)
        first = np.multiply(done.box.start, grid["scale"])
        grid["translate"] = tuple(float(n) for n in np.add(grid["translate"], first))
        layer = self.layer()
        if layer is None:
            active = self._viewer.layers.selection.active
            for other in self._viewer.layers:
                if layers.kind_of(other) == "labels" and other.visible:
                    self._hidden.append(layers.held_weakly(other))
                    other.visible = False
            metadata = {layers.METADATA: {"kind": "preview"}}
            layer = self._viewer.add_labels(done.labels.data, name=NAME, opacity=0.6, metadata=metadata, **grid)
            layer.editable = False
            layer.bounding_box.visible = True
            self._layer = layers.held_weakly(layer)
            self._drag.follow(layer)
            self._viewer.layers.selection.active = active
        else:
            layer.data = done.labels.data
            layer.translate = grid["translate"]

    def _update(self) -> None:
        ready = self._kept is not None
        self.switch.setEnabled(ready)
        for widget in (self.extent, self.move_button):
            widget.setEnabled(ready and self.switch.isChecked())
