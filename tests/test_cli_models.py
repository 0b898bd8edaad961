"""``scutoid models``: what it prints, what it writes, and what it says when it cannot."""

from __future__ import annotations

import json
import shutil
import zipfile
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import torch

from napari_scutoid.network.checkpoint import read_config, save_model, user_models
from napari_scutoid.network.config import Architecture, ModelConfig
from napari_scutoid.network.unet import build
from told import assert_is_message, scutoid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest import CaptureFixture

CONFIG = ModelConfig(
    name="tiny",
    architecture=Architecture(plan=((2, 3), (3, 4))),
    scores={"ovule": {"ap50": 0.51234, "n": 3}},
    recipe={"watershed": {"boundary_threshold": 0.4}},
    licence="CC0-1.0",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tmp_path / "tiny", build(CONFIG.architecture, 2), CONFIG)
    return tmp_path / "tiny"


@pytest.fixture
def home() -> Iterator[Path]:
    """The user's own models, of which the test leaves none."""
    yield user_models()
    shutil.rmtree(user_models(), ignore_errors=True)


def test_list_names_every_model_and_says_which_is_damaged(folder, home, capsys: CaptureFixture[str]) -> None:
    shutil.copytree(folder, home / "mine")
    (home / "broken").mkdir()
    (home / "broken" / "config.json").write_text("{")
    assert scutoid("models", "list") == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["model", "outputs", "cells", "folder"]
    assert [line.split()[0] for line in lines] == ["builtin", "broken", "mine"]
    assert "not valid JSON" in lines[1]
    assert lines[2].split(maxsplit=1)[1].startswith("foreground, boundary  16 voxels (10 to 28)")

    assert scutoid("models", "list", "--json") == 0
    models = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert models["mine"]["outputs"] == ["foreground", "boundary"]
    assert models["mine"]["folder"] == str(home / "mine")
    assert models["broken"]["problem"].startswith("config.json is not valid JSON")


def test_show_prints_the_card(folder, capsys: CaptureFixture[str]) -> None:
    assert scutoid("models", "show", folder) == 0
    card = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    card = {what: text.strip() for what, text in card.items()}
    assert card["licence"] == "CC0-1.0"
    assert card["scores"] == "ovule.ap50 0.5123, ovule.n 3"
    assert card["tuned settings"] == "watershed.boundary_threshold 0.4"
    assert card["network"] == "UNet3D, 2 levels of 3, 4 channels, batch norm"
    assert card["intensities"] == "1 % of the voxels below 0, 99.5 % below 1"

    assert scutoid("models", "show", folder, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["folder"] == str(folder)
    assert ModelConfig.model_validate_json(json.dumps(shown["config"])).scores == CONFIG.scores


@pytest.mark.parametrize(
    ("rescale", "words"),
    [
        ({"mode": "none"}, "unknown; stacks are taken as they are"),
        ({"mode": "voxel_size", "voxel_size_um": [0.235, 0.15, 0.15]}, "voxels of 0.235 x 0.15 x 0.15 µm (z, y, x)"),
    ],
)
def test_the_card_says_how_stacks_are_brought_to_the_models_scale(rescale, words, folder, capsys) -> None:
    save_model(folder, build(CONFIG.architecture, 2), CONFIG.model_copy(update={"recipe": {"rescale": rescale}}))
    assert scutoid("models", "show", folder) == 0
    assert words in capsys.readouterr().out


def test_an_unknown_model_is_one_message(capsys: CaptureFixture[str]) -> None:
    assert scutoid("models", "show", "nope") == 2
    assert_is_message(capsys.readouterr().err, "nope", "builtin")


SETTINGS = "model: {name: UNet3D, in_channels: 1, out_channels: 1, f_maps: [4, 8], num_groups: 2}\n"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A model as PlantSeg keeps it."""
    network = Architecture(
        name="pytorch3dunet.UNet3D", plan=((2, 4), (4, 8)), options={"order": "gcr", "groups": 2}, norm="group"
    )
    folder = tmp_path / "ovules ds2x"
    folder.mkdir()
    (folder / "config_train.yml").write_text(SETTINGS)
    torch.save({"model_state_dict": build(network, 1).state_dict()}, folder / "best_checkpoint.pytorch")
    return folder / "best_checkpoint.pytorch"


def test_import_makes_a_model_that_is_listed_and_segments(checkpoint, home, tmp_path, capsys) -> None:
    assert scutoid("models", "import", checkpoint, "--cell-diameter", 20, "--licence", "MIT") == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Note: Its outputs are taken to be boundary" in printed.err
    assert scutoid("models", "list") == 0
    assert "ovules_ds2x  boundary" in capsys.readouterr().out
    assert read_config(home / "ovules_ds2x").licence == "MIT"
    stack = tmp_path / "stack.h5"
    with h5py.File(stack, "w") as file:
        file["raw"] = np.random.default_rng(0).integers(0, 255, (16, 24, 24)).astype(np.uint8)
    recipe = tmp_path / "as_it_is.yaml"
    recipe.write_text("rescale: {mode: none}\n")
    labels = tmp_path / "out.h5"
    assert scutoid("segment", stack, "--model", "ovules_ds2x", "--recipe", recipe, "-o", labels) == 0
    assert "predicts no foreground" in capsys.readouterr().err
    with h5py.File(labels) as file:
        assert file["label"].shape == (16, 24, 24)


def test_import_replaces_nothing_unasked(checkpoint, home, tmp_path, capsys) -> None:
    assert scutoid("models", "import", checkpoint, "-o", tmp_path / "mine") == 0
    assert read_config(tmp_path / "mine").name == "mine"
    assert not home.exists()
    capsys.readouterr()
    assert scutoid("models", "import", checkpoint, "-o", tmp_path / "mine") == 2
    assert_is_message(capsys.readouterr().err, "that exists", "--replace")
    assert scutoid("models", "import", checkpoint, "-o", tmp_path / "mine", "--replace", "--licence", "MIT") == 0
    assert read_config(tmp_path / "mine").licence == "MIT"
    capsys.readouterr()
    assert scutoid("models", "import", checkpoint, "-o", tmp_path, "--replace", "--name", "x") == 2
    assert_is_message(capsys.readouterr().err, "that exists")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "../../evil"], ["cannot be named '../../evil'", "--name"]),
        (["--name", ".hidden"], ["cannot be named"]),
        (["--name", "a/b"], ["cannot be named"]),
        (["--name", "x.part"], ["cannot be named"]),
        (["--name", "builtin"], ["a built-in model has this name"]),
        (["--cell-diameter", "20", "--voxel-size", "1", "1", "1"], ["give one"]),
        (["--voxel-size", "1", "-1", "1"], ["voxel_size_um"]),
        (["--outputs", "a,b"], ["2 outputs are named, but it has 1"]),
        (["--config", "nowhere.yml"], ["nowhere.yml", "No such file"]),
    ],
)
def test_wrong_wishes_for_an_import(arguments, words, checkpoint, home, capsys) -> None:
    assert scutoid("models", "import", checkpoint, *arguments) == 2
    assert_is_message(capsys.readouterr().err, *words)
    assert not home.exists()


def test_a_checkpoint_that_is_missing(home, tmp_path, capsys) -> None:
    assert scutoid("models", "import", tmp_path / "nowhere.pt") == 2
    assert_is_message(capsys.readouterr().err, "nowhere.pt", "No such file")


def test_a_model_travels_as_a_folder(folder, home, tmp_path, capsys) -> None:
    assert scutoid("models", "export", folder, "-o", tmp_path / "copy") == 0
    assert scutoid("models", "import", tmp_path / "copy", "--name", "theirs") == 0
    assert read_config(home / "theirs") == read_config(folder)
    capsys.readouterr()
    assert scutoid("models", "export", folder, "-o", tmp_path / "copy") == 2
    assert_is_message(capsys.readouterr().err, "that exists")
    assert scutoid("models", "export", folder, "-o", tmp_path / "copy.zip") == 0
    assert zipfile.is_zipfile(tmp_path / "copy.zip")


def test_a_package_is_a_zip_file(folder, tmp_path, capsys) -> None:
    assert scutoid("models", "export", folder, "--bioimageio", "-o", tmp_path / "package") == 2
    assert_is_message(capsys.readouterr().err, ".zip")
