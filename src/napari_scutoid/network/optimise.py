"""What turns gradients into weights: optimiser, learning rate, precision, averaging."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from torch import nn

    from napari_scutoid.recipe.train import Optimise

TrainingPrecision = Literal["fp32", "bf16", "fp16"]
LATE = 1 / 3
"""Share of the budget over which the late decay takes the learning rate to zero."""


def make_optimiser(module: nn.Module, settings: Optimise, rate: float = 1.0) -> torch.optim.Optimizer:
    """Return an optimiser of all weights that are to be trained.

    Parameters
    ----------
    module : torch.nn.Module
        Weights that need no gradient are left out.
    settings : Optimise
    rate : float
        Factor on the learning rate.
    """
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    if settings.optimiser == "adam":
        return torch.optim.Adam(weights, lr=settings.learning_rate * rate)
    return torch.optim.AdamW(weights, lr=settings.learning_rate * rate, weight_decay=settings.weight_decay)


def learning_rate_factor(done: float, settings: Optimise) -> float:
    """Return the learning rate over its highest value when a share ``done`` of the budget is spent."""
    done = min(1.0, max(0.0, done))
    if done < settings.warm_up:
        return (done + 1e-3) / (settings.warm_up + 1e-3)
    if settings.decay == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (done - settings.warm_up) / (1 - settings.warm_up)))
    return min(1.0, (1 - done) / LATE) if settings.decay == "late" else 1.0


def computing_in(precision: TrainingPrecision, device: torch.device) -> AbstractContextManager[object]:
    """Return the context of a forward pass in a precision."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


@torch.no_grad()
def average(averaged: nn.Module, module: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the present ones, by one minus the decay (Polyak averaging).

    Statistics of batch norms are averaged as weights are; counters are taken over.
    """
    for mean, now in zip(averaged.parameters(), module.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)
    for ours, theirs in zip(averaged.buffers(), module.buffers(), strict=True):
        if ours.is_floating_point():
            ours.lerp_(theirs, 1 - decay)
        else:
            ours.copy_(theirs)


def early_decay(decay: float, steps: int) -> float:
    """Return the decay after so many steps: less at first, so that the random start is soon forgotten."""
    return min(decay, (1 + steps) / (10 + steps))
