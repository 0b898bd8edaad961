"""Estimates follow the sizes they are made from; speeds are timed once."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_scutoid import estimate as module
from napari_scutoid.estimate import Speed, duration, estimate, forecast, needs_cell_size
from napari_scutoid.network.config import Architecture, ModelConfig
from napari_scutoid.network.device import DeviceFacts
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Recipe, Rescale
from napari_scutoid.steps.cell_size import CellSize
from napari_scutoid.volume import Volume, VoxelSize

CONFIG = ModelConfig(name="small", architecture=Architecture(plan=((4, 4), (8, 8))), cell_diameter_range=(14.0, 18.0))
FACTS = DeviceFacts("cpu", "Processor", 10**10, "fp32", "")
SPEED = Speed(1e-6, 2e-6)
SIZE = VoxelSize(0.5, 0.5, 0.5)
AS_IT_IS = Recipe.model_validate({"rescale": {"mode": "none"}})


def found(shape=(64, 64, 64), recipe=AS_IT_IS, config=CONFIG, facts=FACTS, speed=SPEED, size=None):
    return estimate(shape, SIZE, recipe, config, facts, speed, size)


def test_a_stack_of_one_pass_takes_what_its_parts_take():
    voxels = 64**3
    got = found()
    fixed = module.START + SPEED.cells * voxels * (module.GRID + module.STACK)
    of_tissue = voxels * (SPEED.prediction + SPEED.cells)
    assert got.working_shape == (64, 64, 64)
    assert got.most_seconds == pytest.approx(fixed + of_tissue)
    assert got.seconds == pytest.approx(fixed + module.TISSUE * of_tissue)
    everything = Recipe.model_validate({"rescale": {"mode": "none"}, "predict": {"gate": "off"}})
    assert found(recipe=everything).seconds == pytest.approx(got.most_seconds)


@settings(max_examples=20)
@given(
    shape=st.tuples(*(st.integers(8, 96) for _ in range(3))),
    factor=st.floats(0.3, 1.0),
    tile=st.none() | st.just((16, 16, 16)),
)
def test_more_voxels_never_take_less(shape, factor, tile):
    recipe = Recipe.model_validate(
        {"rescale": {"mode": "factors", "factors": (factor,) * 3}, "predict": {"tile": tile, "pass_voxels": 200_000}}
    )
    small, large = found(shape, recipe), found(tuple(2 * n for n in shape), recipe)
    assert small.seconds <= small.most_seconds <= large.most_seconds
    assert 0 < small.peak_bytes <= large.peak_bytes


def test_small_tiles_cost_their_margins():
    tiled = Recipe.model_validate({"rescale": {"mode": "none"}, "predict": {"tile": (16, 16, 16)}})
    assert found(recipe=tiled).most_seconds > found().most_seconds
    grouped = CONFIG.model_copy(update={"architecture": Architecture(plan=((4, 4), (8, 8)), norm="group")})
    assert found(recipe=tiled, config=grouped).most_seconds > found(recipe=tiled).most_seconds


def test_cells_are_brought_to_the_size_that_the_model_knows():
    got = found((64, 128, 128), Recipe.model_validate({"rescale": {"cell_diameter": 36.0}}))
    assert got.working_shape == (32, 64, 64)
    assert got.warnings == ()
    sizing = module.SIZING * SPEED.cells
    by_image = found((64, 128, 128), Recipe(), size=CellSize(36.0, 1.0, 0.1))
    assert by_image.seconds - got.seconds == pytest.approx(sizing * module.voxels_to_size((64, 128, 128)))


@pytest.mark.parametrize(
    ("rescale", "size", "told"),
    [
        ({"mode": "none", "cell_diameter": 40.0}, None, "cells 40 voxels across, and this model knows cells of 14 to"),
        ({}, CellSize(20.0, 1.0, 0.4), "20 voxels across, give or take 40%"),
        ({"mode": "factors", "factors": (1.0, 0.25, 0.25)}, None, "proportions 4x"),
        ({"mode": "none", "cell_diameter": 16.0}, None, ""),
    ],
)
def test_what_does_not_fit_is_told(rescale, size, told):
    warnings = " ".join(found(recipe=Recipe.model_validate({"rescale": rescale}), size=size).warnings)
    assert told in warnings
    assert bool(told) == bool(warnings)


def test_mirror_images_take_eight_times_the_network():
    mirrored = Recipe.model_validate({"rescale": {"mode": "none"}, "predict": {"flips": True}})
    assert found(recipe=mirrored).parts[1] == pytest.approx(8 * found().parts[1])


def test_a_graphics_card_takes_the_pass_out_of_the_computers_memory():
    recipe = Recipe.model_validate({"rescale": {"mode": "none"}, "predict": {"pass_voxels": 10**7}})
    wide = CONFIG.model_copy(update={"architecture": Architecture(plan=((64, 64), (128, 128)))})
    card = dataclasses.replace(FACTS, device="cuda")
    assert found(recipe=recipe, config=wide, facts=card).peak_bytes < found(recipe=recipe, config=wide).peak_bytes


@pytest.mark.parametrize(
    ("rescale", "size", "needed"),
    [({}, SIZE, True), ({"cell_diameter": 9.0}, SIZE, False), ({"cell_diameter": 9.0}, None, True)],
)
def test_the_size_of_cells_is_estimated_where_something_is_left_open(rescale, size, needed):
    assert needs_cell_size(Rescale.model_validate(rescale), size) is needed


def test_a_forecast_measures_once_and_remembers(tmp_path, monkeypatch):
    timed = []
    monkeypatch.setattr("napari_scutoid.network.device.bf16_gain", lambda _: 1.0)
    monkeypatch.setattr(module, "_timed", lambda: timed.append("cells") or 2e-6)
    volume = Volume(np.zeros((8, 16, 16), np.uint8), SIZE)
    plain = {"device": "cpu", "backend": "torch"}
    recipe = Recipe.model_validate({"rescale": {"cell_diameter": 16.0}, "predict": plain})
    first = drain(forecast(volume, recipe, CONFIG, cache=tmp_path))
    monkeypatch.setattr("napari_scutoid.network.speed._timed", lambda *_: pytest.fail("measured again"))
    assert drain(forecast(volume, recipe, CONFIG, cache=tmp_path)).estimate == first.estimate
    assert timed == ["cells"]
    assert first.estimate.working_shape == (8, 16, 16)
    assert (first.device.device, first.device.precision) == ("cpu", "fp32")
    assert first.free_bytes > 0 and first.cell_size is None
    assert math.isfinite(first.estimate.seconds)
    with pytest.raises(ValueError, match="no contrast"):
        drain(forecast(volume, Recipe.model_validate({"predict": plain}), CONFIG, cache=tmp_path))


def test_the_way_to_cells_can_be_timed(tmp_path):
    assert 0 < module.seconds_to_cells(cache=tmp_path / "s.json") < 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (7, "7 s"), (13, "15 s"), (80, "1 min"), (3000, "50 min"), (9000, "2.5 h")]
)
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text
