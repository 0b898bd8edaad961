"""Scores of a network that is right, wrong, or right where it is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from napari_scutoid.network.config import Architecture, ModelConfig, Output
from napari_scutoid.network.dataset import BACKGROUND, TrainingStack
from napari_scutoid.network.validate import Validator
from napari_scutoid.progress import Progress, drain
from napari_scutoid.recipe import Predict
from napari_scutoid.recipe.train import TrainRecipe

SETTINGS = Predict(device="cpu", precision="fp32")
ENTROPY = TrainRecipe.model_validate({"loss": {"name": "cross_entropy"}})


class Bright(torch.nn.Module):
    """Says yes, with log-odds of 4, where the image is bright, and of each further output the opposite."""

    def __init__(self, n_outputs: int = 1) -> None:
        super().__init__()
        self.signs = torch.nn.Parameter(torch.tensor([1.0, *[-1.0] * (n_outputs - 1)]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = 8 * (x - 0.5) * self.signs.reshape(1, -1, 1, 1, 1)
        return logits


def config(*names: str, activation="sigmoid") -> ModelConfig:
    outputs = tuple(Output(name=name, activation=activation) for name in names)
    return ModelConfig(name="bright", architecture=Architecture(plan=((2, 2),), norm="none"), outputs=outputs)


def stack(*, wrong: int = 0, hide_wrong: bool = False, cells: int = 1) -> TrainingStack:
    """Return 64 voxels of cells that are bright, but for some."""
    labels = np.zeros((4, 8, 8), np.uint32)
    labels[:, :, :2] = np.repeat(np.arange(1, 1 + cells), 4 // cells)[:, None, None]
    image = (labels > 0).astype(np.float32)
    image.ravel()[np.flatnonzero(labels)[:wrong]] = 0
    known = (image > 0) == (labels > 0) if hide_wrong else None
    return TrainingStack.from_labels(image, labels, known=known)


def judged(validator: Validator, module, *, cells=False):
    return drain(validator(module, cells=cells))


def test_voxels_are_scored_over_all_stacks():
    validator = Validator([stack(), stack(wrong=32)], config("foreground"), TrainRecipe(), settings=SETTINGS)
    found = judged(validator, Bright())
    assert found.scores["iou_foreground"] == found.miou == found.objective == pytest.approx(96 / 128)
    assert found.scores["dice"] == pytest.approx(2 * 96 / (96 + 128))
    assert found.confusion == [[[384, 0], [32, 96]]]


def test_a_person_is_shown_the_fullest_slice_of_the_first_stack():
    one = stack()
    labels = one.labels.copy()
    labels[[0, 1, 3]] = 0
    first = TrainingStack.from_labels(one.image, labels, name="first")
    validator = Validator([first, stack()], config("foreground"), TrainRecipe(), settings=SETTINGS)
    look = judged(validator, Bright()).look
    assert (look.name, look.z, list(look.maps)) == ("first", 2, ["foreground"])
    assert np.array_equal(look.image, first.image[2]) and np.array_equal(look.labels, labels[2])
    assert np.array_equal(look.maps["foreground"] > 0.5, one.image[2] > 0)
    assert look.maps["foreground"].base is None


def test_what_is_unknown_is_not_scored():
    validator = Validator([stack(wrong=32, hide_wrong=True)], config("foreground"), ENTROPY, settings=SETTINGS)
    found = judged(validator, Bright())
    assert found.miou == 1.0 and found.confusion == [[[192, 0], [0, 32]]]
    assert found.loss == pytest.approx(np.log1p(np.exp(-4)), rel=1e-3)


def test_the_loss_is_the_trainings_own_and_the_mean_over_stacks():
    validator = Validator([stack(), stack(wrong=32)], config("foreground"), ENTROPY, settings=SETTINGS)
    module = Bright()
    losses = []
    for one in validator.stacks:
        logits = module(torch.from_numpy(one.image.astype(np.float32))[None, None])
        truth = torch.from_numpy((one.labels > 0).astype(np.float32))[None, None]
        losses.append(binary_cross_entropy_with_logits(logits, truth).item())
    assert judged(validator, module).loss == pytest.approx(np.mean(losses), rel=1e-4)


def test_exclusive_outputs_have_one_confusion_matrix_and_their_own_loss():
    made = config("foreground", BACKGROUND, activation="softmax")
    validator = Validator([stack(wrong=16)], made, ENTROPY, settings=SETTINGS)
    found = judged(validator, Bright(2))
    assert found.confusion == [[48, 16], [0, 192]]
    assert found.miou == pytest.approx((48 / 64 + 192 / 208) / 2)
    one = validator.stacks[0]
    logits = Bright(2)(torch.from_numpy(one.image.astype(np.float32))[None, None])
    truth = torch.from_numpy((one.labels == 0).astype(np.int64))[None]
    assert found.loss == pytest.approx(cross_entropy(logits, truth).item(), rel=1e-4)


def test_boundaries_have_scores_of_their_own():
    validator = Validator([stack()], config("boundary"), TrainRecipe(), settings=SETTINGS)
    scores = judged(validator, Bright()).scores  # bright are columns 0 and 1, boundary are 1 and 2
    assert scores["boundary_precision"] == scores["boundary_recall"] == scores["boundary_f1"] == 0.5


def test_cells_are_scored_when_asked_and_decide():
    asked = []

    def scorer(one, maps):
        yield Progress("Making cells")
        asked.append((one, maps["foreground"].shape))
        return {
            "ap50": 0.5 + 0.25 * len(asked),
            "panoptic_quality": 0.25 * len(asked),
            "arand": None if len(asked) == 1 else 0.125,
            "wrong_cells": 3,
        }

    validator = Validator([stack(), stack(cells=2)], config("foreground"), TrainRecipe(), scorer, SETTINGS)
    without = judged(validator, Bright())
    assert without.objective is None and not asked and "ap50" not in without.scores
    found = judged(validator, Bright(), cells=True)
    assert [one for one, _ in asked] == list(validator.stacks) and asked[0][1] == (4, 8, 8)
    assert found.scores["ap50"] == 0.875 and found.scores["arand"] == 0.125
    assert found.scores["wrong_cells"] == 6 and isinstance(found.scores["wrong_cells"], int)
    assert found.objective == 0.375


def test_without_stacks_there_is_nothing_to_judge_by():
    with pytest.raises(ValueError, match="at least one stack"):
        Validator([], config("foreground"), TrainRecipe())
