"""Cards of models in words."""

from __future__ import annotations

import json

import pytest

from napari_scutoid.network.card import card_lines, misfit, model_cards
from napari_scutoid.network.config import Architecture, ModelConfig, Output


def test_the_built_in_model_can_be_chosen_and_a_damaged_one_says_why(tmp_path):
    damaged = tmp_path / "mine"
    damaged.mkdir()
    (damaged / "config.json").write_text("{")
    built_in, mine = model_cards(["builtin", str(damaged), str(damaged)])
    assert built_in.value == "builtin" and built_in.problem is None and built_in.config is not None
    assert mine.value == str(damaged) and mine.config is None
    assert mine.problem is not None and "not valid JSON" in mine.problem


def test_a_card_tells_what_a_biologist_needs():
    config = ModelConfig(
        name="a", description="Membranes of eggs.", training_data="3 eggs", scores={"ap50": 0.8125}, licence="MIT"
    )
    assert card_lines(config) == [
        "Membranes of eggs.",
        "Cells as it knows them: 16 voxels (10 to 28).",
        "Trained on: 3 eggs.",
        "Scores: ap50 0.8125.",
        "Licence: MIT.",
    ]


@pytest.mark.parametrize(
    ("outputs", "inputs", "words"),
    [
        (("nuclei",), ("membrane",), "no output named boundary, only nuclei"),
        (("boundary",), ("membrane", "nuclei"), "needs 2 channels (membrane, nuclei)"),
        (("boundary",), ("membrane",), None),
    ],
)
def test_a_model_for_something_else_is_told(outputs, inputs, words):
    config = ModelConfig(
        name="a",
        inputs=inputs,
        outputs=tuple(Output(name=name) for name in outputs),
        architecture=Architecture(in_channels=len(inputs)),
    )
    told = misfit(config)
    assert told is None if words is None else words in (told or "")


def test_reading_cards_needs_no_torch():
    import subprocess
    import sys

    code = (
        "import sys; from napari_scutoid.network.card import model_cards; model_cards(); print('torch' in sys.modules)"
    )
    assert json.loads(subprocess.check_output([sys.executable, "-c", code], text=True).lower()) is False
