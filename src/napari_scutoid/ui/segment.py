"""The dock widget that takes a stack to one label per cell; it only wires."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.command_line import as_used, segment_command
from napari_scutoid.errors import ScutoidError
from napari_scutoid.recipe import Normalise, Predict, Recipe, Rescale, read_recipe
from napari_scutoid.ui import layers
from napari_scutoid.ui.cell_diameter import CellDiameterEdit
from napari_scutoid.ui.core import Core, segment
from napari_scutoid.ui.device_choice import DeviceChoice
from napari_scutoid.ui.dock import Dock, embolden, heading
from napari_scutoid.ui.estimate_note import EstimateNote
from napari_scutoid.ui.folded import FoldedForms
from napari_scutoid.ui.layer_choice import LayerChoice
from napari_scutoid.ui.layer_source import axes_given, changes_of, part_of
from napari_scutoid.ui.model_choice import ModelChoice
from napari_scutoid.ui.note import Note
from napari_scutoid.ui.preferences import PLUGIN, preferences
from napari_scutoid.ui.recipe_bar import RecipeBar, write_recipe
from napari_scutoid.ui.scroll import ScrollColumn
from napari_scutoid.ui.segment_result import SegmentResult
from napari_scutoid.ui.voxel_size import ASSUMED_UM, FROM_LAYER, VoxelSizeEdit
from napari_scutoid.volume import Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import napari

    from napari_scutoid.opinions import HowFound
    from napari_scutoid.recipe import Part
    from napari_scutoid.result import Result
    from napari_scutoid.volume import Volume, VoxelSize

    Group = tuple[str, type[Part], Sequence[str] | None]

PAGE = "segment.md"
OPEN_STACK = "Open stack"
MORE: dict[str, Group] = {
    "normalise": ("Brightness", Normalise, None),
    "rescale": ("Grid", Rescale, ("mode", "factors", "voxel_size_um", "order", "anti_alias", "labels")),
    "predict": (
        "Tiles",
        Predict,
        ("gate", "gate_threshold", "flips", "backend", "tile", "halo", "memory_gb", "pass_voxels"),
    ),
}
TARGETS = {"factors": "factors", "voxel_size": "voxel_size_um"}
"""What a mode of rescaling needs to be told."""
NO_FILE = Source("STACK.h5")


class SegmentWidget(Dock):
    """Choose a stack and a model, find the cells, look at them, save them.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where the layers are. napari passes it by this name.
    core : Core, optional
        The program behind the window.
    parent : QWidget, optional
        Qt's parent.
    """

    def __init__(self, napari_viewer: napari.Viewer, core: Core | None = None, parent: QWidget | None = None) -> None:
        self.segment_button = QPushButton("Segment")
        super().__init__(napari_viewer, self.segment_button, parent)
        self._core = core or Core()
        self._stated: VoxelSize | None = None
        self._ran: tuple[Predict, str, dict[str, Any]] | None = None
        chosen = preferences()

        self.layer = LayerChoice(napari_viewer)
        self.open_button = QPushButton("Open a stack…")
        self.open_button.setToolTip("Open the dock that reads stacks from files.")
        self.layer_note = Note()
        self.voxel_size = VoxelSizeEdit()
        self.model = ModelChoice(self._core, chosen.model)
        self.cell_diameter = CellDiameterEdit()
        self.device = DeviceChoice(self._core, chosen.device)
        self.more = FoldedForms("More settings", MORE)
        self.more_note = Note()
        self.estimate = EstimateNote(self._core)
        embolden(self.segment_button)
        self.segment_button.setToolTip("Find the cells of the stack. napari can be used meanwhile.")
        self.result = SegmentResult(napari_viewer, self._core, self.panel)
        self.bar = RecipeBar(PAGE, self.command)
        self._lay_out()

        self.segment_button.clicked.connect(self.start)
        self.open_button.clicked.connect(self._on_open_stack)
        self.layer.valueChanged.connect(self._on_layer)
        self.layer.contentChanged.connect(self._on_content)
        for signal in (
            self.result.recipeChanged,
            self.voxel_size.valueChanged,
            self.cell_diameter.valueChanged,
            self.device.valueChanged,
            self.device.factsChanged,
            self.more.valueChanged,
        ):
            signal.connect(self._on_settings)
        self.model.valueChanged.connect(self._on_model)
        self.more.fold.toggled.connect(self._show_targets)
        self.panel.busyChanged.connect(self._on_busy)
        self.bar.saveAsked.connect(self.save_recipe)
        self.bar.loadAsked.connect(self.load_recipe)
        self.bar.copied.connect(self._on_copied)
        self._on_layer()

    # What a button does, also for scripts.

    def value(self) -> Recipe:
        """Return the settings; what was not given is left to the model.

        Raises
        ------
        pydantic.ValidationError
            Where they contradict each other, see `problem`.
        """
        more, after = self.more.value(), self.result.recipe()
        settings = {name: _set(part) for name, part in more.items()}
        memory = preferences().memory_gb
        if memory:
            settings["predict"].setdefault("memory_gb", memory)
        settings["predict"] |= _set(self.device.value())
        settings["rescale"] |= _set(self.cell_diameter.recipe().rescale)
        settings |= {name: _set(getattr(after, name)) for name in ("watershed", "partition", "cleanup")}
        return Recipe.model_validate({name: part for name, part in settings.items() if part})

    def setValue(self, recipe: Recipe) -> None:
        """Show settings; a device that is not set stays as it is."""
        self.device.setValue(recipe.predict)
        self.cell_diameter.setValue(recipe.rescale.cell_diameter or self.cell_diameter.minimum())
        self.more.setValue({name: _without_own(getattr(recipe, name)) for name in MORE})
        self.result.setRecipe(recipe)
        self._on_settings()

    def problem(self) -> str | None:
        """Return why there is nothing to segment yet, or None."""
        return self.layer.problem() or self.voxel_size.problem() or self._settings_problem()

    def how_found(self) -> HowFound:
        """Return the settings and the model, for other windows that segment."""
        from napari_scutoid.opinions import HowFound
        from napari_scutoid.pipeline import settings_for

        problem, config = self._settings_problem(), self.model.config()
        how = HowFound(Recipe() if problem else self.value(), self.model.value(), problem=problem)
        if config is None:
            return how
        return replace(how, weights_sha256=config.weights_sha256, usual=settings_for(Recipe(), config))

    def start(self) -> None:
        """Segment the chosen stack, or tell why not."""
        problem = self.problem()
        if problem is not None:
            self.panel.complain(
                ScutoidError("Nothing was segmented", problem, "change what is marked, then press Segment again")
            )
            return
        layer, recipe, model = self.layer.value(), self.value(), self.model.value()
        volume = self._volume()
        self._put_on_grid(layer, volume)

        def done(result: Result) -> None:
            self._ran = recipe.predict, model, result.provenance["prediction"]
            self.result.show_result(volume, result, layer)

        known = self.estimate.value()
        watch = None if known is None else known.estimate.outlook()
        self.panel.run("Segmenting", lambda: segment(self._core, volume, recipe, model), done, alone=True, watch=watch)

    def command(self) -> str:
        """Return the command line that does what `start` would, as it was done last where nothing has changed."""
        recipe, model, layer = self.value(), self.model.value(), self.layer.value()
        if self._ran is not None and self._ran[:2] == (recipe.predict, model):
            recipe = as_used(recipe, self._ran[2])
        elif (facts := self.device.facts()) is not None:
            recipe = as_used(recipe, {"device": facts.device, "precision": facts.precision})
        source = None if layer is None else layers.source_of(layer)
        channel, time = (None, None) if source is None else part_of(layer)
        return segment_command(
            source or NO_FILE,
            recipe,
            model=model,
            voxel_size_um=self.voxel_size.value(),
            channel=channel,
            time=time,
            axes=None if source is None else axes_given(layer),
        )

    def save_recipe(self, file: Path) -> None:
        """Write the settings to a file."""
        try:
            write_recipe(file, self.value())
        except ValidationError as error:
            self.panel.complain(ScutoidError("The recipe was not saved", str(error), "change what is marked"))
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

    def _settings_problem(self) -> str | None:
        return self.model.problem() or self.device.problem() or self.more.problem() or self.result.problem()

    def _volume(self) -> Volume:
        return layers.with_voxel_size(layers.volume_of(self.layer.value()), self.voxel_size.value())

    def _put_on_grid(self, layer: Any, volume: Volume) -> None:
        before = tuple(layer.scale)
        layers.put_on_grid(layer, volume)
        if tuple(layer.scale) != before:
            # At another scale the camera would look past the layer.
            self._viewer.reset_view()
            layers.show_middle(self._viewer, layer)

    def _on_open_stack(self) -> None:
        try:
            self._viewer.window.add_plugin_dock_widget(PLUGIN, OPEN_STACK)
        except (KeyError, ValueError, AttributeError) as error:
            self.panel.complain(
                ScutoidError("The dock could not be opened", str(error), f"open it from the menu Plugins: {OPEN_STACK}")
            )

    def _on_layer(self) -> None:
        self.estimate.forget_stack()
        self._read_voxel_size(anew=True)
        self._on_settings()

    def _on_content(self) -> None:
        self._read_voxel_size()
        self._on_settings()

    def _read_voxel_size(self, *, anew: bool = False) -> None:
        layer = self.layer.value()
        if layer is None or self.layer.problem() is not None:
            self.voxel_size.setValue(None)
            return
        size, assumed = layers.voxel_size_of(layer)
        # What was entered by hand stays until the layer itself says something else.
        if anew or size != self._stated:
            self._stated = size
            self.voxel_size.setValue(size, ASSUMED_UM if assumed else FROM_LAYER)

    def _on_model(self) -> None:
        config = self.model.config()
        if config is not None:
            from napari_scutoid.pipeline import settings_for

            own = settings_for(Recipe(), config)
            self.more.setBase({name: getattr(own, name) for name in MORE})
        self._on_settings()

    def _show_targets(self) -> None:
        """Show only what the mode of rescaling needs."""
        form = self.more.forms.get("rescale")
        if form is not None:
            needed = TARGETS.get(form.editors["mode"].value())
            form.show_only([name for name in form.editors if name not in TARGETS.values() or name == needed])

    def _on_settings(self) -> None:
        self._show_targets()
        layer_problem, more_problem = self.layer.problem(), self.more.problem()
        for note, problem in ((self.layer_note, layer_problem), (self.more_note, more_problem)):
            note.setText(problem and f"⚠ {problem}")
            note.setVisible(problem is not None)
        self.voxel_size.setEnabled(layer_problem is None)
        for button in (self.bar.copy_button, self.bar.save_button):
            button.setEnabled(more_problem is None)
        problem = self.problem()
        self.panel.setProblem(problem)
        config = self.model.config()
        if problem is not None or config is None or self.device.facts() is None:
            self.estimate.clear()
        elif not self.is_busy:
            self.estimate.ask(self._volume(), self.value(), config)

    def _on_busy(self, busy: bool) -> None:
        self.inputs.setEnabled(not busy)
        if busy:
            self.estimate.hold()
        elif self.estimate.value() is None:
            self._on_settings()

    def _on_copied(self, command: str) -> None:
        layer = self.layer.value()
        text = f"Copied: {command}"
        if layer is None or layers.source_of(layer) is None:
            text = f"The layer is in no file: save it, and put the file's name for {NO_FILE}. {text}"
        elif changed := changes_of(layer):
            text = f"The layer is not what is in the file ({'; '.join(changed)}): save it and name that file. {text}"
        self.panel.say(text)

    def showEvent(self, event: Any) -> None:
        """Look at models and device once somebody looks at the dock: it takes seconds, and loads PyTorch."""
        super().showEvent(event)
        self.model.refresh()
        if self.device.facts() is None:
            self.device.refresh()

    def taken_out(self) -> None:
        """Ask no more."""
        for asking in (self.model, self.device, self.estimate, self.result):
            asking.stop()

    def _lay_out(self) -> None:
        self.inputs = QWidget()
        rows = QVBoxLayout(self.inputs)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(heading("1  Stack"))
        stack = QHBoxLayout()
        stack.addWidget(self.layer, 1)
        stack.addWidget(self.open_button)
        rows.addLayout(stack)
        rows.addWidget(self.layer_note)
        rows.addWidget(heading("2  Voxel size"))
        rows.addWidget(self.voxel_size)
        rows.addWidget(heading("3  Model"))
        rows.addWidget(self.model)
        rows.addWidget(heading("4  Find the cells"))
        diameter = QHBoxLayout()
        diameter.addWidget(QLabel("Typical cell diameter"))
        diameter.addWidget(self.cell_diameter, 1)
        rows.addLayout(diameter)
        rows.addWidget(QLabel("Compute on"))
        rows.addWidget(self.device)
        rows.addWidget(self.more)
        rows.addWidget(self.more_note)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.addWidget(ScrollColumn((self.inputs, self.estimate, self.panel, self.result, self.bar)))


def _set(part: Part) -> dict[str, Any]:
    return part.model_dump(exclude_unset=True)


def _without_own(part: Part) -> Part:
    """Return the settings without those that have a field of their own."""
    return type(part).model_validate(
        {name: value for name, value in _set(part).items() if name not in ("cell_diameter", "device", "precision")}
    )
