"""``scutoid models``: what it prints, what it writes, and what it says when it cannot."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from napari_scutoid.network.checkpoint import save_model, user_models
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
