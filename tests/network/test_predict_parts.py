"""A stack computed in parts, by several who know the plan alone, equals one computed as a whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tiny_network import model

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.config import Output
from napari_scutoid.network.device import NO_BF16
from napari_scutoid.network.predict import gather, plan_passes, predict, predict_part
from napari_scutoid.network.validate import AsItIs
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Predict

PLAIN = Predict(device="cpu", backend="torch", precision="fp32", gate="off", pass_voxels=8 * 32 * 32)


def stack():
    return np.random.default_rng(3).random((8, 40, 90), dtype=np.float32)


def every_other(data, grid, config, settings):
    """Say what a gate says where tissue has holes."""
    yield from ()
    return np.indices(grid.counts).sum(axis=0) % 3 != 0


def computed(module, config, data, plan, borders):
    values = []
    for first, stop in itertools.pairwise(borders):
        steps = predict_part(
            module, config, data, AsItIs(), plan, slice(first, stop), lambda _, some: values.append(some.copy())
        )
        drain(steps)
    return values


@pytest.mark.parametrize(
    ("norm", "is_gated", "changes"),
    [
        ("batch", False, {}),
        ("batch", True, {"flips": True}),
        ("batch", True, {"tile": (8, 16, 16)}),
        ("group", True, {}),
    ],
)
def test_parts_together_are_the_whole(monkeypatch, norm, is_gated, changes):
    if is_gated:
        monkeypatch.setattr("napari_scutoid.network.predict.wanted_tiles", every_other)
    outputs = (Output(name="boundary", activation="softmax"), Output(name="background", activation="softmax"))
    module, config = model(outputs, norm=norm)
    data, settings = stack(), PLAIN.model_copy(update=changes)
    whole = drain(predict(module, config, data, AsItIs(), settings))

    plan = drain(plan_passes(module, config, data, settings))
    n = len(plan.tiles(config))
    assert n > 2 and plan.blended == (norm == "group")
    assert plan.wanted.all() != is_gated
    values = computed(module, config, data, plan, (0, 1, n // 2, n))
    assert [some.shape[1:] for some in values] == [box.shape for box in plan.kept(config)]
    found = drain(gather(config, plan, values))
    np.testing.assert_array_equal(found.probabilities, whole.probabilities)
    for name in whole.__slots__:
        if name != "probabilities":
            assert getattr(found, name) == getattr(whole, name), name


def test_parts_are_not_computed_in_two_precisions(monkeypatch):
    module, config = model()
    data = stack()
    monkeypatch.setattr("napari_scutoid.network.device.known_gain", lambda *_: 2.0)
    plan = drain(plan_passes(module, config, data, PLAIN.model_copy(update={"precision": "bf16"})))
    assert plan.settings.precision == "bf16"
    # Another computer.
    monkeypatch.setattr("napari_scutoid.network.device.known_gain", lambda *_: 0.01)
    with pytest.raises(ScutoidError, match="the other parts are computed in bf16"):
        drain(predict_part(module, config, data, AsItIs(), plan, slice(0, 2), print))
    plan = drain(plan_passes(module, config, data, PLAIN.model_copy(update={"precision": "bf16"})))
    assert (plan.settings.precision, plan.warnings) == ("fp32", (NO_BF16,))


def test_a_part_is_not_cut_smaller_where_the_memory_does_not_suffice():
    module, config = model()
    data = stack()
    plan = drain(plan_passes(module, config, data, PLAIN))

    def full(tile, values):
        raise MemoryError

    with pytest.raises(ScutoidError, match="memory does not suffice for a pass of"):
        drain(predict_part(module, config, data, AsItIs(), plan, slice(0, 2), full))
