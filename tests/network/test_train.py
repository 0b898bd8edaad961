"""Training: a loss that falls, the same run twice, and a run that is interrupted and resumed."""

from __future__ import annotations

import numpy as np
import torch

from napari_scutoid.network.config import Architecture, Output
from napari_scutoid.network.dataset import Samples, TrainingStack
from napari_scutoid.network.train import train
from napari_scutoid.network.training_file import load_training
from napari_scutoid.network.transfer import fresh
from napari_scutoid.progress import drain
from napari_scutoid.recipe.train import TrainRecipe

OUTPUTS = (Output(name="foreground"), Output(name="boundary"))


def _stack():
    labels = np.zeros((8, 16, 16), np.uint16)
    labels[:, 2:14, 2:8], labels[:, 2:14, 8:14] = 1, 2
    image = (labels > 0) + np.random.default_rng(0).normal(0, 0.1, labels.shape)
    return TrainingStack.from_labels(image.astype(np.float32), labels, name="two")


def _recipe(**optimise):
    return TrainRecipe.model_validate(
        {
            "sampling": {"patch": (8, 16, 16)},
            "optimise": {"learning_rate": 1e-2, "steps_per_epoch": 5, "epochs": 4, **optimise},
        }
    )


def _run(recipe, **more):
    module = fresh(Architecture(plan=((4, 4), (8, 8))), 2, 0)
    return train(module, OUTPUTS, Samples([_stack()], OUTPUTS, recipe), recipe, **more)


def test_training_lowers_the_loss_and_is_reproducible():
    recipe = _recipe(epochs=8)
    one, again = drain(_run(recipe)), drain(_run(recipe))
    losses = [record["train_loss"] for record in one.records]
    assert one.steps == 40
    assert losses == [record["train_loss"] for record in again.records]
    assert losses[-1] < 0.8 * losses[0]
    assert not one.module.training
    for mine, other in zip(one.module.parameters(), again.module.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_resuming_changes_no_bit(tmp_path):
    recipe = _recipe()
    straight = drain(_run(recipe))

    file = tmp_path / "run.pt"
    interrupted = _run(recipe, file=file)
    for _ in interrupted:
        if file.is_file() and load_training(file)["epochs"] == 2:
            break
    interrupted.close()
    resumed = drain(_run(recipe, file=file, resume=load_training(file)))
    assert [r["train_loss"] for r in resumed.records] == [r["train_loss"] for r in straight.records]
    for mine, other in zip(straight.module.state_dict().values(), resumed.module.state_dict().values(), strict=True):
        assert torch.equal(mine, other)
