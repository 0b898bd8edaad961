"""Losses against numbers worked out by hand, and what holds for each of them."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_scutoid.network.config import Output
from napari_scutoid.network.losses import cross_entropy, make_loss, soft_dice
from napari_scutoid.recipe.train import Loss

NAMES = ("bce_dice", "cross_entropy", "weighted_cross_entropy", "dice", "falk")
ONE = (Output(name="foreground"),)
TWO = (Output(name="foreground"), Output(name="boundary"))
EXCLUSIVE = tuple(Output(name=name, activation="softmax") for name in ("background", "cell"))
MIXED = (*EXCLUSIVE, Output(name="distance"))
EVERY_LOSS = pytest.mark.parametrize("name", NAMES)
ANY_OUTPUTS = pytest.mark.parametrize("outputs", [TWO, EXCLUSIVE, MIXED], ids=["sigmoid", "softmax", "both"])


def _voxels(*outputs):
    """One sample of one row; one list of voxels for each output."""
    return torch.tensor(outputs, dtype=torch.float32).reshape(1, len(outputs), 1, 1, -1)


def _logit(probability):
    return math.log(probability / (1 - probability))


def _loss(name, outputs, logits, target, weight, **settings):
    return make_loss(Loss(name=name, **settings), outputs)(logits, target, weight).item()


def _batch(outputs, samples=4, seed=0):
    """Random logits, hard targets and weights, a part of them 0."""
    generator = torch.Generator().manual_seed(seed)
    shape = (samples, len(outputs), 2, 3, 4)
    logits = 3 * torch.randn(shape, generator=generator)
    target = (torch.rand(shape, generator=generator) > 0.5).float()
    if outputs[0].activation == "softmax":
        target[:, 1] = 1 - target[:, 0]
    weight = torch.rand(shape, generator=generator)
    return logits, target, weight * (weight > 0.3)


# Two voxels, of foreground and background, that are foreground with probabilities 0.8 and 0.4.
LOGITS = _voxels([_logit(0.8), _logit(0.4)])
TARGET = _voxels([1, 0])
WEIGHT = _voxels([3, 1])


@pytest.mark.parametrize("name", ["cross_entropy", "falk"])
def test_cross_entropy_by_hand(name):
    # The voxels' costs are -ln 0.8 and -ln 0.6.
    expected = (3 * -math.log(0.8) + 1 * -math.log(0.6)) / 4
    assert _loss(name, ONE, LOGITS, TARGET, WEIGHT) == pytest.approx(expected)


def test_weighted_cross_entropy_by_hand():
    expected = (3 * 0.9 * -math.log(0.8) + 1 * 0.1 * -math.log(0.6)) / 4
    assert _loss("weighted_cross_entropy", ONE, LOGITS, TARGET, WEIGHT, beta=0.9) == pytest.approx(expected)


def test_dice_by_hand():
    # Overlap 3 * 0.8; sums 3 * 0.8 + 1 * 0.4 and 3 * 1; one on both sides of the fraction.
    dice = (2 * 2.4 + 1) / (2.8 + 3 + 1)
    assert soft_dice(_voxels([0.8, 0.4]), TARGET, WEIGHT).tolist() == [[pytest.approx(dice)]]
    assert _loss("dice", ONE, LOGITS, TARGET, WEIGHT) == pytest.approx(1 - dice)


def test_bce_dice_by_hand():
    entropy = (3 * -math.log(0.8) + 1 * -math.log(0.6)) / 4
    dice = (2 * 2.4 + 1) / (2.8 + 3 + 1)
    assert _loss("bce_dice", ONE, LOGITS, TARGET, WEIGHT) == pytest.approx(entropy + 1 - dice)


def test_soft_targets_by_hand():
    target = _voxels([0.5, 0.25])
    entropy = (-0.5 * math.log(0.8) - 0.5 * math.log(0.2) - 0.25 * math.log(0.4) - 0.75 * math.log(0.6)) / 2
    dice = (2 * (0.5 + 0.25) + 1) / (1.2 + 0.75 + 1)
    ones = torch.ones_like(target)
    assert _loss("cross_entropy", ONE, LOGITS, target, ones) == pytest.approx(entropy)
    assert _loss("dice", ONE, LOGITS, target, ones) == pytest.approx(1 - dice)
    assert soft_dice(target, target).item() == pytest.approx(1)


def test_outputs_count_alike_whatever_their_weight():
    logits, target, weight = LOGITS.repeat(1, 2, 1, 1, 1), torch.cat([TARGET, 1 - TARGET], 1), _voxels([3, 1], [0, 5])
    first, second = (3 * -math.log(0.8) + 1 * -math.log(0.6)) / 4, -math.log(0.4)
    each = cross_entropy(logits, target, weight, TWO)
    assert each.tolist() == [[pytest.approx(first), pytest.approx(second)]]
    assert _loss("cross_entropy", TWO, logits, target, weight) == pytest.approx((first + second) / 2)


# The same two voxels; softmax of (0, logit p) is (1 - p, p).
EXCLUSIVE_LOGITS = torch.cat([torch.zeros_like(LOGITS), LOGITS], 1)
EXCLUSIVE_TARGET = torch.cat([1 - TARGET, TARGET], 1)


def test_categorical_cross_entropy_by_hand():
    expected = (3 * -math.log(0.8) + 1 * -math.log(0.6)) / 4
    assert _loss("cross_entropy", EXCLUSIVE, EXCLUSIVE_LOGITS, EXCLUSIVE_TARGET, WEIGHT) == pytest.approx(expected)


def test_weighted_categorical_cross_entropy_by_hand():
    expected = (3 * 0.9 * -math.log(0.8) + 1 * 0.1 * -math.log(0.6)) / 4
    arguments = ("weighted_cross_entropy", EXCLUSIVE, EXCLUSIVE_LOGITS, EXCLUSIVE_TARGET, WEIGHT)
    assert _loss(*arguments, beta=0.9) == pytest.approx(expected)


def test_dice_of_exclusive_outputs_by_hand():
    background = (2 * 0.6 + 1) / (0.2 + 0.6 + 1 + 1)
    cell = (2 * 0.8 + 1) / (0.8 + 0.4 + 1 + 1)
    loss = _loss("dice", EXCLUSIVE, EXCLUSIVE_LOGITS, EXCLUSIVE_TARGET, torch.ones(1, 1, 1, 1, 2))
    assert loss == pytest.approx(1 - (background + cell) / 2)


def test_both_kinds_of_outputs_by_hand():
    logits, target = torch.cat([EXCLUSIVE_LOGITS, LOGITS], 1), torch.cat([EXCLUSIVE_TARGET, 1 - TARGET], 1)
    categorical, binary = (-math.log(0.8) - math.log(0.6)) / 2, (-math.log(0.2) - math.log(0.4)) / 2
    loss = _loss("cross_entropy", MIXED, logits, target, torch.ones(1, 1, 1, 1, 2))
    assert loss == pytest.approx((categorical + binary) / 2)


def test_what_one_exclusive_output_ignores_all_ignore():
    weight = _voxels([1, 0], [1, 1])
    loss = _loss("cross_entropy", EXCLUSIVE, EXCLUSIVE_LOGITS, EXCLUSIVE_TARGET, weight)
    assert loss == pytest.approx(-math.log(0.8))


def test_dice_of_what_is_empty_or_ignored_is_one():
    nothing = torch.zeros(2, 2, 2, 2, 2)
    assert soft_dice(nothing, nothing).tolist() == [[1, 1], [1, 1]]
    assert soft_dice(nothing, nothing + 1, nothing).tolist() == [[1, 1], [1, 1]]


@ANY_OUTPUTS
@EVERY_LOSS
@settings(max_examples=20)
@given(data=st.data())
def test_a_batch_has_the_mean_loss_and_gradient_of_its_parts(name, outputs, data):
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, 3)), label="cuts")), 4]
    logits, target, weight = _batch(outputs, seed=data.draw(st.integers(0, 99), label="seed"))
    weight[data.draw(st.integers(0, 3), label="ignored")] = 0
    loss = make_loss(Loss(name=name), outputs)
    whole, apart = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    together = loss(whole, target, weight)
    together.backward()
    parts = [
        (stop - start) / 4 * loss(apart[start:stop], target[start:stop], weight[start:stop])
        for start, stop in pairwise(cuts)
    ]
    torch.stack(parts).sum().backward()
    torch.testing.assert_close(torch.stack(parts).sum(), together)
    torch.testing.assert_close(apart.grad, whole.grad)


@ANY_OUTPUTS
@EVERY_LOSS
def test_ignored_voxels_change_nothing(name, outputs):
    logits, target, weight = _batch(outputs)
    weight = weight[:, :1]
    logits.requires_grad_()
    loss = make_loss(Loss(name=name), outputs)
    value = loss(logits, target, weight)
    value.backward()
    ignored = (weight == 0).expand_as(logits)
    assert logits.grad[ignored].abs().max() == 0
    assert logits.grad[~ignored].abs().min() > 0
    torch.testing.assert_close(loss(logits + ignored * 7, torch.where(ignored, 1 - target, target), weight), value)


@ANY_OUTPUTS
@EVERY_LOSS
def test_a_sample_that_is_ignored_costs_nothing(name, outputs):
    logits, target, weight = _batch(outputs, samples=2)
    weight[1] = 0
    logits.requires_grad_()
    loss = make_loss(Loss(name=name), outputs)
    value = loss(logits, target, weight)
    value.backward()
    torch.testing.assert_close(value, loss(logits[:1], target[:1], weight[:1]) / 2)
    assert logits.grad[1].abs().max() == 0


@ANY_OUTPUTS
@EVERY_LOSS
def test_a_sure_and_right_answer_costs_nothing(name, outputs):
    _, target, weight = _batch(outputs)
    loss = make_loss(Loss(name=name), outputs)
    assert loss(200 * target - 100, target, weight).item() == pytest.approx(0, abs=1e-6)
    assert loss(100 - 200 * target, target, weight).item() > 0.5


@ANY_OUTPUTS
@EVERY_LOSS
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_gradients_of_extreme_logits_are_finite(name, outputs, size):
    logits, target, weight = _batch(outputs)
    logits = (size * logits.sign()).requires_grad_()
    value = make_loss(Loss(name=name), outputs)(logits, target, weight)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


@ANY_OUTPUTS
@EVERY_LOSS
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_computes_in_single_precision(name, outputs, dtype):
    logits, target, weight = _batch(outputs)
    loss = make_loss(Loss(name=name), outputs)
    expected = loss(logits.to(dtype).float(), target, weight)
    with torch.autocast("cpu", dtype=dtype):
        value = loss(logits.to(dtype), target, weight)
    assert value.dtype == torch.float32
    assert value.item() == expected.item()


@pytest.mark.parametrize(
    ("logits", "target", "weight", "message"),
    [
        ((1, 3, 2, 2, 2), (1, 3, 2, 2, 2), (1, 1, 2, 2, 2), "logits must have shape"),
        ((2, 2, 2, 2), (2, 2, 2, 2), (2, 2, 2, 2), "logits must have shape"),
        ((2, 2, 2, 2, 2), (2, 1, 2, 2, 2), (2, 1, 2, 2, 2), "target has shape"),
        ((2, 2, 2, 2, 2), (2, 2, 2, 2, 2), (1, 1, 2, 2, 2), "weight has shape"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(logits, target, weight, message):
    with pytest.raises(ValueError, match=message):
        make_loss(Loss(), TWO)(torch.zeros(logits), torch.zeros(target), torch.ones(weight))
