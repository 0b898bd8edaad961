"""Tiled prediction: the same numbers as in one pass, wherever it reads from and writes to."""

from dataclasses import dataclass

import h5py
import numpy as np
import pytest
import torch
import zarr
from tiny_network import TINY, model
from torch import nn

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.scratch import Scratch
from napari_scutoid.network.blend import BLENDED
from napari_scutoid.network.config import Architecture, Output
from napari_scutoid.network.device import NO_BF16, DeviceFacts
from napari_scutoid.network.passes import MEMORY_SHARE, bytes_per_voxel, halo_for
from napari_scutoid.network.predict import predict
from napari_scutoid.network.unet import activate, receptive_field
from napari_scutoid.progress import Progress, drain
from napari_scutoid.recipe import Predict

PLAIN = Predict(device="cpu", backend="torch", precision="fp32", gate=False)


@dataclass(frozen=True)
class Halved:
    """Stands in for intensity statistics."""

    def apply(self, block):
        return (np.asarray(block) / 2).astype(np.float32)


def stack(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def untiled(module, config, data):
    with torch.inference_mode():
        logits = module(torch.from_numpy(Halved().apply(data))[None, None])
        return activate(logits, config.outputs)[0].numpy()


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize(
    ("shape", "pooling", "name"),
    [
        ((40, 41, 43), None, "UNet3D"),
        ((17, 45, 47), ((1, 3, 2),), "UNet3D"),
        ((3, 50, 33), None, "MiniUNet3D"),
        ((33, 34, 50), ((2, 2, 2),), "ResidualUNet3D"),
    ],
)
def test_tiled_equals_untiled(norm, shape, pooling, name):
    module, config = model(norm=norm, pooling=pooling, name=name)
    data = stack(*shape)
    expected = untiled(module, config, data)
    for tile in ((8, 24, 24), (24, 16, 24)):
        prediction = drain(predict(module, config, data, Halved(), PLAIN.model_copy(update={"tile": tile})))
        assert prediction.passes == prediction.tiles > 1
        np.testing.assert_allclose(prediction.probabilities, expected, rtol=0, atol=1e-5)
    whole = drain(predict(module, config, data, Halved(), PLAIN))
    padded = tuple(-(-n // m) * m for n, m in zip(shape, config.architecture.multiple, strict=True))
    assert (whole.passes, whole.tiles_skipped, whole.pass_shape) == (1, 0, padded)
    assert whole.voxels_computed == np.prod(padded)
    np.testing.assert_allclose(whole.probabilities, expected, rtol=0, atol=1e-5)


def test_three_levels_and_a_wider_margin():
    module, config = model(plan=(*TINY, (3, 3)))
    data = stack(9, 50, 120)
    settings = PLAIN.model_copy(update={"tile": (8, 24, 40), "halo": (24, 25, 26)})
    prediction = drain(predict(module, config, data, Halved(), settings))
    assert prediction.halo == (24, 28, 28)
    np.testing.assert_allclose(prediction.probabilities, untiled(module, config, data), rtol=0, atol=1e-5)


def test_a_margin_below_the_receptive_field_shows_and_is_refused():
    module, config = model(norm="none")
    reach = receptive_field(config.architecture)
    assert halo_for(config.architecture) == tuple(-(-n // 2) * 2 for n in reach)
    settings = PLAIN.model_copy(update={"halo": (reach[0], reach[1], reach[2] - 1)})
    with pytest.raises(ScutoidError, match="the network looks"):
        drain(predict(module, config, stack(8, 8, 8), Halved(), settings))


@pytest.mark.parametrize("kind", ["numpy", "hdf5", "zarr", "scratch"])
def test_reads_and_writes_lazy_arrays(kind, tmp_path):
    module, config = model()
    data = stack(10, 30, 50)
    expected = untiled(module, config, data)
    if kind == "numpy":
        source, target = data, np.full((2, *data.shape), 9.0, dtype=np.float64)
    elif kind == "hdf5":
        file = h5py.File(tmp_path / "x.h5", "w")
        source = file.create_dataset("raw", data=data, chunks=(4, 8, 8))
        target = [file.create_dataset(name, data.shape, dtype="f4", chunks=(4, 8, 8)) for name in "ab"]
    elif kind == "scratch":
        source, target = data, [Scratch(data.shape, np.float32, tmp_path) for _ in "ab"]
    else:
        group = zarr.open_group(tmp_path / "x.zarr", mode="w")
        source = group.create_array("raw", data=data, chunks=(4, 8, 8))
        target = [group.create_array(name, shape=data.shape, dtype="f4", chunks=(4, 8, 8)) for name in "ab"]
    settings = PLAIN.model_copy(update={"tile": (8, 16, 16)})
    prediction = drain(predict(module, config, source, Halved(), settings, out=target))
    assert prediction.probabilities is target
    np.testing.assert_allclose([one[:] for one in target], expected, rtol=0, atol=1e-5)
    if kind == "hdf5":
        file.close()


def test_the_model_is_left_as_it_was():
    module, config = model()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    module.train()
    drain(predict(module, config, stack(8, 8, 8), Halved(), PLAIN))
    assert module.training
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_bf16_stays_close(monkeypatch):
    monkeypatch.setattr("napari_scutoid.network.device.known_gain", lambda *_: 2.0)
    module, config = model()
    data = stack(8, 24, 24)
    prediction = drain(predict(module, config, data, Halved(), PLAIN.model_copy(update={"precision": "bf16"})))
    assert prediction.precision == "bf16"
    assert np.abs(prediction.probabilities - untiled(module, config, data)).max() < 0.05


def test_bf16_that_would_take_hours_is_computed_in_fp32_and_told(monkeypatch):
    monkeypatch.setattr("napari_scutoid.network.device.known_gain", lambda *_: 0.01)
    module, config = model(norm="group")
    asked = PLAIN.model_copy(update={"precision": "bf16", "tile": (8, 16, 16)})
    prediction = drain(predict(module, config, stack(8, 24, 24), Halved(), asked))
    assert (prediction.precision, prediction.warnings) == ("fp32", (NO_BF16, BLENDED))


class Forgetful(nn.Module):
    """Runs out of memory above a size, as torch does on a CPU, and counts what it computed."""

    def __init__(self, module, largest, sizes):
        super().__init__()
        self.module, self.largest = module, largest
        self.sizes = sizes

    def __deepcopy__(self, memo):
        return self  # prediction works on a copy, and the tests want to see its counts

    def forward(self, x):
        voxels = x[0, 0].numel()
        if voxels > self.largest:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        self.sizes.append(voxels)
        return self.module(x)


def test_out_of_memory_halves_the_tiles_and_goes_on():
    module, config = model(norm="none")
    data = stack(8, 40, 80)
    sizes = []
    failing = Forgetful(module, 8 * 40 * 50, sizes)
    reports = []
    prediction = drain(predict(failing, config, data, Halved(), PLAIN), reports.append)
    np.testing.assert_allclose(prediction.probabilities, untiled(module, config, data), rtol=0, atol=1e-5)
    assert prediction.passes == len(sizes) > 1
    assert sum(sizes) == prediction.voxels_computed
    assert reports[-1] == Progress("Predicting", prediction.passes, prediction.passes)


def test_finished_tiles_are_not_computed_again():
    module, config = model(norm="none")
    data = stack(8, 16, 160)
    sizes = []
    failing = Forgetful(module, 10**9, sizes)
    steps = predict(failing, config, data, Halved(), PLAIN.model_copy(update={"tile": (8, 16, 80)}))
    assert next(steps) == Progress("Predicting", 0, 2)
    assert next(steps) == Progress("Predicting", 1, 2)
    failing.largest = sizes[0] - 1
    prediction = drain(steps)
    assert prediction.passes == len(sizes) > 2
    assert max(sizes[1:]) <= sizes[0] // 2 and sum(sizes[1:]) < 2 * sizes[0]
    np.testing.assert_allclose(prediction.probabilities, untiled(module, config, data), rtol=0, atol=1e-5)


def test_no_memory_at_all_is_told():
    module, config = model()
    with pytest.raises(ScutoidError, match="memory does not suffice even for a tile"):
        drain(predict(Forgetful(module, 0, []), config, stack(8, 8, 8), Halved(), PLAIN))


def test_other_errors_pass_through():
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("weights on another device")

    with pytest.raises(RuntimeError, match="another device"):
        drain(predict(Broken(), model()[1], stack(8, 8, 8), Halved(), PLAIN))


def test_mirror_images_are_averaged():
    module, config = model(norm="none")
    data = stack(8, 20, 36)
    images = []
    for axes in [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]:
        shown = untiled(module, config, np.flip(data, axes).copy())
        images.append(np.flip(shown, [axis + 1 for axis in axes]))
    settings = PLAIN.model_copy(update={"flips": True})
    for tile in (None, (8, 8, 12)):
        prediction = drain(predict(module, config, data, Halved(), settings.model_copy(update={"tile": tile})))
        assert prediction.passes == 8 * (1 if tile is None else prediction.tiles)
        np.testing.assert_allclose(prediction.probabilities, np.mean(images, axis=0), rtol=0, atol=1e-5)


def test_closing_cancels_within_a_tile():
    module, config = model()
    sizes = []
    settings = PLAIN.model_copy(update={"tile": (8, 8, 8)})
    steps = predict(Forgetful(module, 10**9, sizes), config, stack(16, 16, 16), Halved(), settings)
    next(steps)
    next(steps)
    steps.close()
    assert len(sizes) == 1


def test_group_norm_is_blended_with_a_warning():
    module, config = model(norm="group")
    data = stack(8, 40, 40)
    whole = drain(predict(module, config, data, Halved(), PLAIN))
    assert whole.warnings == ()
    prediction = drain(predict(module, config, data, Halved(), PLAIN.model_copy(update={"tile": (8, 16, 16)})))
    assert "blended" in prediction.warnings[0]
    assert np.abs(prediction.probabilities - whole.probabilities).mean() < 0.05
    jumps = np.abs(np.diff(prediction.probabilities, axis=3)).max(axis=(0, 1, 2))
    assert jumps[[15, 31]].max() < 1.5 * np.median(jumps), "seams between tiles"


def test_group_norm_that_runs_out_of_memory_is_blended_too():
    module, config = model(norm="group")
    prediction = drain(predict(Forgetful(module, 8 * 40 * 60, []), config, stack(8, 40, 80), Halved(), PLAIN))
    assert prediction.passes > 1
    assert "blended" in prediction.warnings[0]


def test_a_constant_model_blends_to_a_constant():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.GroupNorm(1, 1)

        def forward(self, x):
            return torch.zeros(1, 2, *x.shape[2:])

    settings = PLAIN.model_copy(update={"tile": (8, 8, 8)})
    prediction = drain(predict(Constant(), model()[1], stack(20, 20, 20), Halved(), settings))
    np.testing.assert_allclose(prediction.probabilities, 0.5, rtol=1e-6)


def test_empty_tiles_are_skipped_and_the_rest_is_the_same():
    module, config = model(norm="none")
    rng = np.random.default_rng(3)
    data = rng.normal(100, 2, (16, 64, 256)).astype(np.float32)
    data[:, :, :64] += np.kron(rng.uniform(0, 300, (4, 16, 16)), np.ones((4, 4, 4)))
    config = config.model_copy(update={"cell_diameter": 16.0})
    settings = PLAIN.model_copy(update={"gate": "threshold"})
    prediction = drain(predict(module, config, data, Halved(), settings))
    assert prediction.tiles == 1 * 4 * 16
    assert prediction.tiles_skipped >= prediction.tiles // 2
    assert prediction.voxels_computed < 0.6 * data.size
    expected = untiled(module, config, data)
    zero = (prediction.probabilities == 0).all(axis=0)
    assert not zero[:, :, :64].any()
    assert zero[:, :, 128:].all()
    np.testing.assert_allclose(prediction.probabilities[:, ~zero], expected[:, ~zero], rtol=0, atol=1e-5)
    # What is left empty follows from the gate, and not from how much fits into the memory.
    small = drain(predict(module, config, data, Halved(), settings.model_copy(update={"pass_voxels": 30_000})))
    assert small.passes > prediction.passes
    np.testing.assert_array_equal((small.probabilities == 0).all(axis=0), zero)


def test_skipped_tiles_are_background_where_the_model_has_one():
    module, config = model(norm="none")
    outputs = (Output(name="background", activation="softmax"), Output(name="cell", activation="softmax"))
    config = config.model_copy(update={"outputs": outputs})
    out = np.full((2, 16, 32, 32), 7.0, np.float32)
    prediction = drain(
        predict(
            module, config, np.zeros((16, 32, 32)), Halved(), PLAIN.model_copy(update={"gate": "threshold"}), out=out
        )
    )
    assert prediction.tiles_skipped == prediction.tiles
    assert prediction.passes == 0
    assert (out[0] == 1).all()
    assert (out[1] == 0).all()


def test_memory_decides_how_large_a_pass_is(monkeypatch):
    module, config = model()
    data = stack(16, 64, 64)
    facts = DeviceFacts("cpu", "", 0, "fp32", "")
    free = 16 * 50 * 50 * bytes_per_voxel(config.architecture, 2, facts) / MEMORY_SHARE
    monkeypatch.setattr("napari_scutoid.network.device.free_memory", lambda _: free)
    prediction = drain(predict(module, config, data, Halved(), PLAIN))
    assert prediction.passes > 1
    assert prediction.voxels_computed / prediction.passes <= 16 * 50 * 50


@pytest.mark.parametrize("out", [np.zeros((1, 8, 8, 8)), np.zeros((2, 8, 8, 9)), np.zeros((2, 8, 8, 8), int)])
def test_wrong_target(out):
    module, config = model()
    with pytest.raises(ValueError, match=r"2 arrays of floats in shape \(8, 8, 8\)"):
        drain(predict(module, config, stack(8, 8, 8), Halved(), PLAIN, out=out))


def test_wrong_stack():
    module, config = model()
    with pytest.raises(ValueError, match="three non-empty axes"):
        drain(predict(module, config, stack(8, 8), Halved(), PLAIN))
    two = config.model_copy(update={"architecture": Architecture(plan=TINY, in_channels=2), "inputs": ("a", "b")})
    with pytest.raises(ScutoidError, match=r"2 channels \(a, b\)"):
        drain(predict(module, two, stack(8, 8, 8), Halved(), PLAIN))
