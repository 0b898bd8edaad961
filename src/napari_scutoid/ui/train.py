"""The dock widget that makes a model of one's own from corrected stacks; it only wires."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_scutoid.errors import ScutoidError
from napari_scutoid.recipe import read_train_recipe
from napari_scutoid.ui.comparison import ComparisonTable
from napari_scutoid.ui.comparison_layers import find_changed, show_changed
from napari_scutoid.ui.dock import Dock, embolden, heading
from napari_scutoid.ui.learning_curves import LearningCurves
from napari_scutoid.ui.note import Note
from napari_scutoid.ui.preferences import preferences
from napari_scutoid.ui.recipe_bar import RecipeBar, write_recipe
from napari_scutoid.ui.slice_preview import SlicePreview, show_picture
from napari_scutoid.ui.train_core import TrainCore, adopt, samples
from napari_scutoid.ui.train_run import (
    Relay,
    Reopened,
    TrainingRun,
    command,
    has_run,
    reopen,
    train,
    without_split,
)
from napari_scutoid.ui.train_settings import TrainSettings
from napari_scutoid.ui.train_stacks import TrainStacks

if TYPE_CHECKING:
    import napari
    import numpy as np
    from numpy.typing import NDArray

    from napari_scutoid.recipe import TrainRecipe
    from napari_scutoid.training.compare import Comparison, StackComparison
    from napari_scutoid.training.run import NewModel
    from napari_scutoid.ui.train_core import EpochShown

READY, HALTED, TRAINED = "ready", "halted", "trained"
FIRST_NAME = "my_model"


class TrainWidget(Dock):
    """Choose corrected stacks, train on them, compare the new model with the old one, adopt it.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari passes it by this name.
    core : TrainCore, optional
        The program behind the window.
    parent : QWidget, optional

    Signals
    -------
    adopted : str
        A new model of this name is among those that `Segment` offers.
    """

    adopted = Signal(str)

    def __init__(
        self, napari_viewer: napari.Viewer, core: TrainCore | None = None, parent: QWidget | None = None
    ) -> None:
        train_button = QPushButton("Train")
        embolden(train_button)
        super().__init__(napari_viewer, train_button, parent)
        self._core = core or TrainCore()
        self._phase, self._wish = READY, ""
        self._run: TrainingRun | None = None
        self._relay: Relay | None = None

        self.train_button = train_button
        self.stacks = TrainStacks(napari_viewer, self._core, self.panel)
        self.settings = TrainSettings(self._core.models())
        self.name = QLineEdit(self._free_name())
        self.name.setToolTip("Of the new model, as Segment will list it: letters, digits, - and _.")
        self.pause_button = QPushButton("Pause")
        self.pause_button.setToolTip("Stop after this step and free the computer; Resume goes on from there.")
        self.open_button = QPushButton("Open a run…")
        self.open_button.setToolTip("Go on with a run that was paused, or that ended with napari.")
        self.curves, self.look, self.look_caption = LearningCurves(), SlicePreview("Validation slice"), Note()
        self.outcome, self.comparison = Note(), ComparisonTable()
        self.keep_button = QPushButton("Keep the best so far…")
        self.keep_button.setToolTip("Compare the best epoch's model with the old one, then adopt it or not.")
        self.compare_button = QPushButton("Compare")
        self.compare_button.setToolTip("Segment the validation stacks with the old and the new model.")
        self.adopt_button = QPushButton("Adopt")
        self.adopt_button.setToolTip("Put the new model among those that Segment offers.")
        self.discard_button = QPushButton("Discard")
        self.discard_button.setToolTip("Do not use the new model. Its folder stays.")
        self.recipe_bar = RecipeBar("train_window.md", self.command)
        self._lay_out()
        self.comparison.setValue(None)
        self.look.setValue(None)

        train_button.clicked.connect(self.start)
        self.panel.cancel_button.clicked.connect(self._on_cancel)
        self.panel.busyChanged.connect(self._update)
        for editor in (self.stacks, self.settings):
            editor.valueChanged.connect(self._update)
        self.name.textChanged.connect(self._update)
        self.settings.previewAsked.connect(self.preview)
        self.comparison.viewAsked.connect(self.show_cells)
        for button, slot in (
            *((self.pause_button, self.pause), (self.open_button, self._on_open)),
            *((self.keep_button, self.compare), (self.compare_button, self.compare)),
            *((self.adopt_button, self.adopt), (self.discard_button, self.discard)),
        ):
            button.clicked.connect(slot)
        self.recipe_bar.saveAsked.connect(self.save_recipe)
        self.recipe_bar.loadAsked.connect(self.load_recipe)
        self.recipe_bar.copied.connect(self._on_copied)
        self._update()

    # What a button does, also for scripts.

    def value(self) -> TrainRecipe:
        """Return the settings."""
        return self.settings.value()

    def setValue(self, recipe: TrainRecipe) -> None:
        """Show settings."""
        self.settings.setValue(recipe)
        self._update()

    def problem(self) -> str | None:
        """Return why training cannot begin, or None."""
        if self._phase == TRAINED:
            return "Adopt or discard the new model first."
        if self._phase == HALTED:
            return None
        return self.stacks.problem() or self.settings.problem() or self._name_problem()

    def start(self) -> None:
        """Train, or go on with the run that was stopped."""
        if (problem := self.problem()) is not None:
            self.panel.complain(ScutoidError("Nothing was trained", problem, "do so, then press Train again"))
            return
        resumed = self._phase == HALTED and self._run is not None
        run = self._run if resumed and self._run is not None else self._asked()
        relay = Relay()
        relay.to(self._on_epoch)
        self._wish = ""
        if self.panel.run("Training", partial(train, self._core, run, relay), self._on_trained, **self._alone()):
            self._run, self._relay = run, relay
            if not resumed:
                self.curves.setValue([])
                self.look.setValue(None)
                self.look_caption.clear()
            self.comparison.setValue(None)
            self._enter(READY)

    def pause(self) -> None:
        """Stop after the step, to go on later."""
        self._wish = "pause"
        self.panel.cancel()
        self._update()

    def preview(self) -> None:
        """Show what the network would be shown."""
        found = self.stacks.value()["train"]
        job = partial(samples, self._core, found, self.settings.value(), self.stacks.ignored())
        self.panel.run("Drawing samples", job, self._on_samples)

    def compare(self) -> None:
        """Segment stacks with the old and the new model."""
        if self._run is None:
            return
        on, stacks = self._run.to_judge()
        old = self._old_model(self._run)
        self._enter(TRAINED)
        job = partial(
            self._core.compare,
            old,
            self._run.folder,
            [one.open for one in stacks],
            device=self._run.device,
            ignore=self._run.ignore,
            names=(old, self._run.name),
        )
        self.panel.run("Comparing", job, partial(self._on_compared, on), **{**self._alone(), "otherwise": self._update})

    def show_cells(self, one: StackComparison) -> None:
        """Show the cells of a stack that one model finds and the other does not."""
        if self._run is None:
            return
        stack = next(stack for stack in self._run.to_judge()[1] if stack.name == one.name)
        self.panel.run("Opening the stack", partial(find_changed, stack, one), partial(show_changed, self._viewer))

    def adopt(self) -> None:
        """Put the new model among those that can be chosen."""
        if self._run is None:
            return
        if self._run.name in self._core.models():
            self.panel.complain(
                ScutoidError(
                    f"{self._run.name} was not adopted",
                    "there is a model of this name by now",
                    f"rename that one, or give this one's folder to Segment: {self._run.folder}",
                )
            )
        else:
            target = self._core.shelf() / self._run.name
            self.panel.run("Adopting", partial(adopt, self._core, self._run.folder, target), self._on_adopted)

    def discard(self) -> None:
        """Leave the new model where it is, and get ready for another."""
        run, self._run = self._run, None
        self._enter(READY, "" if run is None else f"Not adopted. The run stays in {run.folder}.")
        self.comparison.setValue(None)
        self.name.setText(self._free_name())

    def open_run(self, folder: str | Path) -> None:
        """Show a run that was started here before, ready to go on."""
        job = partial(reopen, self._core, Path(folder))
        self.panel.run("Opening the run", job, partial(self._on_reopened, Path(folder)))

    def save_recipe(self, file: Path) -> None:
        """Write the settings."""
        try:
            write_recipe(file, self.settings.value())
        except (ScutoidError, OSError) as error:
            self.panel.complain(error)
        else:
            self.panel.say(f"Saved {file}.")

    def load_recipe(self, file: Path) -> None:
        """Read settings."""
        try:
            self.setValue(read_train_recipe(file))
        except ScutoidError as error:
            self.panel.complain(error)
        else:
            self.panel.say(f"Settings from {file}.")

    def command(self) -> str:
        """Return the command that does the same, and write the settings that it reads."""
        run = self._run if self._phase == HALTED and self._run is not None else self._asked()
        file = self._runs() / f"{run.name}.yaml"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_recipe(file, run.recipe)
        except (ScutoidError, OSError) as error:
            self.panel.complain(error)
        return shlex.join(command(run, file))

    # What jobs hand back.

    def _on_samples(self, picture: NDArray[np.uint8]) -> None:
        show_picture("Augmented samples", picture, self.window())

    def _on_epoch(self, epoch: EpochShown) -> None:
        self.curves.add(epoch.record, best=epoch.best)
        if epoch.picture is not None:
            self.look.setValue(epoch.picture)
            self.look_caption.setText(f"{epoch.caption}: image, true cells, prediction after epoch {epoch.number}")

    def _on_trained(self, model: NewModel) -> None:
        best = model.trained.best_epoch
        lines = [f"Training is over: the best epoch is {best} of {len(model.trained.records) - 1}."]
        if best == 0:
            lines.append("No epoch was better than the start: the model is the old one, with its settings tuned anew.")
        self._enter(TRAINED, "\n".join([*lines, *model.messages]))
        self.compare()

    def _on_stopped(self) -> None:
        run = self._run
        if run is None or not run.can_be_resumed:
            # Not even the start was scored: there is nothing to go on with.
            self._run = None
            self._enter(READY)
            self.name.setText(self._free_name())
            return
        best = (
            f"The best so far is epoch {self.curves.best}." if run.has_model else "No epoch was better than the start."
        )
        paused = self._wish == "pause"
        first = "Paused." if paused else "Training has stopped."
        if paused:
            self.panel.say("")
        self._enter(HALTED, f"{first} {best} Resume goes on from here, also after napari was closed (Open a run…).")

    def _on_compared(self, on: str, comparison: Comparison) -> None:
        self.comparison.setValue(comparison, on)
        self._update()

    def _on_adopted(self, target: Path) -> None:
        self._run = None
        self._enter(READY, f"{target.name} is now among the models that Segment offers.")
        self.settings.setModels(self._core.models())
        self.name.setText(self._free_name())
        self.adopted.emit(target.name)

    def _on_reopened(self, folder: Path, found: Reopened) -> None:
        self.stacks.setIgnored(found.ignore)
        self.stacks.table.setValue(found.stacks)
        self.stacks.table.setReports(found.reports, None)
        self.settings.setValue(found.recipe)
        self.name.setText(folder.name)
        self.curves.setValue(found.records, found.best)
        self._run = TrainingRun(folder, found.recipe, found.stacks, found.ignore, preferences().device)
        self._wish = "pause"
        self._on_stopped()

    def _on_cancel(self) -> None:
        self._wish = "cancel"

    def _on_open(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of the run", str(self._runs()))
        if folder:
            self.open_run(folder)

    def _on_copied(self) -> None:
        layers = [one.name for some in self.stacks.value().values() for one in some if one.path is None]
        lacking = f" It lacks {', '.join(layers)}: save the layers to files first." if layers else ""
        self.panel.say(f"The command is on the clipboard.{lacking}")

    # What is asked for, and what may be pressed.

    def _asked(self) -> TrainingRun:
        stacks = self.stacks.value()
        recipe = without_split(self.settings.value())
        folder = self._runs() / self.name.text().strip()
        return TrainingRun(folder, recipe, stacks, self.stacks.ignored(), preferences().device)

    def _alone(self) -> dict[str, Any]:
        return {"otherwise": self._on_stopped, "alone": True}

    def _runs(self) -> Path:
        return (preferences().autosave_folder or self._core.shelf().parent) / "training runs"

    @staticmethod
    def _old_model(run: TrainingRun) -> str:
        transfer = run.recipe.transfer
        return preferences().model if transfer.strategy == "scratch" else transfer.start

    def _name_problem(self) -> str | None:
        from napari_scutoid.network.checkpoint import name_problem

        name = self.name.text().strip()
        if (problem := name_problem(name)) is not None:
            return f"The model cannot be named “{name}”: {problem}."
        if name in self._core.models():
            return f"There is a model named {name} already; give another name."
        if has_run(self._runs() / name):
            return f"There is a run named {name} already: go on with it (Open a run…), or give another name."
        return None

    def _free_name(self) -> str:
        models, runs, number = self._core.models(), self._runs(), 1
        while (name := FIRST_NAME if number == 1 else f"{FIRST_NAME}_{number}") in models or has_run(runs / name):
            number += 1
        return name

    def _enter(self, phase: str, outcome: str = "") -> None:
        self._phase = phase
        if outcome or phase == READY:
            self.outcome.setText(outcome)
        self._update()

    def _update(self) -> None:
        busy, phase = self.is_busy, self._phase
        training = busy and self._run is not None and phase == READY
        self.train_button.setText("Resume" if phase == HALTED else "Train")
        for editor in (self.stacks, self.settings, self.name):
            editor.setEnabled(not busy and phase != HALTED)
        self.open_button.setEnabled(not busy and phase == READY)
        self.pause_button.setEnabled(training and not self._wish)
        has_model = self._run is not None and self._run.has_model
        self.keep_button.setVisible(phase == HALTED and has_model)
        self.compare_button.setVisible(phase == TRAINED and self.comparison.value() is None)
        self.adopt_button.setVisible(phase == TRAINED)
        self.discard_button.setVisible(phase != READY)
        for button in (self.keep_button, self.compare_button, self.adopt_button, self.discard_button):
            button.setEnabled(not busy)
        for widget in (self.curves, self.look_caption):
            widget.setVisible(training or phase != READY or bool(self.curves.value()))
        self.outcome.setVisible(bool(self.outcome.text()))
        self.result_heading.setVisible(phase != READY or bool(self.outcome.text()))
        problem = self.problem()
        self.recipe_bar.copy_button.setEnabled(self.settings.problem() is None and self.stacks.problem() is None)
        self.settings.preview_button.setEnabled(not busy and self.stacks.problem() is None)
        self.panel.setProblem(problem)

    def _lay_out(self) -> None:
        content = QWidget()
        rows = QVBoxLayout(content)
        name = QHBoxLayout()
        name.addWidget(QLabel("New model's name"))
        name.addWidget(self.name, 1)
        name.addWidget(self.open_button)
        self.panel.add_button(self.pause_button)
        decide = QHBoxLayout()
        for button in (self.keep_button, self.compare_button, self.adopt_button, self.discard_button):
            decide.addWidget(button)
        self.result_heading = heading("4  Compare, then adopt or discard")
        rows.addWidget(heading("1  Stacks with their true cells"))
        rows.addWidget(self.stacks)
        rows.addWidget(heading("2  How to train"))
        rows.addWidget(self.settings)
        rows.addWidget(heading("3  Train"))
        rows.addLayout(name)
        rows.addWidget(self.panel)
        shown = (self.curves, self.look, self.look_caption, self.result_heading, self.outcome, self.comparison)
        for widget in shown:
            rows.addWidget(widget)
        rows.addLayout(decide)
        rows.addWidget(self.recipe_bar)
        rows.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(content)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.addWidget(scroll)
