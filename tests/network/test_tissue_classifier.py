"""The tissue classifier keeps tissue, skips noise, and says what is wrong with its files."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_scutoid.models
from napari_scutoid.errors import ScutoidError
from napari_scutoid.network import predict as predict_module
from napari_scutoid.network.checkpoint import list_models
from napari_scutoid.network.config import ModelConfig
from napari_scutoid.network.gate import Tissue
from napari_scutoid.network.tiles import Grid
from napari_scutoid.network.tissue_classifier import (
    BLOCK,
    ClassifierConfig,
    TissueClassifier,
    classifier_files,
    classify_tissue,
    knows_cells_of,
    load_classifier,
    mean_and_deviation,
    network_input,
    save_classifier,
    tissue_probability,
)
from napari_scutoid.progress import Progress, drain
from napari_scutoid.recipe import Predict
from napari_scutoid.synth.tissue import synthesise


def mask_of(data):
    return drain(classify_tissue(data)).mask


def noise(shape, level=100.0, sigma=3.0, seed=0):
    return np.random.default_rng(seed).normal(level, sigma, shape).astype(np.float32)


def gland(z_step=1.0):
    return synthesise("gland", (40, 112, 112), 5, cell_diameter=14, z_step=z_step)


@pytest.fixture
def folder(tmp_path):
    """A classifier with random weights."""
    torch.manual_seed(0)
    save_classifier(tmp_path, TissueClassifier((4, 4, 4)), ClassifierConfig(widths=(4, 4, 4)))
    return tmp_path


def test_it_is_small():
    module, _ = load_classifier()
    assert 10_000 < sum(each.numel() for each in module.parameters()) < 60_000
    assert all(file.stat().st_size < 300_000 for file in classifier_files_of_the_package())


def classifier_files_of_the_package():
    return classifier_files(Path(napari_scutoid.models.__path__[0]))


def test_it_is_no_model_to_segment_with():
    assert "tissue_classifier" not in list_models()


@pytest.mark.parametrize("seed", range(3))
def test_noise_alone_is_empty_but_for_doubts_at_the_borders(seed):
    mask = mask_of(noise((32, 96, 96), seed=seed))
    assert mask.mean() < 0.1
    assert not mask[1:-1, 2:-2, 2:-2].any()


def test_noise_beside_tissue_is_empty():
    tissue = np.asarray(gland().image.data).astype(np.float32)
    data = noise((40, 112, 300), np.percentile(tissue, 5), 0.02 * np.ptp(tissue))
    data[:, :, :112] = tissue
    mask = mask_of(data)
    assert mask[:, 4:10, 4:10].any()
    assert not mask[:, 2:-2, 24:-2].any()
    assert mask[:, :, 24:].mean() < 0.1


def test_auto_trusts_it_only_with_membranes_of_cells_that_it_knows():
    config = ModelConfig(name="a")
    assert knows_cells_of(config)
    assert not knows_cells_of(config.model_copy(update={"inputs": ("nuclei",)}))
    assert not knows_cells_of(config.model_copy(update={"cell_diameter_range": (30.0, 80.0)}))
    assert not knows_cells_of(config.model_copy(update={"cell_diameter_range": (3.0, 20.0)}))


@pytest.mark.parametrize(("gate", "kept"), [("off", 3), ("threshold", 2), ("classifier", 2), ("auto", 1)])
def test_auto_skips_what_either_skips(gate, kept, monkeypatch):
    def says(*mask):
        def steps(*_):
            yield Progress("Looking for tissue")
            return Tissue(np.array(mask).reshape(1, 1, 3), (16, 16, 16))

        return steps

    monkeypatch.setattr(predict_module, "find_tissue", says(True, True, False))
    monkeypatch.setattr(predict_module, "classify_tissue", says(False, True, True))
    data, grid = np.zeros((16, 16, 48)), Grid((16, 16, 48), (16, 16, 16))
    wanted = drain(predict_module.wanted_tiles(data, grid, ModelConfig(name="a"), Predict(gate=gate)))
    assert wanted.shape == (1, 1, 3)
    assert wanted.sum() == kept
    assert wanted[0, 0, 1]


def test_one_brightness_is_empty():
    assert not mask_of(np.full((9, 20, 31), 7, np.uint8)).any()


@pytest.mark.parametrize("z_step", [0.5, 1.0, 3.0])
def test_tissue_is_kept(z_step):
    tissue = gland(z_step)
    kept = np.kron(mask_of(tissue.image.data), np.ones((BLOCK,) * 3, dtype=bool))
    kept = kept[tuple(slice(size) for size in tissue.image.shape)]
    assert kept[tissue.labels.data > 0].all()


def test_a_stack_full_of_tissue_is_kept_wholly():
    tissue = synthesise("packed", (32, 64, 64), 3, cell_diameter=14)
    inside = np.asarray(tissue.image.data)[4:28, 8:56, 8:56]
    assert (np.asarray(tissue.labels.data)[4:28, 8:56, 8:56] > 0).mean() > 0.9
    assert mask_of(inside).all()


@pytest.mark.parametrize(("gain", "offset"), [(1 / 64, 0), (4, 0), (1, 4096)])
def test_gain_and_offset_do_not_matter(gain, offset):
    data = np.asarray(gland().image.data)[:24, :64, :64].astype(np.float32)
    module, _ = load_classifier()
    expected, found = (drain(tissue_probability(module, each)) for each in (data, data * gain + offset))
    np.testing.assert_allclose(found, expected, atol=1e-2)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 50, 7), (13, 17, 19), (5, 64, 64)])
def test_any_shape(shape, folder):
    mask = drain(classify_tissue(noise(shape), folder)).mask
    assert mask.shape == tuple(-(-size // BLOCK) for size in shape)


def test_the_same_stack_gives_the_same_and_slabs_do_not_matter(folder):
    data = noise((23, 40, 40))

    class Lazy:
        shape, dtype, chunks = data.shape, data.dtype, (3, 40, 40)

        def __getitem__(self, key):
            return data[key]

    module, _ = load_classifier(folder)
    reports = []
    first = drain(tissue_probability(module, data))
    again = drain(tissue_probability(module, Lazy()), reports.append)
    assert np.array_equal(first, again)
    assert Progress("Looking for tissue", 23, 23) in reports
    assert reports[-1] == Progress("Looking for tissue", 6, 6)


def test_a_mean_and_a_deviation_by_hand():
    data = np.zeros((2, 2, 4), np.uint16)
    data[..., 2] = 60000
    data[..., 3] = 60002
    np.testing.assert_array_equal(mean_and_deviation(data), [[[[0, 60001]]], [[[0, 1]]]])
    odd = mean_and_deviation(data[:1, :1, 1:])
    np.testing.assert_allclose(odd, [[[[30000, 60002]]], [[[30000, 0]]]], rtol=1e-6)


def test_the_input_runs_from_0_to_1_in_square_roots_and_fills_whole_blocks():
    blocks = np.zeros((2, 1, 1, 5), np.float32)
    blocks[0, 0, 0] = [10, 11, 14, 19, 26]
    blocks[1, 0, 0, 1] = 4
    values = network_input(blocks)
    assert values.shape == (2, 4, 4, 8)
    low, high = np.percentile(blocks[0], (1, 99.5))
    np.testing.assert_allclose(values[0, 0, 0, 2], ((14 - low) / (high - low)) ** 0.5, rtol=1e-6)
    np.testing.assert_allclose(values[1, 0, 0, 1], (4 / (high - low)) ** 0.5, rtol=1e-6)
    assert network_input(np.ones((2, 3, 3, 3), np.float32)) is None


def test_a_speck_in_an_even_stack_is_seen():
    blocks = np.zeros((2, 8, 8, 8), np.float32)
    blocks[0, 0, 0, 0] = 1
    values = network_input(blocks)
    assert values[0].sum() == 1


def test_it_comes_back_as_it_was_saved(folder):
    module, config = load_classifier(folder)
    again, same = load_classifier(folder)
    assert config == same
    for one, other in zip(module.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def damage_bytes(config, weights):
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def damage_weights(config, weights):
    weights.write_bytes(b"\xff" * 100)
    told = json.loads(config.read_text())
    config.write_text(json.dumps(told | {"weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}))


def damage_widths(config, weights):
    config.write_text(json.dumps(json.loads(config.read_text()) | {"widths": [4, 4, 5]}))


def damage_version(config, weights):
    config.write_text(json.dumps(json.loads(config.read_text()) | {"schema_version": 2}))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda config, weights: config.unlink(), "tissue_classifier.json: No such file"),
        (lambda config, weights: weights.unlink(), "tissue_classifier.safetensors: No such file"),
        (lambda config, weights: config.write_text("{"), "not valid JSON"),
        (lambda config, weights: config.write_text("[" * 100_000), "not valid JSON"),
        (lambda config, weights: config.write_bytes(b"\xff\xfe"), "not valid JSON"),
        (damage_version, "schema_version"),
        (damage_bytes, "SHA-256"),
        (damage_weights, "safetensors: .*header"),
        (damage_widths, "with shape"),
    ],
)
def test_damage_is_told(folder, damage, told):
    damage(*classifier_files(folder))
    with pytest.raises(ScutoidError, match=f"(?s)tissue classifier could not be loaded.*{told}.*gate: threshold"):
        drain(classify_tissue(noise((8, 8, 8)), folder))
