"""A training run that takes a second: a stack of a few cells, a network of a few channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.network.checkpoint import save_model
from napari_scutoid.network.config import Architecture, ModelConfig, Output
from napari_scutoid.network.dataset import Samples, TrainingStack
from napari_scutoid.network.train import Judgement, train
from napari_scutoid.network.transfer import fresh
from napari_scutoid.progress import Progress
from napari_scutoid.recipe import Recipe
from napari_scutoid.recipe.train import TrainRecipe
from napari_scutoid.synth.tissue import synthesise
from napari_scutoid.training.stacks import Material

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from napari_scutoid.network.train import Trained
    from napari_scutoid.progress import Steps

OUTPUTS = (Output(name="foreground"), Output(name="boundary"))
PLAN = ((4, 4), (8, 8))
UNCHANGED = dict.fromkeys(
    (
        *("flip", "turn", "rotate", "tilt", "zoom", "shift", "shear", "elastic"),
        *("brightness", "contrast", "gamma", "noise", "blur", "slices", "cutout"),
    ),
    0.0,
)
"""No augmentation."""


def a_stack(shape: tuple[int, int, int] = (8, 16, 16), name: str = "blocks") -> TrainingStack:
    """Return cells of 4 x 6 x 6 voxels with dark gaps at some of their walls, and noise."""
    cell = [np.arange(n) // size for n, size in zip(shape, (4, 6, 6), strict=True)]
    z, y, x = np.meshgrid(*cell, indexing="ij")
    labels = (1 + z * 100 + y * 10 + x).astype(np.uint32)
    labels[:, :2] = 0
    image = (labels > 0) + np.random.default_rng(0).normal(0, 0.1, shape)
    return TrainingStack.from_labels(image.astype(np.float32), labels, name=name)


def a_recipe(**parts: Any) -> TrainRecipe:
    """Return settings of a run of four epochs of three steps, with some changed."""
    stated: dict[str, Any] = {
        "sampling": {"patch": (8, 8, 8), "batch": 2},
        "optimise": {"learning_rate": 1e-2, "steps_per_epoch": 3, "epochs": 4},
    }
    for name, part in parts.items():
        stated[name] = {**stated.get(name, {}), **part} if isinstance(part, dict) else part
    return TrainRecipe.model_validate(stated)


def a_network(norm: Any = "batch", n_outputs: int = 2) -> nn.Module:
    """Return a network that always starts from the same weights."""
    return fresh(Architecture(plan=PLAN, norm=norm), n_outputs, 0)


def a_run(recipe: TrainRecipe, *, module: nn.Module | None = None, source: Any = None, **more: Any) -> Steps[Trained]:
    """Return a run on `a_stack`."""
    source = source or Samples([a_stack()], OUTPUTS, recipe)
    return train(a_network() if module is None else module, OUTPUTS, source, recipe, **more)


class FakeJudge:
    """Says what it was told to, and remembers what it was asked.

    Parameters
    ----------
    objectives : sequence of float or None
        For each scoring, the last one for all after.
    losses : sequence of float
        The same.
    """

    def __init__(self, objectives: Sequence[float | None], losses: Sequence[float] = (1.0,)) -> None:
        self.objectives, self.losses = list(objectives), list(losses)
        self.asked: list[bool] = []
        self.seen: list[dict[str, Any]] = []

    def __call__(self, module: nn.Module, *, cells: bool) -> Steps[Judgement]:
        yield Progress("Judging")
        objective = self.objectives[min(len(self.asked), len(self.objectives) - 1)]
        loss = self.losses[min(len(self.asked), len(self.losses) - 1)]
        self.asked.append(cells)
        self.seen.append({name: tensor.clone() for name, tensor in module.state_dict().items()})
        return Judgement(loss, {"dice": 0.5}, objective)


def a_material(name: str, seed: int = 1) -> Material:
    """Return a small synthetic cyst as a file would hold it."""
    tissue = synthesise("cyst", (16, 24, 24), seed, cell_diameter=9)
    return Material(name, tissue.image, tissue.labels)


def a_model(folder: Path, names: Sequence[str] = ("foreground", "boundary")) -> Path:
    """Save a model of a few channels, without a batch norm, that knows nothing yet."""
    architecture = Architecture(plan=PLAN, norm="none")
    config = ModelConfig(
        name=folder.name, architecture=architecture, outputs=tuple(Output(name=name) for name in names)
    )
    save_model(folder, fresh(architecture, len(names), 0), config)
    return folder


AS_IT_IS = Recipe.model_validate({"rescale": {"mode": "none"}, "predict": {"precision": "fp32"}})
"""Segmentation on the stack's own grid."""


def a_model_recipe(start: Path | str, **parts: Any) -> TrainRecipe:
    """Return settings of a whole training run, from a saved model, in seconds."""
    return a_recipe(
        transfer={"start": str(start), "rate": 1.0, **parts.pop("transfer", {})},
        optimise={"precision": "fp32", "epochs": 2, **parts.pop("optimise", {})},
        scoring={"n_watersheds": 1, **parts.pop("scoring", {})},
        **parts,
    )
