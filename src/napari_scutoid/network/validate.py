"""How good a network is on stacks that it does not learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_scutoid.network.dataset import make_targets, whole
from napari_scutoid.network.losses import make_loss
from napari_scutoid.network.predict import predict
from napari_scutoid.network.train import Judgement, Look
from napari_scutoid.network.voxel_scores import VoxelCounts, count_voxels
from napari_scutoid.progress import Progress, within
from napari_scutoid.recipe import Predict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.network.dataset import TrainingStack
    from napari_scutoid.network.learner import Record
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe.train import TrainRecipe

    CellScorer = Callable[[TrainingStack, Mapping[str, NDArray[np.float32]]], Steps[Record]]
    """Makes cells from a stack's probabilities and scores them: ap50, arand, voi_split, voi_merge, wrong_cells."""

CELL_SCORES = ("ap50", "panoptic_quality", "arand", "voi_split", "voi_merge", "wrong_cells")
SUMMED = ("wrong_cells",)
"""Scores of cells that are added over stacks; of the others, the mean is taken."""


class AsItIs:
    """Normalises what is normalised already."""

    def apply(self, block: Any, /) -> NDArray[np.float32]:
        """Return the block in single precision."""
        return np.asarray(block, np.float32)


class Validator:
    """Scores a network on some stacks, as a `train.Judge`.

    Parameters
    ----------
    stacks : sequence of TrainingStack
        At least one.
    config : ModelConfig
        Of the network.
    recipe : TrainRecipe
        Its loss.
    scorer : callable, optional
        Scores whole cells. Where there is one, the objective is the mean panoptic quality, as `tune` has it; else
        the mean intersection over union of the outputs.
    settings : Predict
        Where and how to predict.
    """

    def __init__(
        self,
        stacks: Sequence[TrainingStack],
        config: ModelConfig,
        recipe: TrainRecipe,
        scorer: CellScorer | None = None,
        settings: Predict | None = None,
    ) -> None:
        if not stacks:
            raise ValueError("stacks must hold at least one stack")
        self.stacks = tuple(stacks)
        self.config = config
        self.loss = make_loss(recipe.loss, config.outputs)
        self.scorer = scorer
        # Weights change from one validation to the next, and another library would take them over each time.
        self.settings = (settings or Predict()).model_copy(update={"gate": "off", "backend": "torch"})

    def __call__(self, module: nn.Module, *, cells: bool) -> Steps[Judgement]:
        """Predict every stack and score it; see `train.Judge`."""
        outputs = self.config.outputs
        names = [output.name for output in outputs]
        exclusive = all(output.activation == "softmax" for output in outputs)
        counts = VoxelCounts.none(names, exclusive=exclusive)
        losses, rows = [], []
        look = None
        for number, stack in enumerate(self.stacks):
            at = Progress("Scoring on the validation stacks", number, len(self.stacks))
            yield at
            probabilities = yield from within(self.probabilities(module, stack), at)
            target, valid = make_targets(whole(stack), outputs, stack.spacing)
            losses.append(self._loss(probabilities, target, valid))
            counts = counts + count_voxels(names, probabilities, target, valid, exclusive=exclusive)
            maps = dict(zip(names, probabilities, strict=True))
            if look is None:
                look = _look(stack, maps)
            if cells and self.scorer is not None:
                rows.append((yield from within(self.scorer(stack, maps), at)))
        scores = _voxel_scores(counts) | _cell_scores(rows)
        objective = counts.mean_iou() if self.scorer is None else _objective(scores)
        return Judgement(float(np.mean(losses)), scores, objective, counts.confusion_matrix(), counts.mean_iou(), look)

    def probabilities(self, module: nn.Module, stack: TrainingStack) -> Steps[NDArray[np.float32]]:
        """Return a stack's probabilities, shape (n, z, y, x)."""
        found = yield from predict(module, self.config, stack.image, AsItIs(), self.settings)
        result: NDArray[np.float32] = found.probabilities
        return result

    def _loss(self, probabilities: NDArray[np.float32], target: NDArray[np.float32], valid: NDArray[np.bool_]) -> float:
        # A softmax of logarithms gives the probabilities back, and so does a sigmoid of log-odds.
        p = torch.from_numpy(probabilities).clamp(1e-7, 1 - 1e-7)[None]
        logits = torch.logit(p)
        for index, output in enumerate(self.config.outputs):
            if output.activation == "softmax":
                logits[:, index] = p[:, index].log()
        return float(self.loss(logits, torch.from_numpy(target)[None], torch.from_numpy(valid).float()[None]))


def _look(stack: TrainingStack, maps: Mapping[str, NDArray[np.float32]]) -> Look:
    """Return the slice with most voxels of cells."""
    z = int(np.argmax([np.count_nonzero(plane) for plane in stack.labels]))
    # Copies: views would keep whole stacks in memory for as long as somebody looks.
    shown = {name: values[z].copy() for name, values in maps.items()}
    return Look(stack.name, z, stack.image[z].copy(), stack.labels[z].copy(), shown)


def _voxel_scores(counts: VoxelCounts) -> Record:
    scores: Record = {f"iou_{name}": value for name, value in counts.iou().items()}
    scores |= {"miou": counts.mean_iou(), "dice": counts.mean_dice()}
    if "boundary" in counts.names:
        names = ("boundary_precision", "boundary_recall", "boundary_f1")
        scores |= dict(zip(names, counts.precision_recall_f1("boundary"), strict=True))
    return scores


def _cell_scores(rows: Sequence[Record]) -> Record:
    scores: Record = {}
    for name in CELL_SCORES:
        values = [value for row in rows if (value := row.get(name)) is not None]
        if values:
            scores[name] = sum(values) if name in SUMMED else float(np.mean(values))
    return scores


def _objective(scores: Record) -> float | None:
    quality = scores.get("panoptic_quality")
    return None if quality is None else float(quality)
