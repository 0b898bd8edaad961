"""The network that training starts from, and what is told of it."""

from __future__ import annotations

import pytest
import torch

from napari_scutoid.network.checkpoint import load_model
from napari_scutoid.training.start import BUILTIN_NORMALISE, NETWORKS, outputs_of, starting_point
from tiny_training import a_model, a_model_recipe, a_recipe


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return a_model(tmp_path_factory.mktemp("models") / "old")


def weights(module):
    return module.state_dict()


@pytest.mark.parametrize(("strategy", "rate"), [("all", 0.5), ("freeze", 1.0)])
def test_a_model_with_the_same_outputs_goes_on_as_it_is(model, strategy, rate):
    start = starting_point(a_model_recipe(model, transfer={"strategy": strategy, "rate": 0.5}), "new")
    before = weights(load_model(model)[0])
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(start.module).items())
    assert start.rate == rate
    assert start.messages == ("All weights start from old",)
    assert start.config.name == "new" and start.config.scores == {}


def test_other_outputs_get_a_new_head_and_that_is_told(model):
    recipe = a_model_recipe(model, outputs=("foreground", "boundary", "seeds"))
    start = starting_point(recipe, "new")
    before = weights(load_model(model)[0])
    for name, tensor in weights(start.module).items():
        assert torch.equal(tensor[:2] if name.startswith("head.") else tensor, before[name])
    total = len(before)
    assert start.messages == (
        f"From old, {total - 2} of {total} weights start from the model; "
        "2 start from it for outputs of the same name (head.weight, head.bias)",
    )
    assert [output.name for output in start.config.outputs] == ["foreground", "boundary", "seeds"]


def test_from_nothing_the_stacks_say_how_large_cells_are():
    recipe = a_recipe(transfer={"strategy": "scratch"}, network="small", optimise={"seed": 5})
    start, again = (starting_point(recipe, "new", cell_diameter=20.0) for _ in range(2))
    assert start.rate == 1.0 and start.messages == ()
    assert start.config.architecture == NETWORKS["small"] and start.config.normalise == BUILTIN_NORMALISE
    assert start.config.cell_diameter == 20.0 and start.config.cell_diameter_range == (14.0, 30.0)
    assert all(torch.equal(tensor, weights(again.module)[name]) for name, tensor in weights(start.module).items())
    unknown = starting_point(a_recipe(transfer={"strategy": "scratch"}, normalise={"method": "minmax"}), "new")
    assert unknown.config.normalise.method == "minmax" and unknown.config.cell_diameter == 16.0


def test_exclusive_outputs_get_a_background():
    outputs = outputs_of(a_recipe(activation="softmax"))
    assert [output.name for output in outputs] == ["background", "foreground", "boundary"]
    assert {output.activation for output in outputs} == {"softmax"}
    assert [output.name for output in outputs_of(a_recipe())] == ["foreground", "boundary"]
