"""The training window's jobs with the real program behind them, once."""

from __future__ import annotations

from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from napari_scutoid.network.checkpoint import read_config
from napari_scutoid.progress import Progress, drain
from napari_scutoid.ui.train_core import TrainCore, adopt, check, gather, samples
from napari_scutoid.ui.train_run import Relay, TrainingRun, has_run, reopen, train, without_split
from napari_scutoid.volume import Labels
from tiny_training import a_material, a_model, a_model_recipe


@pytest.fixture(autouse=True)
def _one_thread():
    """Several would wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path):
    stacks = tmp_path / "corrected"
    stacks.mkdir()
    for seed, name in enumerate(("one", "two"), start=1):
        material = a_material(name, seed)
        with h5py.File(stacks / f"{name}.h5", "w") as file:
            file["raw"], file["label"] = material.image.data, material.labels.data
            file["raw"].attrs["element_size_um"] = tuple(material.image.voxel_size_um)
    return stacks


def test_from_files_to_an_adopted_model(folder, tmp_path, qapp, monkeypatch):
    asked = []

    def run_model(volume, recipe, model):
        asked.append((model, recipe.predict.device))
        yield Progress("Predicting")
        return SimpleNamespace(labels=Labels(np.zeros(volume.shape, np.uint32)))

    # Segmenting is tried elsewhere, and measures this computer first.
    monkeypatch.setattr("napari_scutoid.training.compare.run", run_model)
    core = TrainCore()
    found = drain(gather(core, [folder]))
    checked = drain(check(core, found.stacks, {}, None))
    assert {name: report.n_cells > 5 for name, report in checked.reports.items()} == {"one": True, "two": True}
    assert sorted((*checked.roles.train, *checked.roles.valid)) == ["one", "two"]

    one, two = found.stacks
    recipe = a_model_recipe(a_model(tmp_path / "start"), scoring={"tune": False})
    picture = drain(samples(core, [one], recipe, None))
    assert picture.ndim == 3 and picture.shape[2] == 3

    made = tmp_path / "runs" / "mine"
    run = TrainingRun(made, without_split(recipe), {"train": (one,), "valid": (two,), "test": ()}, None, "cpu")
    relay, epochs = Relay(), []
    relay.epochOver.connect(epochs.append)
    model = drain(train(core, run, relay))
    assert model.roles.train == ("one",) and model.roles.valid == ("two",)
    assert [epoch.number for epoch in epochs] == [0, 1, 2]
    assert epochs[0].caption.startswith("two, slice ") and epochs[0].picture.shape[2] == 3
    assert has_run(made) and not has_run(tmp_path / "runs" / "other")

    again = drain(reopen(core, made))
    assert again.recipe == run.recipe and [one.name for one in again.stacks["valid"]] == ["two"]
    assert [record["epoch"] for record in again.records] == [0, 1, 2]

    old = run.recipe.transfer.start
    compared = drain(core.compare(old, made, [two.open], device="cpu", ignore=None, names=("old", "mine")))
    assert asked == [(old, "cpu"), (made, "cpu")]
    assert compared.stacks[0].name == "two" and compared.stacks[0].n_true == checked.reports["two"].n_cells
    drain(adopt(core, made, tmp_path / "models" / "mine"))
    assert read_config(tmp_path / "models" / "mine").name == "mine"
    assert not (tmp_path / "models" / "mine" / "training").exists()
