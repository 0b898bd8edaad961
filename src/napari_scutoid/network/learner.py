"""A network being trained: a step, the budget, and all that resuming needs."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

import torch

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.device import channels_last, out_of_memory
from napari_scutoid.network.losses import make_loss
from napari_scutoid.network.optimise import average, computing_in, early_decay, learning_rate_factor, make_optimiser

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from napari_scutoid.network.config import Output, Triple
    from napari_scutoid.network.dataset import Batch
    from napari_scutoid.network.optimise import TrainingPrecision
    from napari_scutoid.network.processes import Processes
    from napari_scutoid.recipe.train import TrainRecipe

SMALLEST_PATCH = 8
"""Voxels along an axis below which a patch is not made smaller for want of memory."""

Record = dict[str, float | None]
"""A row of the learning curves, by their columns' names."""


@dataclass(slots=True)
class State:
    """All that changes while training, besides the weights."""

    patch: Triple
    epoch: int = 0
    steps: int = 0
    seconds: float = 0.0
    drawn: int = 0
    best_epoch: int = 0
    best_objective: float = -math.inf
    since_best: int = 0
    records: list[Record] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    """Of the steps of an epoch that is not over: a run that is paused within one loses no step."""


class Learner:
    """A network being trained.

    Parameters are those of `train.train`, whose loop this is the inside of.
    """

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
        self.state = State(recipe.sampling.patch)
        self._since = monotonic()

    def clock(self) -> None:
        """Bring the seconds up to date."""
        now = monotonic()
        self.state.seconds += now - self._since
        self._since = now

    def done(self) -> float:
        """Return the share of the budget that is spent, of steps or of time, whichever is more.

        All processes have to ask together, as with the two methods below.
        """
        self.clock()
        share = self.state.steps / (self.settings.epochs * self.settings.steps_per_epoch)
        if self.settings.minutes is not None:
            share = max(share, self.processes.first_says(self.state.seconds / 60 / self.settings.minutes))
        return share

    def over(self) -> bool:
        """Whether the budget is spent, or there was no improvement for too long."""
        spent = self.done() >= 1
        patience = self.settings.patience
        tired = patience is not None and self.state.since_best >= patience
        return bool(self.processes.first_says(float(spent or tired)))

    def learning_rate(self) -> float:
        """Return what it is now."""
        return self.settings.learning_rate * self.rate * learning_rate_factor(self.done(), self.settings)

    def step(self, some: Sequence[Batch]) -> float | None:
        """Change the weights once; return the mean loss, or None when the memory did not suffice."""
        self.module.train()
        for part in self.frozen:
            part.eval()
        rate = self.learning_rate()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        try:
            mean = self.processes.mean(sum(self._backward(batch, len(some)) for batch in some))
        except (RuntimeError, MemoryError) as error:
            if self.processes.count > 1 or not out_of_memory(error):
                raise
            return None
        if not math.isfinite(mean):
            raise ScutoidError(
                "Training cannot go on",
                f"the loss is no longer a number after {self.state.steps} steps",
                "lower optimise.learning_rate, or set optimise.precision to fp32; the last epoch is saved",
            )
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

    def shrink(self, multiple: Triple) -> str:
        """Make the patch smaller along its longest axis; return what a person is told."""
        self.optimiser.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        old = self.state.patch
        axis = max(range(3), key=lambda i: old[i])
        half = max(max(SMALLEST_PATCH, old[axis] // 2) // multiple[axis], 1) * multiple[axis]
        if half >= old[axis]:
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
        losses = {
            name: [loss for record in self.state.records if (loss := record.get(name)) is not None]
            for name in ("train_loss", "valid_loss")
        }
        return {
            "epochs": self.state.epoch,
            "best_model_state_dict": self.best,
            "model_state_dict": self.module.state_dict(),
            "optimizer_state_dict": self.optimiser.state_dict(),
            "scaler_state_dict": self.scaler.state_dict(),
            "train_losses": losses["train_loss"],
            "valid_losses": losses["valid_loss"],
            "test_conf_matrix": None,
            "test_miou": None,
            "averaged_state_dict": self.averaged.state_dict(),
            "state": asdict(self.state),
            "recipe": self.recipe.model_dump(mode="json"),
            "torch_rng_state": torch.get_rng_state(),
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        """Go on where a saved run stopped."""
        try:
            self.module.load_state_dict(content["model_state_dict"])
            self.averaged.load_state_dict(content["averaged_state_dict"])
            self.best = dict(content["best_model_state_dict"])
            self.optimiser.load_state_dict(content["optimizer_state_dict"])
            self.scaler.load_state_dict(content["scaler_state_dict"])
            self.state = State(**content["state"])
            torch.set_rng_state(content["torch_rng_state"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:  # torch's, where names or shapes differ
            raise ScutoidError(
                "The training run could not be resumed",
                "it is of another network, or other parts of it were trained",
                "give the same settings, or start again without --resume",
            ) from error
