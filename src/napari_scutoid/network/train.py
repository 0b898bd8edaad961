"""The training loop: from samples to weights, an epoch at a time, to be interrupted and resumed at any moment."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import torch

from napari_scutoid.network.dataset import batches
from napari_scutoid.network.learner import Learner, Record
from napari_scutoid.network.processes import ALONE, Processes
from napari_scutoid.network.training_file import save_training
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from napari_scutoid.network.config import Output, Triple
    from napari_scutoid.network.dataset import Batch, Source
    from napari_scutoid.network.optimise import TrainingPrecision
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe.train import TrainRecipe

Module = torch.nn.Module


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A slice of a stack and what a network makes of it, for a person to see.

    Parameters
    ----------
    name : str
        Of the stack.
    z : int
        Which slice, on the grid that the network works on.
    image : ndarray of float16 or float32, shape (y, x)
        Normalised intensities.
    labels : ndarray of uint32, shape (y, x)
        True cells.
    maps : dict of str to ndarray of float32, shape (y, x)
        Probabilities, by the names of the outputs.
    """

    name: str
    z: int
    image: NDArray[np.float16] | NDArray[np.float32]
    labels: NDArray[np.uint32]
    maps: dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What validation stacks say about a network.

    Parameters
    ----------
    loss : float
    scores : dict
        By the names of the learning curves' columns; None where a score is not defined.
    objective : float or None
        What the best weights are chosen by, the higher the better; None where it was not computed this time.
    confusion : nested list of int, optional
        Of the classes, rows by truth.
    miou : float, optional
        Mean intersection over union of the classes.
    look : Look, optional
        A slice of the first stack.
    """

    loss: float
    scores: Record
    objective: float | None
    confusion: list[list[int]] | None = None
    miou: float | None = None
    look: Look | None = field(default=None, compare=False)


class Judge(Protocol):
    """What scores a network on stacks that it does not learn from."""

    def __call__(self, module: nn.Module, *, cells: bool) -> Steps[Judgement]:
        """Score it; whole cells only where asked for, since they take longer."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch that is over.

    Parameters
    ----------
    number : int
        0 is the network that training starts from.
    record : dict
        Its row of the learning curves.
    best : bool
        Whether no epoch before was as good.
    module : torch.nn.Module
        With the averaged weights; they change when training goes on.
    look : Look, optional
        A slice of a validation stack.
    """

    number: int
    record: Record
    best: bool
    module: nn.Module
    look: Look | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained network and how it got there.

    Parameters
    ----------
    module : torch.nn.Module
        With the best weights, in evaluation mode; with the last ones in processes other than the first.
    best_epoch : int
        Whose weights they are.
    records : tuple of dict
        The learning curves, a row an epoch from 0 on; none in processes other than the first.
    steps : int
        How often the weights changed.
    seconds : float
        All sessions together.
    patch : (int, int, int)
        Of the last step: smaller than the recipe's where the memory did not suffice for that.
    """

    module: nn.Module
    best_epoch: int
    records: tuple[Record, ...]
    steps: int
    seconds: float
    patch: Triple


def train(
    module: nn.Module,
    outputs: Sequence[Output],
    source: Source,
    recipe: TrainRecipe,
    *,
    device: str = "cpu",
    precision: TrainingPrecision = "fp32",
    rate: float = 1.0,
    multiple: Triple = (1, 1, 1),
    frozen: Sequence[nn.Module] = (),
    judge: Judge | None = None,
    file: Path | None = None,
    resume: Mapping[str, Any] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    processes: Processes = ALONE,
    workers: int = 0,
) -> Steps[Trained]:
    """Train a network.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place; gives logits (b, n, z, y, x).
    outputs : sequence of Output, length n
    source : Source
        Where samples come from.
    recipe : TrainRecipe
        Its parts `sampling`, `loss`, `optimise` and `scoring`.
    device : str
        Torch device.
    precision : {"fp32", "bf16", "fp16"}
        Of the forward pass; losses and weights are float32.
    rate : float
        Factor on the learning rate.
    multiple : (int, int, int)
        Voxels along z, y, x that a patch must be a multiple of.
    frozen : sequence of torch.nn.Module
        Parts whose norms stay in evaluation mode, and whose weights need no gradient.
    judge : Judge, optional
        Scores the averaged weights before the first epoch and after each one. Without it, the last ones are the best.
    file : Path, optional
        Where the run is saved, before the first epoch, after each one, and when the generator is closed.
    resume : mapping, optional
        What such a file held.
    on_epoch : callable, optional
        Told of each epoch just before it is saved: what it writes can be behind the file's by no epoch.
    processes : Processes
        Of which this is one; only the first one scores and saves.
    workers : int
        Processes that draw samples ahead.

    Yields
    ------
    Progress
        After every step and while scoring; closing the generator ends the run, which can be resumed from its file
        at that step.

    Returns
    -------
    Trained

    Raises
    ------
    ScutoidError
        When the loss is no longer a number, the memory does not suffice for the smallest patch, or the run cannot be
        saved, or resumed with this network.
    """
    run = Learner(module, outputs, recipe, torch.device(device), precision, rate, frozen, processes)
    if resume is not None:
        run.restore(resume)
    state, settings = run.state, recipe.optimise

    def epoch_over(number: int, *, last: bool) -> Steps[None]:
        found = None
        if processes.first and judge is not None:
            cells = last or (number > 0 and number % recipe.scoring.every == 0)
            found = yield from judge(run.averaged, cells=cells)
        # Nothing has changed yet, and from here on nothing is yielded: who closes while it is scored, scores it again.
        train_loss = sum(state.losses) / len(state.losses) if state.losses else None
        state.epoch, state.losses = number, []
        if not processes.first:
            return
        _record(run, found, train_loss)
        if on_epoch is not None:
            look = None if found is None else found.look
            on_epoch(Epoch(number, state.records[-1], state.best_epoch == number, run.averaged, look))
        if file is not None:
            save_training(file, run.content())

    if resume is None:
        # Random weights say "cell" all over the place: making cells of that would take longer than learning better.
        yield from epoch_over(0, last=recipe.transfer.strategy != "scratch")
    try:
        while state.losses or (state.epoch < settings.epochs and not run.over()):
            number = state.epoch + 1
            # Where the clock ends the run, the number of epochs is only a bound.
            name = f"Training, epoch {number}" + ("" if settings.minutes else f" of {settings.epochs}")
            while len(state.losses) < settings.steps_per_epoch and run.done() < 1:
                for some in _steps(run, source, settings.steps_per_epoch - len(state.losses), workers):
                    loss = run.step(some)
                    if loss is None:
                        yield Progress(run.shrink(multiple))
                        break
                    state.losses.append(loss)
                    yield Progress(name, min(1000, round(1000 * run.done())), 1000)
                    if run.done() >= 1:
                        break
            if not state.losses:
                break
            yield from epoch_over(number, last=number == settings.epochs or run.done() >= 1)
    except GeneratorExit:
        if file is not None and processes.first:
            save_training(file, run.content())
        raise
    module.load_state_dict(run.best or run.averaged.state_dict())
    return Trained(module.eval(), state.best_epoch, tuple(state.records), state.steps, state.seconds, state.patch)


def _steps(run: Learner, source: Source, count: int, workers: int) -> Iterator[list[Batch]]:
    """Yield the batches of each step, with the patch as it is now."""
    sampling = run.recipe.sampling
    each = sampling.batch * run.processes.count
    start = run.state.drawn
    firsts = range(start, start + count * sampling.accumulate * each, each)
    parts = [run.processes.share(range(first, first + each)) for first in firsts]
    drawn = batches(source, parts, run.state.patch, workers=workers)
    while some := list(islice(drawn, sampling.accumulate)):
        run.state.drawn += each * len(some)
        yield some


def _record(run: Learner, found: Judgement | None, train_loss: float | None) -> None:
    """Keep the averaged weights if they are the best, and add a row to the learning curves."""
    state = run.state
    scores: Record = {}
    better = False
    if found is not None:
        scores = {"valid_loss": found.loss, **found.scores}
        if found.objective is not None:
            better = found.objective > state.best_objective
            state.since_best = 0 if better else state.since_best + 1
            if better:
                state.best_objective = found.objective
    if better or state.best_objective == -math.inf:  # until one has been judged, the latest is the best
        state.best_epoch = state.epoch
        run.best = {name: tensor.detach().clone() for name, tensor in run.averaged.state_dict().items()}
    run.clock()
    state.records.append(
        {
            "epoch": state.epoch,
            "steps": state.steps,
            "seconds": round(state.seconds, 1),
            "learning_rate": run.optimiser.param_groups[0]["lr"],
            "train_loss": train_loss,
            **scores,
        }
    )
