"""The whole way from probabilities to cells."""

from __future__ import annotations

import numpy as np
import pytest

from napari_scutoid.progress import Progress, drain
from napari_scutoid.recipe import Recipe
from napari_scutoid.steps.cells import cells_from_probabilities


def rooms():
    """Return probabilities of two rooms of 16 voxels a side and, between walls beside them, one of 4."""
    boundary = np.zeros((16, 16, 38), np.float32)
    boundary[:, :, [16, 33]] = 1.0
    return np.ones_like(boundary), boundary


def cells(maps, settings=None, **more):
    return drain(cells_from_probabilities(*maps, Recipe.model_validate(settings or {}), **more))


def test_every_room_is_a_cell():
    found = cells(rooms())
    assert found.labels.dtype == np.uint32
    assert np.array_equal(np.unique(found.labels), [1, 2, 3])
    assert found.diameter > 4


@pytest.mark.parametrize(
    ("size", "unit", "more", "expected"),
    [
        (1500.0, "voxels", {}, 2),
        (1000.0, "voxels", {}, 3),
        (750.0, "um3", {"voxel_volume_um3": 0.5}, 2),
        (500.0, "um3", {"voxel_volume_um3": 0.5}, 3),
    ],
)
def test_small_cells_go_by_the_unit_that_is_chosen(size, unit, more, expected):
    found = cells(rooms(), {"cleanup": {"min_size": size, "min_size_unit": unit}}, **more)
    assert found.labels.max() == expected
    assert np.all(found.labels > 0)


def test_micrometres_need_a_voxel_size():
    with pytest.raises(ValueError, match="voxel_volume_um3"):
        cells(rooms(), {"cleanup": {"min_size_unit": "um3"}})


def test_progress_of_every_stage_is_a_progress():
    steps = list(cells_from_probabilities(*rooms(), Recipe()))
    assert len(steps) >= 8
    assert all(isinstance(p, Progress) and 0 <= p.done <= max(p.total, p.done) for p in steps)


@pytest.mark.parametrize("method", ["shape", "multicut", "gasp", "mutex", "none"])
def test_same_input_same_result(method):
    settings = {"watershed": {"seeds": "maxima"}, "partition": {"method": method}}
    noise = np.random.default_rng(0).random((16, 16, 38)).astype(np.float32) * 0.3
    foreground, boundary = rooms()
    maps = foreground, np.clip(boundary + noise, 0, 1)
    assert np.array_equal(cells(maps, settings).labels, cells(maps, settings).labels)
