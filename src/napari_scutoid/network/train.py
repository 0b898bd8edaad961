"""The training loop: AdamW with warm-up and cosine decay, bf16 where it pays, averaged weights."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_scutoid.network.dataset import draw_patch
from napari_scutoid.network.losses import bce_dice
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from napari_scutoid.network.config import Triple
    from napari_scutoid.network.dataset import Example
    from napari_scutoid.progress import Steps


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to train.

    Parameters
    ----------
    minutes : float
        Time budget; the learning rate follows it to zero, so training always ends annealed.
    steps : int or None
        Ends training earlier, after this many steps; makes a run independent of the machine's speed.
    batch : int
        Patches a step.
    patch : tuple of int
        Voxels along z, y, x.
    learning_rate : float
        The highest, reached after the first 2 % and left by a half cosine (Loshchilov & Hutter 2017).
    weight_decay : float
        Of AdamW.
    average : float
        Decay of the exponential moving average of the weights that is returned (Polyak averaging).
    seed : int
        Of the patches.
    """

    minutes: float = 30.0
    steps: int | None = None
    batch: int = 2
    patch: Triple = (32, 64, 64)
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    average: float = 0.999
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained network and how it got there."""

    module: nn.Module
    losses: tuple[float, ...]


def train(
    module: nn.Module, examples: Sequence[Example], schedule: Schedule, *, device: str = "cpu", bf16: bool = False
) -> Steps[Trained]:
    """Train a network on random patches.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place; gives logits (b, 2, z, y, x).
    examples : sequence of Example
        Training stacks.
    schedule : Schedule
        Budget and rates.
    device : str
        Torch device.
    bf16 : bool
        Whether to compute in bfloat16 where torch deems it safe.

    Yields
    ------
    Progress
        After every step, in thousandths of the budget; the step's name holds the mean loss of late.

    Returns
    -------
    Trained
        The averaged network in evaluation mode, and every step's loss.
    """
    rng = np.random.default_rng(schedule.seed)
    module = module.to(device).train()
    module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # missing in torch's stubs
    averaged = copy.deepcopy(module).eval()
    optimiser = torch.optim.AdamW(module.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    losses: list[float] = []
    started = time.monotonic()
    done = 0.0
    while done < 1:
        for group in optimiser.param_groups:
            group["lr"] = schedule.learning_rate * learning_rate_factor(done)
        image, target = _batch(examples, schedule, rng, device)
        with torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=bf16):
            logits = module(image)
        loss = bce_dice(logits, target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
        _average(averaged, module, min(schedule.average, (1 + len(losses)) / (10 + len(losses))))
        done = (time.monotonic() - started) / (60 * schedule.minutes)
        if schedule.steps is not None:
            done = max(done, len(losses) / schedule.steps)
        recent = float(np.mean(losses[-100:]))
        yield Progress(f"Training, step {len(losses)}, loss {recent:.4f}", min(1000, round(1000 * done)), 1000)
    return Trained(averaged, tuple(losses))


def learning_rate_factor(done: float, warm_up: float = 0.02) -> float:
    """Return the learning rate over its highest value when a share ``done`` of the budget is spent."""
    if done < warm_up:
        return (done + 1e-3) / (warm_up + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warm_up) / (1 - warm_up))))


def _batch(
    examples: Sequence[Example], schedule: Schedule, rng: np.random.Generator, device: str
) -> tuple[Tensor, Tensor]:
    images, targets = zip(*(draw_patch(examples, schedule.patch, rng) for _ in range(schedule.batch)), strict=True)
    image = torch.stack(images).to(device, memory_format=torch.channels_last_3d)
    return image, torch.stack(targets).to(device)


@torch.no_grad()
def _average(averaged: nn.Module, module: nn.Module, decay: float) -> None:
    for mean, now in zip(averaged.parameters(), module.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)
    for ours, theirs in zip(averaged.buffers(), module.buffers(), strict=True):
        if ours.is_floating_point():
            ours.lerp_(theirs, 1 - decay)
        else:
            ours.copy_(theirs)
