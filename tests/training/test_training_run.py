"""A whole training run: from stacks to a model that segments, also when it is ended half-way."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.learning_curves import read_curves
from napari_scutoid.network.checkpoint import load_model, read_config, save_model
from napari_scutoid.network.dataset import TrainingStack
from napari_scutoid.network.training_file import load_training
from napari_scutoid.network.validate import Validator
from napari_scutoid.pipeline import run
from napari_scutoid.progress import drain
from napari_scutoid.recipe.train import TrainRecipe
from napari_scutoid.training.run import train_model, training_precision
from napari_scutoid.volume import Labels
from tiny_training import AS_IT_IS, a_material, a_model, a_model_recipe, a_recipe

NAMES = ("one", "two", "three")


@pytest.fixture(scope="module")
def materials():
    return [a_material(name, seed) for seed, name in enumerate(NAMES, 1)]


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return a_model(tmp_path_factory.mktemp("models") / "start")


def trained_on(materials, recipe, folder, **more):
    return drain(train_model(materials, recipe, folder, segmentation=AS_IT_IS, device="cpu", **more))


@pytest.fixture(scope="module")
def made(materials, start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "mine"
    recipe = a_model_recipe(start, split={"test_share": 0.3, "seed": 2}, sampling={"synthetic_share": 0.0})
    return folder, trained_on(materials, recipe, folder)


def test_a_run_leaves_a_model_and_its_history(made):
    folder, _ = made
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "training", "weights.safetensors"]
    files = ["curves.csv", "curves.png", "run.pt", "stacks.json"]
    assert sorted(path.name for path in (folder / "training").iterdir()) == files
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]
    rows = read_curves(folder / "training" / "curves.csv")
    assert [row.epoch for row in rows] == [0, 1, 2]
    assert rows[0].train_loss is None and rows[1].valid_loss > 0 and rows[2].ap50 is not None
    assert [row.wrong_cells is None for row in rows] == [False, True, False]
    with Image.open(folder / "training" / "curves.png") as picture:
        assert picture.width > 100
    roles = json.loads((folder / "training" / "stacks.json").read_text())
    assert roles["seed"] == 2
    assert sorted(roles["train"] + roles["valid"] + roles["test"]) == sorted(NAMES)
    assert roles["cells"].keys() == set(NAMES) and min(roles["cells"].values()) > 5


def test_the_model_says_how_it_was_made_and_how_good_it_is(made):
    folder, found = made
    module, config = load_model(folder)
    assert config == found.config and config.name == "mine"
    assert config.training_data.startswith("1 stacks, 6 steps")
    assert config.scores["on"] == "test" and 0 <= config.scores["ap50"] <= 1
    assert any(message.startswith("Post-processing tuned on 1 validation stack") for message in found.messages)
    assert any(message.startswith("All weights start from start") for message in found.messages)
    for name, weights in module.state_dict().items():
        assert torch.equal(weights, found.trained.module.state_dict()[name])


def test_the_runs_file_holds_the_final_scores(made):
    folder, found = made
    content = load_training(folder / "training" / "run.pt")
    assert content["test_conf_matrix"] == found.config.scores["confusion"]
    assert content["test_miou"] == found.config.scores["miou"]
    assert np.array(content["test_conf_matrix"]).shape == (2, 2, 2)


def test_the_new_model_segments(made, materials):
    folder, _ = made
    result = drain(run(materials[0].image, AS_IT_IS, folder))
    assert result.labels.shape == materials[0].image.shape
    assert result.provenance["model"]["name"] == "mine"


class Killed(Exception):
    pass


def killed_after(epochs, materials, recipe, folder, **more):
    """End a run within an epoch's last moment, and return the numbers of those that were the best so far."""
    best = []

    def on_epoch(epoch):
        if epoch.best:
            best.append(epoch.number)
        if epoch.number == epochs:
            raise Killed

    with pytest.raises(Killed):
        trained_on(materials, recipe, folder, on_epoch=on_epoch, **more)
    return best


def test_a_run_that_is_ended_leaves_a_model_and_is_resumed(materials, start, tmp_path):
    recipe = a_model_recipe(start, optimise={"epochs": 3}, scoring={"tune": False, "every": 1})
    straight = trained_on(materials[:1], recipe, tmp_path / "straight")
    assert "kept, and post-processing was not tuned" in straight.messages[-1]
    folder = tmp_path / "mine"
    assert killed_after(2, materials[:1], recipe, folder) == [0, 1, 2]
    usable, config = load_model(folder)
    assert config.training_data.startswith("1 stacks, 6 steps")
    assert load_training(folder / "training" / "run.pt")["epochs"] == 1

    resumed = trained_on(materials[:1], recipe, folder, resume=True)
    for name, weights in straight.trained.module.state_dict().items():
        assert torch.equal(weights, resumed.trained.module.state_dict()[name])
    final = load_model(folder)[0].state_dict()
    assert any(not torch.equal(weights, final[name]) for name, weights in usable.state_dict().items())
    rows = [read_curves(where / "training" / "curves.csv") for where in (folder, tmp_path / "straight")]
    assert [row.train_loss for row in rows[0]] == [row.train_loss for row in rows[1]]


def test_a_scored_run_is_resumed_with_its_curves(materials, start, tmp_path):
    recipe = a_model_recipe(start, optimise={"epochs": 2}, scoring={"tune": False, "every": 1})
    folder = tmp_path / "mine"
    killed_after(2, materials[:2], recipe, folder)
    trained_on(materials[:2], recipe, folder, resume=True)
    rows = read_curves(folder / "training" / "curves.csv")
    assert [row.epoch for row in rows] == [0, 1, 2]
    assert all(row.wrong_cells is not None for row in rows)


def test_other_stacks_do_not_resume_a_run(made, materials, start):
    folder, _ = made
    before = (folder / "training" / "stacks.json").read_bytes()
    recipe = a_model_recipe(start)
    with pytest.raises(ScutoidError, match=r"its stacks were others.*without --resume"):
        trained_on(materials[:2], recipe, folder, resume=True)
    assert (folder / "training" / "stacks.json").read_bytes() == before


def test_nothing_to_resume(materials, start, tmp_path):
    with pytest.raises(ScutoidError, match="could not be resumed: there is no such file"):
        trained_on(materials, a_model_recipe(start), tmp_path / "new", resume=True)
    assert not (tmp_path / "new").exists()


def test_training_ends_with_the_best_epochs_model(materials, start, tmp_path, monkeypatch):
    objectives = iter([0.2, 0.9, 0.1])
    real = Validator.__call__

    def judge(self, module, *, cells):
        found = yield from real(self, module, cells=cells)
        object.__setattr__(found, "objective", next(objectives, 0.0))
        return found

    monkeypatch.setattr(Validator, "__call__", judge)
    saved = []
    monkeypatch.setattr(
        "napari_scutoid.training.run.save_model", lambda *args: saved.append(args[2].training_data) or save_model(*args)
    )
    recipe = a_model_recipe(start, scoring={"tune": False})
    found = trained_on(materials[:2], recipe, tmp_path / "mine")
    assert found.trained.best_epoch == 1
    assert [data.split(", ")[1] for data in saved] == ["3 steps", "6 steps"]


def test_frozen_parts_are_the_models_in_the_new_one(materials, start, tmp_path):
    recipe = a_model_recipe(start, transfer={"strategy": "freeze"}, scoring={"tune": False})
    trained_on(materials[:1], recipe, tmp_path / "mine")
    before, after = (load_model(folder)[0].state_dict() for folder in (start, tmp_path / "mine"))
    changed = {name for name, weights in before.items() if not torch.equal(weights, after[name])}
    assert changed and not any(name.startswith("encoders.") for name in changed)


def test_a_share_of_synthetic_stacks_is_drawn(materials, start, tmp_path):
    asked = []

    def synthetic(number):
        asked.append(number)
        return TrainingStack.from_labels(np.ones((8, 8, 8)), np.ones((8, 8, 8), int))

    recipe = a_model_recipe(start, sampling={"synthetic_share": 0.5}, scoring={"tune": False})
    trained_on(materials[:1], recipe, tmp_path / "mine", synthetic=synthetic)
    assert asked


def test_from_nothing_and_with_unlabelled_voxels(materials, tmp_path, monkeypatch):
    from napari_scutoid.network.config import Architecture
    from napari_scutoid.training import start as start_module

    monkeypatch.setattr(start_module, "NETWORKS", {"builtin": Architecture(plan=((4, 4), (4, 4)))})
    partly = [
        type(one)(one.name, one.image, Labels(np.where(np.arange(24) < 12, one.labels.data, np.uint32(2**32 - 1))))
        for one in materials[:2]
    ]
    recipe = a_model_recipe("builtin", transfer={"strategy": "scratch"}, activation="softmax")
    found = trained_on(partly, recipe, tmp_path / "mine", ignore=2**32 - 1)
    assert [output.name for output in found.config.outputs] == ["background", "foreground", "boundary"]
    assert 5 < found.config.cell_diameter < 15
    assert found.config.description.endswith("random weights")
    assert np.sum(found.config.scores["confusion"]) <= 16 * 24 * 12
    assert read_config(tmp_path / "mine") == found.config


def test_a_model_of_other_outputs_is_scored_by_its_voxels(materials, start, tmp_path):
    found = trained_on(materials[:2], a_model_recipe(start, outputs=("semantic",)), tmp_path / "mine")
    assert found.messages[0].startswith("From start, ") and "head.weight" in found.messages[0]
    assert "ap50" not in found.config.scores and 0 <= found.config.scores["miou"] <= 1


@pytest.mark.parametrize("names", [(), ("one", "one")])
def test_stacks_that_cannot_be_used(names, materials, start, tmp_path):
    given = [type(materials[0])(name, materials[0].image, materials[0].labels) for name in names]
    with pytest.raises(ScutoidError, match=r"nothing left to train with|cannot be told apart"):
        trained_on(given, a_model_recipe(start), tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_a_folder_with_other_things_is_left_alone(materials, start, tmp_path):
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(ScutoidError, match="is not a model folder"):
        trained_on(materials, a_model_recipe(start), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_half_precision_needs_a_gpu():
    half = a_recipe(optimise={"precision": "fp16"})
    with pytest.raises(ScutoidError, match="cannot be trained in fp16"):
        training_precision(half, torch.device("cpu"))
    assert training_precision(half, torch.device("cuda")) == "fp16"
    assert training_precision(a_recipe(optimise={"precision": "fp32"}), torch.device("cpu")) == "fp32"


def test_bf16_needs_a_processor_that_has_it(monkeypatch):
    asked = a_recipe(optimise={"precision": "bf16"})
    monkeypatch.setattr("napari_scutoid.training.run.known_gain", lambda _: 1.8)
    assert training_precision(asked, torch.device("cpu")) == "bf16"
    monkeypatch.setattr("napari_scutoid.training.run.known_gain", lambda _: 0.01)
    with pytest.raises(ScutoidError, match="has no instructions"):
        training_precision(asked, torch.device("cpu"))
    assert training_precision(asked, torch.device("cuda")) == "bf16"


@pytest.mark.parametrize("minutes", [0, -1])
def test_there_is_no_time_below_zero(minutes):
    with pytest.raises(ValueError, match="minutes"):
        TrainRecipe.model_validate({"optimise": {"minutes": minutes}})
