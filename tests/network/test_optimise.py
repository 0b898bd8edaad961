"""Learning rates by hand, and averages of weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.network.optimise import average, computing_in, early_decay, learning_rate_factor, make_optimiser
from napari_scutoid.recipe.train import Optimise


@pytest.mark.parametrize(
    ("decay", "factors"),
    [
        ("cosine", {0.1: 1.0, 0.55: 0.5, 1.0: 0.0}),
        ("late", {0.1: 1.0, 2 / 3: 1.0, 5 / 6: 0.5, 1.0: 0.0}),
        ("none", {0.1: 1.0, 0.5: 1.0, 1.0: 1.0}),
    ],
)
def test_the_rate_rises_and_falls(decay, factors):
    settings = Optimise(warm_up=0.1, decay=decay)
    assert learning_rate_factor(0.0, settings) == pytest.approx(0.001 / 0.101)
    assert learning_rate_factor(0.05, settings) == pytest.approx(0.051 / 0.101)
    for done, factor in factors.items():
        assert learning_rate_factor(done, settings) == pytest.approx(factor, abs=1e-9)


def test_without_warm_up_the_rate_is_highest_at_once():
    assert learning_rate_factor(0.0, Optimise(warm_up=0.0)) == 1.0


@given(
    done=st.lists(st.floats(0.5, 2.0), min_size=2, max_size=2).map(sorted),
    early=st.floats(-1.0, 1.0),
    warm_up=st.floats(0, 0.5),
    decay=st.sampled_from(["cosine", "late", "none"]),
)
def test_the_rate_is_bounded_and_never_rises_late(done, early, warm_up, decay):
    settings = Optimise(warm_up=round(warm_up, 2), decay=decay)
    assert 0 <= learning_rate_factor(early, settings) <= 1
    sooner, later = (learning_rate_factor(share, settings) for share in done)
    assert later <= sooner


def test_the_optimiser_takes_what_is_to_be_trained():
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 4))
    module[0].requires_grad_(False)
    settings = Optimise(learning_rate=0.01, weight_decay=0.5)
    optimiser = make_optimiser(module, settings, rate=0.1)
    [group] = optimiser.param_groups
    assert isinstance(optimiser, torch.optim.AdamW)
    assert [id(weight) for weight in group["params"]] == [id(weight) for weight in module[1].parameters()]
    assert group["lr"] == pytest.approx(0.001) and group["weight_decay"] == 0.5
    plain = make_optimiser(module, settings.model_copy(update={"optimiser": "adam"}))
    assert type(plain) is torch.optim.Adam and plain.param_groups[0]["lr"] == 0.01


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_products_are_computed_in_the_precision(precision, dtype):
    ones = torch.ones(2, 2)
    with computing_in(precision, torch.device("cpu")):
        assert (ones @ ones).dtype == dtype
    assert (ones @ ones).dtype == torch.float32


def test_weights_and_statistics_are_averaged_and_counters_taken_over():
    averaged, module = (torch.nn.BatchNorm1d(1) for _ in range(2))
    with torch.no_grad():
        module.weight.fill_(3.0)
        module.running_mean.fill_(10.0)
        module.num_batches_tracked.fill_(7)
    average(averaged, module, 0.75)
    assert averaged.weight.item() == 1.5
    assert averaged.running_mean.item() == 2.5
    assert averaged.num_batches_tracked.item() == 7
    average(averaged, module, 0.0)
    assert averaged.weight.item() == 3.0


def test_the_start_is_soon_forgotten():
    assert early_decay(0.999, 0) == 0.1
    assert early_decay(0.999, 80) == 0.9
    assert early_decay(0.999, 10**6) == 0.999
    assert early_decay(0.0, 10**6) == 0.0
