"""A training run of the window: what was asked for, and where it lies on the disk."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, Signal

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.atomic import replacing
from napari_scutoid.progress import Progress
from napari_scutoid.recipe import TrainRecipe
from napari_scutoid.recipe.train import Split
from napari_scutoid.ui.train_core import ROLES, check, gather, renamed, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_scutoid.network.train import Epoch
    from napari_scutoid.progress import Steps
    from napari_scutoid.training.check import StackReport
    from napari_scutoid.training.run import NewModel
    from napari_scutoid.ui.train_core import Stack, TrainCore

TRAINING, ASKED, CURVES, RUN, CONFIG = "training", "window.json", "curves.csv", "run.pt", "config.json"


class Relay(QObject):
    """Carries epochs from the worker's thread to the window's.

    It has no parent: a run that outlives its window must still have someone to report to.
    """

    epochOver = Signal(object)

    def send(self, epoch: Epoch) -> None:
        """Tell of an epoch; called in the worker's thread."""
        self.epochOver.emit(shown(epoch))

    def to(self, slot: object) -> None:
        """Connect, across threads whatever they are."""
        self.epochOver.connect(slot, Qt.ConnectionType.QueuedConnection)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRun:
    """What was asked for.

    Parameters
    ----------
    folder : Path
        Of the new model, while it is made; its name is the model's.
    recipe : TrainRecipe
        With the roles as in `stacks`: nothing is drawn.
    stacks : mapping of str to tuple of Stack
        By role.
    ignore : int or None
        Label of voxels that nobody has labelled.
    device : str
    """

    folder: Path
    recipe: TrainRecipe
    stacks: Mapping[str, tuple[Stack, ...]]
    ignore: int | None
    device: str

    @property
    def name(self) -> str:
        """Of the new model."""
        return self.folder.name

    @property
    def can_be_resumed(self) -> bool:
        """Whether an epoch was saved."""
        return (self.folder / TRAINING / RUN).is_file()

    @property
    def has_model(self) -> bool:
        """Whether an epoch was better than the start."""
        return (self.folder / CONFIG).is_file()

    def to_judge(self) -> tuple[str, tuple[Stack, ...]]:
        """Return the stacks to compare models on, and what they are: those that the network has learnt least from."""
        kept = (*self.stacks["valid"], *self.stacks["test"])
        if kept:
            return "validation" + (" and test" if self.stacks["test"] else ""), kept
        return "training", self.stacks["train"]

    def save(self) -> None:
        """Write what was asked for beside the run, so that the window can go on with it another day.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        asked = {
            "recipe": self.recipe.model_dump(mode="json", exclude_unset=True),
            "stacks": {
                role: [[one.name, None if one.path is None else str(one.path.resolve())] for one in self.stacks[role]]
                for role in ROLES
            },
            "ignore": self.ignore,
        }
        file = self.folder / TRAINING / ASKED
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as part:
            part.write_text(json.dumps(asked, indent=2) + "\n", encoding="utf-8")


def train(core: TrainCore, run: TrainingRun, relay: Relay) -> Steps[NewModel]:
    """Open the stacks and train on them, from where the run stopped if it did."""
    materials: dict[str, list[object]] = {}
    for role in ROLES:
        materials[role] = []
        for stack in run.stacks[role]:
            yield Progress("Opening the stacks")
            materials[role].append(stack.open())
    resume = run.can_be_resumed
    if not resume:
        run.save()
    return (
        yield from core.train(
            materials["train"],
            run.recipe,
            run.folder,
            valid_on=materials["valid"],
            test_on=materials["test"],
            ignore=run.ignore,
            device=run.device,
            resume=resume,
            # Only the scoring of the start was lost where there is a folder but no run.
            replace=not resume,
            on_epoch=relay.send,
        )
    )


@dataclass(frozen=True, slots=True, eq=False)
class Reopened:
    """A run that was started before: what was asked for, and its learning curves."""

    recipe: TrainRecipe
    stacks: dict[str, tuple[Stack, ...]]
    ignore: int | None
    reports: dict[str, StackReport]
    records: list[dict[str, Any]]
    best: int | None


def reopen(core: TrainCore, folder: Path) -> Steps[Reopened]:
    """Find the stacks of a run that the window started before, and read its learning curves.

    Raises
    ------
    ScutoidError
        When it was not started by this window, is damaged, or its stacks are no longer there.
    """
    from napari_scutoid.io.learning_curves import read_curves

    what = f"The training run {folder} could not be opened"
    file = folder / TRAINING / ASKED
    try:
        asked = json.loads(file.read_text(encoding="utf-8"))
        recipe = TrainRecipe.model_validate(asked["recipe"])
        files = {role: [(str(name), path) for name, path in asked["stacks"][role]] for role in ROLES}
        ignore = None if asked["ignore"] is None else int(asked["ignore"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ScutoidError(
            what,
            f"{ASKED} is missing there, or damaged",
            "choose the folder that has the model's name; a run of the command line goes on with --resume",
        ) from error
    layers = [name for some in files.values() for name, path in some if path is None]
    if layers:
        raise ScutoidError(
            what, f"{', '.join(layers)} were layers, which are in no file", "save the layers, and train anew"
        )
    stacks = {}
    for role, some in files.items():
        found = []
        for name, path in some:
            (one,) = (yield from gather(core, [Path(path)])).stacks
            found.append(one if one.name == name else renamed(one, name))
        stacks[role] = tuple(found)
    everything = [one for some in stacks.values() for one in some]
    checked = yield from check(core, everything, {}, ignore)
    curves = folder / TRAINING / CURVES
    records = [asdict(record) for record in read_curves(curves)] if curves.is_file() else []
    scored = [record for record in records if record["panoptic_quality"] is not None]
    best = max(scored, key=lambda record: record["panoptic_quality"])["epoch"] if scored else None
    return Reopened(recipe, stacks, ignore, checked.reports, records, best)


def has_run(folder: Path) -> bool:
    """Whether a folder holds a model or a run that would be lost."""
    return (folder / CONFIG).is_file() or (folder / TRAINING / RUN).is_file()


def without_split(recipe: TrainRecipe) -> TrainRecipe:
    """Return a recipe by which no stack is drawn: each has the role that the table says."""
    return recipe.model_copy(update={"split": Split(valid_share=0.0, test_share=0.0)})


def command(run: TrainingRun, recipe_file: Path) -> list[str]:
    """Return the words of the command that trains the same without this window."""
    words = ["scutoid", "train"]
    for role in ROLES:
        files = [str(one.path) for one in run.stacks[role] if one.path is not None]
        words += [f"--{role}", *files] if files else []
    words += ["--recipe", str(recipe_file), "--device", run.device]
    words += [] if run.ignore is None else ["--ignore", str(run.ignore)]
    return [*words, "-o", run.name]
