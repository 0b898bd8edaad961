"""How large a pass is, and what it takes."""

import numpy as np
import pytest

from napari_scutoid.network.config import Architecture, ModelConfig
from napari_scutoid.network.device import DeviceFacts
from napari_scutoid.network.passes import blending_bytes, bytes_per_voxel, grid_for, largest_pass, tiles_for
from napari_scutoid.recipe import Predict

CONFIG = ModelConfig(name="tiny", architecture=Architecture(plan=((2, 3), (3, 4))))


def facts(free=10**12, **others):
    return DeviceFacts(**{"device": "cpu", "name": "", "free_bytes": free, "precision": "fp32", "why": ""} | others)


def test_a_pass_keeps_to_the_memory_that_it_was_given():
    each = bytes_per_voxel(CONFIG.architecture, len(CONFIG.outputs), facts())
    for memory in (0.01, 0.02):
        assert largest_pass(CONFIG, facts(), Predict(memory_gb=memory)) == round(1e9 * memory) // each
    assert largest_pass(CONFIG, facts(), Predict(memory_gb=4096)) == largest_pass(CONFIG, facts(), Predict())
    assert largest_pass(CONFIG, facts(10**6), Predict()) == 600_000 // each
    assert largest_pass(CONFIG, facts(10**6), Predict(pass_voxels=5000)) == 5000


def test_openvino_and_bf16_need_less():
    def needed(**how):
        return bytes_per_voxel(Architecture(), 2, facts(**how))

    assert needed(backend="openvino") < 0.7 * needed()
    assert needed(precision="bf16") < 0.75 * needed()
    assert needed(precision="bf16", backend="openvino") < 0.6 * needed(backend="openvino")


@pytest.mark.parametrize("tile", [None, (16, 16, 16)])
def test_tiles_that_are_blended_see_more(tile):
    settings = Predict(tile=tile)
    grid = grid_for((16, 64, 160), CONFIG.architecture, settings)
    wanted = np.ones(grid.counts, bool)
    plain, blended = (
        tiles_for(wanted, grid, CONFIG.architecture, settings, 50_000, blended=blended) for blended in (False, True)
    )
    assert len(plain) > 1
    assert sum(t.read.voxels for t in blended) > sum(t.read.voxels for t in plain)
    (alone,) = tiles_for(wanted, grid, CONFIG.architecture, Predict(), 10**9, blended=True)
    assert alone.read.shape == (16, 64, 160)


def test_tiles_that_do_not_fit_together_take_memory_for_the_whole_stack():
    config = ModelConfig(name="x", architecture=Architecture(plan=((2, 3), (3, 4)), norm="batch"))
    assert blending_bytes(config, 1000) == 0
    grouped = config.model_copy(update={"architecture": Architecture(plan=((2, 3), (3, 4)), norm="group")})
    assert blending_bytes(grouped, 1000) == 4000 * (len(config.outputs) + 1)
