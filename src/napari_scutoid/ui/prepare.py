"""The dock widget that cuts, resamples and normalises a stack into new layers; it only wires."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from pydantic import ValidationError
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QFrame, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_scutoid.errors import ScutoidError
from napari_scutoid.recipe import Normalise, Recipe, read_recipe
from napari_scutoid.ui import layers
from napari_scutoid.ui.crop_box import CropBox
from napari_scutoid.ui.dock import Dock, embolden, heading
from napari_scutoid.ui.grid_edit import GridEdit
from napari_scutoid.ui.layer_choice import LayerChoice
from napari_scutoid.ui.normalise_edit import NormaliseEdit
from napari_scutoid.ui.note import Note
from napari_scutoid.ui.preparing import planned, preparing
from napari_scutoid.ui.recipe_bar import RecipeBar, write_recipe
from napari_scutoid.ui.summary import of_result, of_stack, too_large

if TYPE_CHECKING:
    from pathlib import Path

    import napari

    from napari_scutoid.ui.preparing import Plan, Ready
    from napari_scutoid.volume import Volume

PAGE = "prepare.md"
WIDTH = 350
NO_CHANGE = (
    "Nothing would change: everything is kept, on its own grid, with its own intensities. Choose the image in Segment "
    "as it is."
)


class PrepareWidget(Dock):
    """Choose an image, what to keep of it, its grid and its range of intensities; the result is a new layer.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where the layers are. napari passes it by this name.
    parent : QWidget, optional
        Qt's parent.
    """

    def __init__(self, napari_viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        self.prepare_button = QPushButton("Prepare")
        super().__init__(napari_viewer, self.prepare_button, parent)
        embolden(self.prepare_button)
        self.prepare_button.setToolTip("Make the new layers. The image itself stays as it is, hidden.")
        self.image = LayerChoice(napari_viewer)
        self.labels = LayerChoice(napari_viewer, "labels", optional=True)
        self.labels.setToolTip("Labels over the image are cut and resampled with it, without inventing any.")
        self.about = Note()
        self.crop = CropBox(napari_viewer)
        self.grid = GridEdit(napari_viewer)
        self.normalise = NormaliseEdit()
        self.summary = Note()
        self.bar = RecipeBar(PAGE)
        self._lay_out()

        self.image.valueChanged.connect(self._on_image)
        self.image.contentChanged.connect(self._on_image)
        self.labels.valueChanged.connect(self._on_labels)
        self.labels.contentChanged.connect(self._update)
        self.crop.valueChanged.connect(self._on_crop)
        self.grid.valueChanged.connect(self._update)
        self.normalise.valueChanged.connect(self._update)
        self.prepare_button.clicked.connect(self.start)
        self.panel.busyChanged.connect(self._on_busy)
        self.bar.saveAsked.connect(self.save_recipe)
        self.bar.loadAsked.connect(self.load_recipe)
        self._on_image()

    # What a button does, also for scripts.

    def value(self) -> Recipe:
        """Return the settings that were given, as parts of a recipe.

        Raises
        ------
        pydantic.ValidationError
            Where they contradict each other, see `problem`.
        """
        parts = {"normalise": self.normalise.value(), "rescale": self.grid.value()}
        given = {name: part.model_dump(exclude_unset=True) for name, part in parts.items()}
        return Recipe.model_validate({name: part for name, part in given.items() if part})

    def setValue(self, recipe: Recipe) -> None:
        """Show settings."""
        self.grid.setValue(recipe.rescale)
        self.normalise.setValue(recipe.normalise)
        self._update()

    def problem(self) -> str | None:
        """Return why there is nothing to prepare, or None."""
        problem = self.image.problem() or self._labels_problem() or self._settings_problem()
        if problem is not None:
            return problem
        plan = self._plan()
        return too_large(plan, psutil.virtual_memory().available) or (None if plan.changes else NO_CHANGE)

    def start(self) -> None:
        """Prepare the chosen image, or tell why not."""
        problem = self.problem()
        if problem is not None:
            self.panel.complain(ScutoidError("Nothing was prepared", problem, "do so, then press Prepare again"))
            return
        image, labels, plan, volume = self.image.value(), self.labels.value(), self._plan(), self._volume()
        ids = None if labels is None else labels.data

        def done(ready: Ready) -> None:
            self._show(ready, plan, image, labels)

        self.panel.run("Preparing", lambda: preparing(volume, ids, plan), done)

    def save_recipe(self, file: Path) -> None:
        """Write the settings to a file."""
        try:
            write_recipe(file, self.value())
        except ValidationError as error:
            problem = self._settings_problem() or str(error)
            self.panel.complain(ScutoidError("The recipe was not saved", problem, "correct it, and save again"))
        except ScutoidError as error:
            self.panel.complain(error)
        else:
            self.panel.say(f"Saved {file}.")

    def load_recipe(self, file: Path) -> None:
        """Take the settings from a file."""
        try:
            self.setValue(read_recipe(file))
        except ScutoidError as error:
            self.panel.complain(error)
        else:
            self.panel.say(f"Settings of {file}.")

    # What follows from what was chosen.

    def _volume(self) -> Volume:
        return layers.volume_of(self.image.value())

    def _plan(self) -> Plan:
        return planned(
            self._volume(), self.crop.value(), self.grid.effective(), self.normalise.effective(), self.grid.known
        )

    def _settings_problem(self) -> str | None:
        return self.crop.problem() or self.grid.problem() or self.normalise.problem()

    def _labels_problem(self) -> str | None:
        image, labels = self.image.value(), self.labels.value()
        if labels is None:
            return None
        if (problem := self.labels.problem()) is not None:
            return problem
        same = all(np.allclose(getattr(image, name), getattr(labels, name)) for name in ("scale", "translate"))
        if not same or tuple(labels.data.shape) != tuple(image.data.shape):
            return f"“{labels.name}” does not lie voxel by voxel over “{image.name}”: choose other labels, or none."
        return None

    def _on_image(self) -> None:
        image = self.image.value() if self.image.problem() is None else None
        self.about.setText("" if image is None else of_stack(self._volume()))
        self.crop.setImage(image)
        self.grid.setImage(image)
        self.normalise.look(None if image is None else self._volume(), self.crop.value())
        self._update()

    def _on_labels(self) -> None:
        self.grid.setWithLabels(self.labels.value() is not None)
        self._update()

    def _on_crop(self) -> None:
        if self.image.problem() is None and self.crop.problem() is None:
            self.normalise.look(self._volume(), self.crop.value())
        self._update()

    def _on_busy(self, busy: bool) -> None:
        self.settings.setEnabled(not busy)
        self.bar.setEnabled(not busy)
        self._update()

    def _update(self) -> None:
        self.panel.setProblem(self.problem())
        can_tell = self.image.problem() is None and self._settings_problem() is None
        free = psutil.virtual_memory().available
        self.summary.setText(of_result(self._plan(), self.grid.known, free) if can_tell else "")

    # The result.

    def _show(self, ready: Ready, plan: Plan, image: Any, labels: Any) -> None:
        """Add what was prepared, and hide what it was made from."""
        about = {
            "prepared_from": image.name,
            "recipe": Recipe(rescale=plan.rescale, normalise=plan.normalise or Normalise()).model_dump(mode="json"),
            "normalised": plan.normalise is not None,
        }
        place = layers.grid(ready.shown.volume, within=ready.cropped)
        if layers.voxel_size_of(image)[1]:
            # A scale in pixels is taken for micrometres; the new layer must still lie over the old one.
            place["units"] = image.units
        options = layers.image_options(ready.shown, f"{image.name} prepared") | place
        # Not the file's own voxels any more: opening the file again must not put them here.
        options["metadata"][layers.METADATA].pop("part")
        options["metadata"][layers.METADATA] |= about
        # What was drawn for the old layer would only be in the way of the new one.
        self.grid.cover_circle()
        self.crop.overlay.cover()
        made = self._viewer.add_image(ready.shown.volume.data, **options)
        image.visible = False
        if ready.labels is not None:
            options = layers.labels_options(ready.labels, f"{labels.name} prepared", **about) | place
            self._viewer.add_labels(ready.labels.data, **options)
            labels.visible = False
        self._viewer.layers.selection.active = made
        self.panel.say(f"Made “{made.name}”: choose it in Segment. “{image.name}” is hidden, and as it was.")

    def taken_out(self) -> None:
        """Ask no more."""
        self.grid.stop()
        self.normalise.stop()

    def _lay_out(self) -> None:
        self.settings = QWidget()
        rows = QVBoxLayout(self.settings)
        chosen = QFormLayout()
        chosen.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        chosen.addRow("Image", self.image)
        chosen.addRow("Labels over it", self.labels)
        rows.addWidget(heading("1  Choose a stack"))
        rows.addLayout(chosen)
        rows.addWidget(self.about)
        for title, widget in (
            ("2  Crop", self.crop),
            ("3  Downscale", self.grid),
            ("4  Normalise", self.normalise),
        ):
            rows.addWidget(heading(title))
            rows.addWidget(widget)
        rows.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(self.settings)
        # Only up and down: a dock that is too narrow for its fields cannot be read.
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setMinimumWidth(max(WIDTH, self.settings.minimumSizeHint().width()))
        self.rows.addWidget(scroll, 1)
        # What comes out, and the button, stay in sight whatever is scrolled to.
        for part in (heading("Result"), self.summary, self.panel, self.bar):
            self.rows.addWidget(part)
