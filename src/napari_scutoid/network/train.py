"""The training loop: from samples to weights, an epoch at a time, to be interrupted and resumed at any moment."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import torch

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.dataset import batches
from napari_scutoid.network.device import channels_last, out_of_memory
from napari_scutoid.network.losses import make_loss
from napari_scutoid.network.optimise import average, computing_in, early_decay, learning_rate_factor, make_optimiser
from napari_scutoid.network.processes import ALONE, Processes
from napari_scutoid.network.training_file import save_training
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from napari_scutoid.network.config import Output, Triple
    from napari_scutoid.network.dataset import Batch, Source
    from napari_scutoid.network.optimise import TrainingPrecision
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe.train import TrainRecipe

SMALLEST_PATCH = 8
"""Voxels along an axis below which a patch is not made smaller for want of memory."""
MOST_OVERFLOWS = 20
"""Steps in a row that may overflow in half precision while the loss's scale is found."""

Record = dict[str, float | None]
Module = torch.nn.Module


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
    """

    loss: float
    scores: Record
    objective: float | None
    confusion: list[list[int]] | None = None
    miou: float | None = None


class Judge(Protocol):
    """What scores a network on stacks that it does not learn from."""

    def __call__(self, module: nn.Module, *, cells: bool) -> Steps[Judgement]:
        """Score it; whole cells only where asked for, since they take longer."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch that is over: 0 is the network that training starts from."""

    number: int
    record: Record
    best: bool


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained network and how it got there.

    Parameters
    ----------
    module : torch.nn.Module
        With the best weights, in evaluation mode.
    best_epoch : int
        Whose weights they are.
    records : tuple of dict
        The learning curves, a row an epoch.
    steps : int
        How often the weights changed.
    seconds : float
        All sessions together.
    """

    module: nn.Module
    best_epoch: int
    records: tuple[Record, ...]
    steps: int
    seconds: float


@dataclass(slots=True)
class _State:
    """All that changes while training, besides the weights."""

    epoch: int = 0
    steps: int = 0
    seconds: float = 0.0
    drawn: int = 0
    patch: Triple = (0, 0, 0)
    best_epoch: int = 0
    best_objective: float = -math.inf
    since_best: int = 0
    records: list[Record] = field(default_factory=list)
    train_losses: list[float] = field(default_factory=list)
    valid_losses: list[float] = field(default_factory=list)


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
        Scores the averaged weights before the first epoch and after each one.
    file : Path, optional
        Where the run is saved at every epoch.
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
        After every step and while scoring; closing the generator ends the run, which can be resumed from its file.

    Returns
    -------
    Trained

    Raises
    ------
    ScutoidError
        When the loss is no longer a number, or the memory does not suffice for the smallest patch.
    """
    run = _Run(module, outputs, recipe, torch.device(device), precision, rate, frozen, processes)
    run.state.patch = recipe.sampling.patch
    if resume is not None:
        run.restore(resume)
    state, settings = run.state, recipe.optimise
    if resume is None and processes.first and judge is not None:
        yield from _judged(run, judge, None, last=True, on_epoch=on_epoch)
        if file is not None:
            save_training(file, run.content())
    while state.epoch < settings.epochs and not run.over():
        losses: list[float] = []
        name = f"Training, epoch {state.epoch + 1} of {settings.epochs}"
        while len(losses) < settings.steps_per_epoch and run.done() < 1:
            for some in _steps(run, source, settings.steps_per_epoch - len(losses), workers):
                loss = run.step(some)
                if loss is None:
                    yield Progress(run.shrink(multiple))
                    break
                losses.append(loss)
                yield Progress(name, min(1000, round(1000 * run.done())), 1000)
                if run.done() >= 1:
                    break
        if not losses:
            break
        state.epoch += 1
        mean = sum(losses) / len(losses)
        last = state.epoch == settings.epochs or run.done() >= 1
        if processes.first:
            yield from _judged(run, judge, mean, last=last, on_epoch=on_epoch)
            if file is not None:
                save_training(file, run.content())
    module.load_state_dict(run.best if run.best else run.averaged.state_dict())
    return Trained(module.eval(), state.best_epoch, tuple(state.records), state.steps, state.seconds)


class _Run:
    """A network being trained."""

    def __init__(
        self,
        module: nn.Module,
        outputs: Sequence[Output],
        recipe: TrainRecipe,
        device: torch.device,
        precision: TrainingPrecision,
        rate: float,
        frozen: Sequence[nn.Module],
        processes: Processes,
    ) -> None:
        self.module = module.to(device)
        channels_last(self.module)
        self.parallel = processes.together(self.module)
        self.averaged = copy.deepcopy(self.module).eval()
        self.best: dict[str, Tensor] = {}
        self.loss = make_loss(recipe.loss, outputs)
        self.recipe, self.settings, self.device, self.precision = recipe, recipe.optimise, device, precision
        self.rate, self.frozen, self.processes = rate, frozen, processes
        self.optimiser = make_optimiser(module, recipe.optimise, rate)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self.state = _State()
        self.overflows = 0
        self._since = time.monotonic()

    def done(self) -> float:
        """Return the share of the budget that is spent, of steps or of time, whichever is more."""
        now = time.monotonic()
        self.state.seconds += now - self._since
        self._since = now
        share = self.state.steps / (self.settings.epochs * self.settings.steps_per_epoch)
        if self.settings.minutes is not None:
            share = max(share, self.processes.first_says(self.state.seconds / 60 / self.settings.minutes))
        return share

    def over(self) -> bool:
        """Whether the budget is spent, or there was no improvement for too long."""
        patience = self.settings.patience
        tired = patience is not None and self.state.since_best >= patience
        return bool(self.processes.first_says(float(tired or self.done() >= 1)))

    def learning_rate(self) -> float:
        """Return the present learning rate."""
        return self.settings.learning_rate * self.rate * learning_rate_factor(self.done(), self.settings)

    def step(self, some: Sequence[Batch]) -> float | None:
        """Change the weights once; return the mean loss, or None when the memory did not suffice."""
        self.module.train()
        for part in self.frozen:
            part.eval()
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        self.optimiser.zero_grad(set_to_none=True)
        try:
            mean = self.processes.mean(sum(self._backward(batch, len(some)) for batch in some))
        except (RuntimeError, MemoryError) as error:
            if self.processes.count > 1 or not out_of_memory(error):
                raise
            return None
        self._check(mean)
        self.scaler.unscale_(self.optimiser)
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.settings.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.state.steps += 1
        average(self.averaged, self.module, early_decay(self.settings.average, self.state.steps))
        return mean

    def _backward(self, batch: Batch, n_batches: int) -> float:
        image = batch.image.to(self.device, memory_format=torch.channels_last_3d)
        with computing_in(self.precision, self.device):
            logits = self.parallel(image)
        loss = self.loss(logits, batch.target.to(self.device), batch.weight.to(self.device)) / n_batches
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def _check(self, loss: float) -> None:
        self.overflows = 0 if math.isfinite(loss) else self.overflows + 1
        if self.overflows > (MOST_OVERFLOWS if self.precision == "fp16" else 0):
            raise ScutoidError(
                "Training cannot go on",
                f"the loss is no longer a number after {self.state.steps} steps",
                "lower optimise.learning_rate, or set optimise.precision to fp32; the last epoch is saved",
            )

    def shrink(self, multiple: Triple) -> str:
        """Make the patch smaller along its longest axis; return what a person is told."""
        self.optimiser.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        old = self.state.patch
        axis = max(range(3), key=lambda i: old[i])
        half = max(SMALLEST_PATCH, old[axis] // 2) // multiple[axis] * multiple[axis]
        if not 0 < half < old[axis]:
            raise ScutoidError(
                "The network could not be trained",
                f"the memory does not suffice even for patches of {old} voxels",
                "close other programs, set sampling.batch to 1, or train a smaller network",
            )
        z, y, x = (half if i == axis else size for i, size in enumerate(old))
        self.state.patch = (z, y, x)
        return f"Not enough memory: patches are now {z} x {y} x {x} voxels"

    def content(self) -> dict[str, Any]:
        """Return all that resuming needs."""
        state = {name: getattr(self.state, name) for name in _State.__slots__}
        last = self.state.records[-1] if self.state.records else {}
        return {
            "epochs": self.state.epoch,
            "best_model_state_dict": self.best or self.averaged.state_dict(),
            "model_state_dict": self.module.state_dict(),
            "optimizer_state_dict": self.optimiser.state_dict(),
            "scaler_state_dict": self.scaler.state_dict(),
            "train_losses": list(self.state.train_losses),
            "valid_losses": list(self.state.valid_losses),
            "test_conf_matrix": None,
            "test_miou": last.get("miou"),
            "averaged_state_dict": self.averaged.state_dict(),
            "state": state,
            "recipe": self.recipe.model_dump(mode="json"),
            "torch_rng_state": torch.get_rng_state(),
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        """Go on where a saved run stopped."""
        self.module.load_state_dict(content["model_state_dict"])
        self.averaged.load_state_dict(content["averaged_state_dict"])
        self.best = dict(content["best_model_state_dict"])
        self.optimiser.load_state_dict(content["optimizer_state_dict"])
        self.scaler.load_state_dict(content["scaler_state_dict"])
        torch.set_rng_state(content["torch_rng_state"])
        for name, value in content["state"].items():
            setattr(self.state, name, value)
        self.state.patch = tuple(content["state"]["patch"])
        self._since = time.monotonic()


def _steps(run: _Run, source: Source, count: int, workers: int) -> Any:
    """Yield the batches of each step, with the patch as it is now."""
    sampling = run.recipe.sampling
    each = sampling.batch * run.processes.count
    parts = []
    for first in range(run.state.drawn, run.state.drawn + count * sampling.accumulate * each, each):
        parts.append(run.processes.share(range(first, first + each)))
    drawn = batches(source, parts, run.state.patch, workers=workers)
    while some := list(islice(drawn, sampling.accumulate)):
        run.state.drawn += each * len(some)
        yield some


def _judged(
    run: _Run,
    judge: Judge | None,
    train_loss: float | None,
    *,
    last: bool,
    on_epoch: Callable[[Epoch], None] | None,
) -> Steps[None]:
    """Score the averaged weights, keep them if they are the best, and add a row to the learning curves."""
    state = run.state
    scores: Record = {}
    if judge is not None:
        cells = last or state.epoch % run.recipe.scoring.every == 0
        found = yield from judge(run.averaged, cells=cells)
        scores = {"valid_loss": found.loss, **found.scores}
        state.valid_losses.append(found.loss)
        if found.objective is not None:
            better = found.objective > state.best_objective
            state.since_best = 0 if better else state.since_best + 1
            if better:
                state.best_objective = found.objective
    if judge is None or (found.objective is not None and state.since_best == 0):
        state.best_epoch = state.epoch
        run.best = {name: tensor.detach().clone() for name, tensor in run.averaged.state_dict().items()}
    if train_loss is not None:
        state.train_losses.append(train_loss)
    run.done()  # brings the seconds up to date
    state.records.append(
        {
            "epoch": state.epoch,
            "steps": state.steps,
            "seconds": round(state.seconds, 1),
            "learning_rate": run.learning_rate(),
            "train_loss": train_loss,
            **scores,
        }
    )
    if on_epoch is not None:
        on_epoch(Epoch(state.epoch, state.records[-1], state.best_epoch == state.epoch))
