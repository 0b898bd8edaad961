"""``scutoid train``: options of several values, settings, messages, and a whole run of seconds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import yaml
from PIL import Image

from napari_scutoid import cli
from napari_scutoid.cli_train import repeated
from napari_scutoid.network.checkpoint import read_config
from tiny_training import a_material, a_model, a_model_recipe

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def stacks(tmp_path: Path) -> Path:
    """A folder of two small stacks with true cells."""
    folder = tmp_path / "corrected"
    folder.mkdir()
    for seed, name in enumerate(("one", "two"), start=1):
        material = a_material(name, seed)
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["raw"], file["label"] = material.image.data, material.labels.data
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    """Options that make a run short."""
    recipe, whole = tmp_path / "train.yaml", tmp_path / "segment.yaml"
    start = a_model(tmp_path / "start")
    recipe.write_text(yaml.safe_dump(a_model_recipe(start).model_dump(mode="json", exclude_unset=True)))
    whole.write_text("rescale: {mode: none}\n")
    return ["--recipe", str(recipe), "--segmentation", str(whole), "--device", "cpu"]


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--train", "a", "b", "-o", "m"], ["--train", "a", "--train", "b", "-o", "m"]),
        (["--train", "a", "--valid", "c", "d"], ["--train", "a", "--valid", "c", "--valid", "d"]),
        (["--test", "a", "b"], ["--test", "a", "--test", "b"]),
        (["--train", "a", "--train", "b"], ["--train", "a", "--train", "b"]),
        (["-o", "m", "n"], ["-o", "m", "n"]),
        ([], []),
    ],
)
def test_options_of_several_values(given: list[str], expected: list[str]) -> None:
    assert repeated(given) == expected


def test_a_run_writes_a_model_and_prints_its_scores(
    stacks: Path, settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "mine"
    command = ["train", "--train", stacks / "one.h5", "--valid", stacks / "two.h5", "-o", model, *settings]
    assert run(*command, "--json") == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["roles"] == {"train": ["one"], "valid": ["two"], "test": []}
    assert told["epochs"] == 2
    assert 0 <= told["scores"]["ap50"] <= 1
    assert "Epoch 0: " in err and "Epoch 2: " in err
    assert read_config(model).outputs[1].name == "boundary"
    assert {file.name for file in (model / "training").iterdir()} == {
        "curves.csv",
        "curves.png",
        "run.pt",
        "stacks.json",
    }

    assert run(*command) == 2
    assert "--resume" in capsys.readouterr().err

    # The settings of the run are in its file: they need not be given again.
    resumed = ["train", "--train", stacks / "one.h5", "--valid", stacks / "two.h5", "-o", model, *settings[2:]]
    assert run(*resumed, "--resume") == 0
    assert "of 2" in capsys.readouterr().out


def test_samples_are_drawn_and_nothing_is_trained(stacks: Path, settings: list[str], tmp_path: Path) -> None:
    sheet = tmp_path / "samples.png"
    assert run("train", "--train", stacks, "-o", tmp_path / "mine", "--show-samples", sheet, *settings) == 0
    with Image.open(sheet) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--minutes", "-1"], "optimise.minutes"),
        (["--strategy", "some"], "transfer.strategy"),
        (["--init", "nobody"], "nobody"),
        (["--resume"], "--resume"),
    ],
)
def test_wrong_wishes_are_told(
    stacks: Path, tmp_path: Path, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", "--train", stacks, "-o", tmp_path / "mine", *options) == 2
    err = capsys.readouterr().err
    assert told in err and "Traceback" not in err
    assert not (tmp_path / "mine").exists()


def test_a_folder_without_stacks_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert run("train", "--train", tmp_path / "empty", "-o", tmp_path / "mine") == 2
    assert "nothing to learn from" in capsys.readouterr().err
