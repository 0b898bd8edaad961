"""A whole training run: from stacks to a model folder."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.checkpoint import CONFIG, TRAINING, may_become_a_model, save_model
from napari_scutoid.network.dataset import Samples
from napari_scutoid.network.device import HOPELESS, choose_device, choose_precision, known_gain
from napari_scutoid.network.processes import ALONE
from napari_scutoid.network.train import train
from napari_scutoid.network.training_file import add_test_scores, load_training
from napari_scutoid.network.transfer import freeze_encoder
from napari_scutoid.network.validate import Validator
from napari_scutoid.pipeline import NEEDED, settings_for
from napari_scutoid.progress import Progress, within
from napari_scutoid.recipe import Predict, Recipe
from napari_scutoid.training.curves import Curves
from napari_scutoid.training.score import cell_scorer, tuned
from napari_scutoid.training.stacks import split_stacks, training_stack, typical_diameter, write_roles
from napari_scutoid.training.start import starting_point
from napari_scutoid.training.synthetic import synthetic_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.network.dataset import TrainingStack
    from napari_scutoid.network.learner import Record
    from napari_scutoid.network.optimise import TrainingPrecision
    from napari_scutoid.network.processes import Processes
    from napari_scutoid.network.train import Epoch, Trained
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe.train import TrainRecipe
    from napari_scutoid.training.stacks import Material, Roles

RUN, STACKS = "run.pt", "stacks.json"
WORKERS = 2
"""Processes that draw samples for a GPU, which is faster than one; only where processes share the stacks in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class NewModel:
    """What came of a training run.

    Parameters
    ----------
    config : ModelConfig
        As it was saved.
    trained : Trained
        Learning curves and the best epoch.
    roles : Roles
    messages : tuple of str
        What a person should know.
    """

    config: ModelConfig
    trained: Trained
    roles: Roles
    messages: tuple[str, ...]


def train_model(
    train_on: Sequence[Material],
    recipe: TrainRecipe,
    folder: Path,
    *,
    valid_on: Sequence[Material] = (),
    test_on: Sequence[Material] = (),
    segmentation: Recipe | None = None,
    ignore: int | None = None,
    device: str = "auto",
    resume: bool = False,
    replace: bool = False,
    synthetic: Callable[[int], TrainingStack] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    processes: Processes = ALONE,
) -> Steps[NewModel]:
    """Train a network on stacks with true cells, tune its post-processing, and save it as a model folder.

    Parameters
    ----------
    train_on : sequence of Material
        Shared out as the recipe says, unless `valid_on` names stacks for validation and `test_on` those for the test.
    recipe : TrainRecipe
    folder : Path
        The new model's, saved at every new best epoch and, tuned and scored, at the end. Its folder ``training`` holds
        learning curves, the stacks' roles, and what resuming needs.
    valid_on, test_on : sequence of Material
    segmentation : Recipe, optional
        How stacks are rescaled and cells are made.
    ignore : int, optional
        Label of voxels of which nobody has said what they are.
    device : {"auto", "cpu", "cuda", "mps"}
    resume : bool
        Go on with the run that `folder` holds.
    replace : bool
        Start anew although `folder` holds a model or a run; else that is refused.
    synthetic : callable, optional
        Makes the synthetic stack of a number, for the recipe's share of synthetic samples.
    on_epoch : callable, optional
        Told of each epoch.
    processes : Processes
        Of which this is one.

    Yields
    ------
    Progress
        At least once a step; closing the generator ends the run, which can be resumed.

    Returns
    -------
    NewModel

    Raises
    ------
    ScutoidError
        When stacks, settings or the folder do not allow it.
    """
    if not may_become_a_model(folder):
        raise ScutoidError(
            f"The model could not be saved as {folder}", "that exists and is not a model folder", "choose another name"
        )
    if not (resume or replace) and ((folder / CONFIG).is_file() or (folder / TRAINING / RUN).is_file()):
        raise ScutoidError(
            f"{folder} is not trained anew",
            "it holds a model or a training run already, which would be lost",
            "go on with its run (--resume), replace it (--replace), or choose another folder",
        )
    everything = {material.name: material for material in (*train_on, *valid_on, *test_on)}
    if len(everything) < len(train_on) + len(valid_on) + len(test_on):
        raise ScutoidError("The stacks cannot be told apart", "two have the same name", "rename one of the files")
    for_training, for_validation, for_test = ([one.name for one in some] for some in (train_on, valid_on, test_on))
    roles = split_stacks(for_training, recipe.split, valid=for_validation, test=for_test)
    run_folder = folder / TRAINING
    saved = load_training(run_folder / RUN) if resume else None
    start = starting_point(recipe, folder.name, cell_diameter=typical_diameter(train_on, ignore=ignore))
    settings = settings_for(segmentation or Recipe(), start.config)
    stacks: dict[str, TrainingStack] = {}
    for number, (name, material) in enumerate(everything.items()):
        at = Progress("Reading the stacks", number, len(everything))
        yield at
        stacks[name] = yield from within(training_stack(material, settings, start.config, ignore=ignore), at)
    if processes.first:
        write_roles(run_folder / STACKS, roles, stacks, recipe.split.seed, resume=resume)
    where = choose_device(device)
    precision = training_precision(recipe, where)
    predicting = Predict(device=where.type, precision="fp32" if precision == "fp32" else "bf16")
    outputs = [output.name for output in start.config.outputs]
    makes_cells = all(name in outputs for name in NEEDED)

    def judge_of(names: Sequence[str], settings: Recipe) -> Validator | None:
        some = [stacks[name] for name in names]
        scorer = cell_scorer(settings) if makes_cells else None
        return Validator(some, start.config, recipe, scorer, predicting) if some else None

    make = synthetic or partial(synthetic_stack, normalise=start.config.normalise)
    curves = Curves(run_folder, outputs, None if saved is None else int(saved["epochs"])) if processes.first else None

    def epoch_over(epoch: Epoch) -> None:
        if curves is not None:  # only the first process is told
            curves.add(epoch)
        if epoch.best and epoch.number:
            save_model(folder, epoch.module, _described(start.config, recipe, roles, epoch.record))
        if on_epoch is not None:
            on_epoch(epoch)

    trained = yield from train(
        start.module,
        start.config.outputs,
        Samples([stacks[name] for name in roles.train], start.config.outputs, recipe, make),
        recipe,
        device=str(where),
        precision=precision,
        rate=start.rate,
        multiple=start.config.architecture.multiple,
        frozen=freeze_encoder(start.module) if recipe.transfer.strategy == "freeze" else (),
        judge=judge_of(roles.valid, settings),
        file=run_folder / RUN,
        resume=saved,
        on_epoch=epoch_over,
        processes=processes,
        workers=WORKERS if where.type == "cuda" and sys.platform == "linux" else 0,
    )
    messages = [*start.messages, *([] if roles.valid else [_NO_VALIDATION])]
    if trained.patch != recipe.sampling.patch:
        messages.append(f"The memory sufficed for patches of {' x '.join(map(str, trained.patch))} voxels only")
    config = _described(start.config, recipe, roles, {"steps": trained.steps, "seconds": trained.seconds})
    if processes.first:
        tuner = judge_of(roles.valid, settings)
        if recipe.scoring.tune and makes_cells and tuner is not None:
            config, told = yield from tuned(trained.module, config, tuner, recipe, settings)
            messages.append(told)
        # As the model will be used: with what was tuned.
        last = judge_of(roles.test or roles.valid, settings_for(segmentation or Recipe(), config))
        if last is not None:
            final = yield from last(trained.module, cells=True)
            scores = {"on": "test" if roles.test else "validation", **final.scores, "confusion": final.confusion}
            config = config.model_copy(update={"scores": scores})
            add_test_scores(run_folder / RUN, final.confusion, final.miou)
        config = save_model(folder, trained.module, config)
    return NewModel(config, trained, roles, tuple(messages))


def _described(config: ModelConfig, recipe: TrainRecipe, roles: Roles, spent: Record) -> ModelConfig:
    """Return what a model folder says of how the model was made, after so many steps and seconds."""
    start = "random weights" if recipe.transfer.strategy == "scratch" else recipe.transfer.start
    data = f"{len(roles.train)} stacks, {spent['steps']} steps, {(spent['seconds'] or 0) / 60:.1f} min"
    return config.model_copy(update={"description": f"Trained by scutoid train from {start}", "training_data": data})


_NO_VALIDATION = (
    "No stack was left for validation: the last weights were kept, and post-processing was not tuned. "
    "Give a second stack."
)


def training_precision(recipe: TrainRecipe, device: Any) -> TrainingPrecision:
    """Return the precision to train in on a torch device.

    Raises
    ------
    ScutoidError
        When fp16 is asked for without a GPU, or bf16 of a processor that computes it step by step.
    """
    asked = recipe.optimise.precision
    if asked == "fp16":
        if device.type != "cuda":
            raise ScutoidError(
                "The network cannot be trained in fp16",
                f"that needs an NVIDIA GPU, and the device is {device.type}",
                "set optimise.precision to auto",
            )
        return "fp16"
    if asked == "bf16":
        if device.type == "cpu" and known_gain(device) < HOPELESS:
            raise ScutoidError(
                "The network cannot be trained in bf16",
                "this processor has no instructions for it, and would take hours for what takes minutes in fp32",
                "set optimise.precision to auto",
            )
        return "bf16"
    return choose_precision(asked, device)
