"""Cells made and scored while training, and the settings that are kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_scutoid.network.config import Architecture, ModelConfig
from napari_scutoid.network.dataset import TrainingStack, make_targets, whole
from napari_scutoid.network.validate import Validator
from napari_scutoid.pipeline import settings_for
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Predict, Recipe
from napari_scutoid.recipe.train import TrainRecipe
from napari_scutoid.training.score import cell_scorer, tuned
from napari_scutoid.tune import Scores
from tiny_training import OUTPUTS

CUT = Recipe.model_validate({"partition": {"method": "multicut"}})
# This backend is the one that loses a cell of eight with this threshold.
BEFORE = {"watershed": {"boundary_threshold": 0.05, "backend": "bioimage-cpp"}, "predict": {"halo": (8, 8, 8)}}
CONFIG = ModelConfig(name="perfect", architecture=Architecture(plan=((2, 2),), norm="none"))


def blocks(known=None) -> TrainingStack:
    """Return eight cells, and their boundaries for an image."""
    labels = np.zeros((26, 26, 26), np.uint32)
    labels[1:25, 1:25, 1:25] = 1 + np.arange(8).reshape(2, 2, 2).repeat(12, 0).repeat(12, 1).repeat(12, 2)
    patch = whole(TrainingStack.from_labels(labels.astype(np.float32), labels))
    boundary = make_targets(patch, OUTPUTS, (1, 1, 1))[0][1]
    image = np.where(labels > 0, 1 + boundary, 0)
    return TrainingStack.from_labels(image.astype(np.float32), labels, known=known)


class Perfect(torch.nn.Module):
    """Reads foreground and boundary from such an image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x - 0.5, x - 1.5], dim=1) * 20


def maps_of(stack):
    image = stack.image.astype(np.float32)
    return {"foreground": (image > 0.5).astype(np.float32), "boundary": (image > 1.5).astype(np.float32)}


def test_right_maps_give_right_cells():
    stack = blocks()
    scores = drain(cell_scorer(CUT)(stack, maps_of(stack)))
    assert scores["ap50"] == 1.0 and scores["wrong_cells"] == 0
    assert scores["arand"] < 0.2 and scores["voi_split"] < 0.5 and scores["voi_merge"] < 0.5


def test_nothing_found_scores_nothing():
    stack = blocks()
    scores = drain(cell_scorer(CUT)(stack, {name: np.zeros_like(one) for name, one in maps_of(stack).items()}))
    assert scores["ap50"] == 0.0 and scores["wrong_cells"] == 8


def test_cells_where_nothing_is_known_are_not_wrong():
    known = np.zeros((26, 26, 26), bool)
    known[:, :13] = True
    stack = blocks(known)
    scores = drain(cell_scorer(CUT)(stack, maps_of(blocks())))
    assert scores["ap50"] == 1.0 and scores["wrong_cells"] == 0


@pytest.mark.parametrize("partly", [False, True])
def test_settings_are_tuned_for_the_model(partly, monkeypatch):
    monkeypatch.setattr("napari_scutoid.training.score.STANDARD_ERRORS", 0.0)
    known = None
    if partly:
        known = np.zeros((26, 26, 26), bool)
        known[:, :13] = True
    config = CONFIG.model_copy(update={"recipe": BEFORE})
    recipe = TrainRecipe.model_validate({"scoring": {"n_watersheds": 1}})
    validator = Validator([blocks(known)], config, recipe, settings=Predict(device="cpu", precision="fp32"))
    made, told = drain(tuned(Perfect(), config, validator, recipe, settings_for(Recipe(), config)))
    assert told.startswith("Post-processing tuned on 1 validation stack: panoptic quality ") and "-> 1.000" in told
    assert made.recipe["predict"] == {"halo": (8, 8, 8)}
    stack = blocks(known)
    scores = drain(cell_scorer(settings_for(Recipe(), made))(stack, maps_of(blocks())))
    assert scores["ap50"] == 1.0


def test_one_cell_of_eight_more_is_no_reason_to_change_settings():
    config = CONFIG.model_copy(update={"recipe": BEFORE})
    recipe = TrainRecipe.model_validate({"scoring": {"n_watersheds": 1}})
    validator = Validator([blocks()], config, recipe, settings=Predict(device="cpu", precision="fp32"))
    made, told = drain(tuned(Perfect(), config, validator, recipe, settings_for(Recipe(), config)))
    assert "ap50 0.889 -> 0.889" in told
    assert settings_for(Recipe(), made) == settings_for(Recipe(), config)


def test_the_old_settings_do_not_outlive_better_ones(monkeypatch):
    found = type("Tuning", (), {})()
    found.recipe = Recipe()
    found.scores = found.base_scores = Scores(1.0, 0.0, 1.0)

    def tune(cases, base, **settings):
        yield from ()
        return found

    monkeypatch.setattr("napari_scutoid.training.score.tune", tune)
    config = CONFIG.model_copy(update={"recipe": BEFORE})
    validator = Validator([blocks()], config, TrainRecipe(), settings=Predict(device="cpu", precision="fp32"))
    made, _ = drain(tuned(Perfect(), config, validator, TrainRecipe(), settings_for(Recipe(), config)))
    assert settings_for(Recipe(), made).watershed == Recipe().watershed
    assert settings_for(Recipe(), made).predict.halo == (8, 8, 8)
