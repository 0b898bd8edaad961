"""What computes a network: one interface, the same numbers, and a reason for what was chosen."""

import copy
import dataclasses
import sys

import numpy as np
import pytest
import torch
from tiny_network import model
from torch import nn

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network import device as device_module
from napari_scutoid.network import openvino_backend
from napari_scutoid.network.backends import make_backend
from napari_scutoid.network.config import (
    EC_DC_LAYERS,
    EC_DC_UP,
    Architecture,
    EcDc,
    Output,
    Pytorch3dunet,
)
from napari_scutoid.network.device import NO_BF16
from napari_scutoid.network.openvino_backend import NotConverted, OpenVinoBackend
from napari_scutoid.network.predict import predict
from napari_scutoid.network.speed import seconds_per_voxel
from napari_scutoid.network.torch_backend import TorchBackend, fold_batch_norm, keep_ends_precise
from napari_scutoid.network.unet import build
from napari_scutoid.network.validate import AsItIs
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Predict

CPU = torch.device("cpu")
ALL = (slice(None),) * 3
SOFTMAX = (Output(name="background", activation="softmax"), Output(name="cell", activation="softmax"))
MIXED = (*SOFTMAX, Output(name="boundary"))
FOREIGN = Pytorch3dunet(order="gcr", groups=2)
EC_DC = EcDc(layers={name: "t" if name in EC_DC_UP else "Cbr" for name in EC_DC_LAYERS})


def tiles(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def settings(**how):
    return Predict.model_validate({"device": "cpu", "precision": "fp32", "gate": "off"} | how)


@pytest.mark.parametrize(
    ("outputs", "architecture"),
    [
        (None, {"norm": "batch"}),
        (SOFTMAX, {"norm": "none", "pooling": ((1, 3, 2),)}),
        (MIXED, {"norm": "group"}),
        (None, {"name": "ResidualUNet3D"}),
        (None, {"name": "pytorch3dunet.UNet3D", "options": FOREIGN, "plan": ((2, 4), (4, 4))}),
        (None, {"name": "pytorch3dunet.ResidualUNetSE3D", "options": FOREIGN, "plan": ((2, 4), (4, 4))}),
        (None, {"name": "ec_dc.UNet3D", "options": EC_DC, "plan": ((2, 2), (2, 2), (2, 2), (2, 2))}),
    ],
)
def test_openvino_computes_what_pytorch_computes(outputs, architecture):
    module, config = model(outputs, **architecture)
    shape = tuple(2 * step for step in config.architecture.multiple)
    x = tiles(1, 1, *shape)
    expected = TorchBackend(module, config.outputs, CPU, "fp32")(x, ALL)
    backend = OpenVinoBackend(module, config, CPU, "fp32")
    np.testing.assert_allclose(backend(x, ALL), expected, rtol=0, atol=1e-4)
    kept = (slice(1, 3), slice(0, 2), slice(2, 4))
    part = backend(x, kept)
    np.testing.assert_allclose(part, expected[(..., *kept)], rtol=0, atol=1e-4)
    backend(tiles(1, 1, *shape) + 1, ALL)
    np.testing.assert_allclose(part, expected[(..., *kept)], rtol=0, atol=1e-4, err_msg="not an array of its own")


def test_tiles_of_one_size_are_compiled_for_once(monkeypatch):
    made = []
    whole = OpenVinoBackend.__init__
    monkeypatch.setattr(OpenVinoBackend, "__init__", lambda self, *args: (made.append(self), whole(self, *args))[1])
    module, config = model()
    data = tiles(21, 40, 70)
    found = {
        backend: drain(predict(module, config, data, AsItIs(), settings(backend=backend, tile=(16, 16, 24))))
        for backend in ("torch", "openvino")
    }
    assert found["openvino"].passes > 3
    assert made[0].compiled == 2, "once for the check of the conversion, once for all tiles"
    assert (found["torch"].backend, found["openvino"].backend) == ("torch", "openvino")
    np.testing.assert_allclose(found["openvino"].probabilities, found["torch"].probabilities, rtol=0, atol=1e-4)


def test_openvino_reports_to_nobody():
    openvino_backend.load()
    assert sys.modules["openvino_telemetry"] is None


@pytest.mark.parametrize(
    ("present", "machine", "device", "chosen"),
    [
        (True, "x86_64", "cpu", "openvino"),
        (True, "AMD64", "cpu", "openvino"),
        (True, "arm64", "cpu", "torch"),
        (False, "x86_64", "cpu", "torch"),
    ],
)
def test_auto_takes_openvino_where_it_is_there_and_no_graphics_card(monkeypatch, present, machine, device, chosen):
    monkeypatch.setattr(openvino_backend, "is_installed", lambda: present)
    monkeypatch.setattr("platform.machine", lambda: machine)
    module, config = model()
    backend, facts = make_backend(module, config, settings(device=device))
    assert facts.backend == chosen
    assert isinstance(backend, OpenVinoBackend if chosen == "openvino" else TorchBackend)
    assert ("OpenVINO is installed and computes" in facts.why) == (chosen == "openvino")
    assert make_backend(module, config, settings(backend="torch"))[1].backend == "torch"


class Strange(nn.Module):
    """Sorts its voxels by a function that no other library knows."""

    def forward(self, x):
        logits = torch.linalg.matrix_exp(x.flatten(2)[:, :, :4].reshape(1, 1, 2, 2)).sum() * x
        return torch.cat((logits, logits), dim=1)


def test_pytorch_computes_what_openvino_does_not_know_and_says_why():
    _, config = model()
    backend, facts = make_backend(Strange(), config, settings())
    assert isinstance(backend, TorchBackend)
    assert facts.backend == "torch"
    assert "OpenVINO cannot compute this model: " in facts.why
    found = drain(predict(Strange(), config, tiles(8, 8, 8), AsItIs(), settings()))
    assert (found.backend, found.why) == ("torch", facts.why)
    with pytest.raises(ScutoidError, match="OpenVINO cannot compute the model tiny"):
        make_backend(Strange(), config, settings(backend="openvino"))


def test_a_conversion_that_computes_something_else_is_refused(monkeypatch):
    module, config = model()
    other, _ = model()
    nn.init.zeros_(other.head.weight)
    whole = openvino_backend._converted
    monkeypatch.setattr(
        openvino_backend,
        "_converted",
        lambda network, sample: whole(openvino_backend._Probabilities(other, config.outputs), sample),
    )
    with pytest.raises(NotConverted, match="its probabilities differ by"):
        OpenVinoBackend(module, config, CPU, "fp32")


def test_an_openvino_that_does_not_load_is_told(monkeypatch):
    def broken():
        raise OSError("libtbb.so.12: cannot open shared object file")

    monkeypatch.setattr(openvino_backend, "load", broken)
    module, config = model()
    facts = make_backend(module, config, settings())[1]
    assert facts.backend == "torch"
    assert "does not work here (libtbb.so.12" in facts.why
    with pytest.raises(ScutoidError, match="OpenVINO cannot compute this"):
        make_backend(module, config, settings(backend="openvino"))


@pytest.mark.parametrize("native", [True, False])
def test_bf16_is_openvinos_only_where_the_processor_has_it(monkeypatch, native):
    monkeypatch.setattr(device_module, "known_gain", lambda *_: 0.9)
    monkeypatch.setattr(openvino_backend, "has_bf16", lambda device: native)
    module, config = model()
    facts = make_backend(module, config, settings(precision="auto"))[1]
    assert (facts.backend, facts.precision) == ("openvino", "bf16" if native else "fp32")
    facts = make_backend(module, config, settings(precision="bf16"))[1]
    assert (facts.backend, facts.precision) == ("openvino" if native else "torch", "bf16")
    if not native:
        assert "OpenVINO has no bf16" in facts.why
    assert not facts.warnings


@pytest.mark.parametrize("backend", ["auto", "openvino"])
def test_a_recipe_from_a_computer_with_bf16_is_computed_all_the_same(monkeypatch, backend):
    monkeypatch.setattr(openvino_backend, "has_bf16", lambda device: False)
    monkeypatch.setattr(device_module, "known_gain", lambda *_: 0.01)
    module, config = model()
    facts = make_backend(module, config, settings(precision="bf16", backend=backend))[1]
    assert (facts.backend, facts.precision, facts.warnings) == ("openvino", "fp32", (NO_BF16,))
    assert "would take hours" in facts.why and "OpenVINO has no" not in facts.why
    data = np.random.default_rng(0).random((8, 16, 16), np.float32)
    plain, found = (
        drain(predict(module, config, data, AsItIs(), settings(precision=precision, backend=backend)))
        for precision in ("fp32", "bf16")
    )
    assert (found.precision, found.warnings, plain.warnings) == ("fp32", (NO_BF16,), ())
    np.testing.assert_array_equal(found.probabilities, plain.probabilities)


def test_what_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(openvino_backend, "is_installed", lambda: False)
    module, config = model()
    with pytest.raises(ScutoidError, match=r"not installed[\s\S]*pip install 'napari-scutoid\[openvino\]'"):
        make_backend(module, config, settings(backend="openvino"))
    with pytest.raises(ScutoidError, match="Device xpu cannot be used"):
        make_backend(module, config, settings(device="xpu"))


def test_memory_that_does_not_suffice_is_told_alike(monkeypatch):
    class Full:
        def infer(self, *_, **__):
            raise RuntimeError("Exception from src/inference: std::bad_alloc")

    module, config = model()
    backend = OpenVinoBackend(module, config, CPU, "fp32")
    monkeypatch.setattr(backend, "_compiled_for", lambda _: Full())
    with pytest.raises(MemoryError, match=r"\(4, 4, 4\) voxels"):
        backend(tiles(1, 1, 4, 4, 4), ALL)


def test_each_backend_has_its_own_speed(tmp_path):
    _, config = model()
    facts = make_backend(*model(), settings())[1]
    both = [dataclasses.replace(facts, backend=name) for name in ("torch", "openvino")]
    first = [seconds_per_voxel(config, one, cache=tmp_path / "s.json") for one in both]
    assert min(first) > 0 and first[0] != first[1]
    assert [seconds_per_voxel(config, one, cache=tmp_path / "s.json") for one in both] == first


def test_facts_can_be_used_again():
    module, config = model()
    facts = make_backend(module, config, settings(precision="auto"))[1]
    stated = settings(device=facts.device, backend=facts.backend, precision=facts.precision)
    again = make_backend(module, config, stated)[1]
    assert dataclasses.replace(again, why=facts.why, free_bytes=facts.free_bytes) == facts


@pytest.mark.parametrize("name", ["UNet3D", "MiniUNet3D", "ResidualUNet3D"])
def test_folding_leaves_no_batch_norm_and_the_same_output(name):
    module, _ = model(name=name)
    folded = fold_batch_norm(module)
    assert not any(isinstance(part, nn.BatchNorm3d) for part in folded.modules())
    x = torch.randn(1, 1, 8, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(folded(x), module(x), rtol=0, atol=1e-5)


def test_bf16_keeps_the_ends_of_the_network_precise():
    torch.manual_seed(0)
    network = build(Architecture(plan=((8, 8), (16, 16))), 2).eval()
    x = torch.rand(1, 1, 16, 16, 16)
    precise = copy.deepcopy(network)
    keep_ends_precise(precise)
    with torch.inference_mode():
        truth = network(x)
        assert torch.equal(precise(x), truth)
        with torch.autocast("cpu", torch.bfloat16):
            rough, better = network(x), precise(x)
    assert better.dtype == torch.float32
    assert (better - truth).abs().mean() < 0.7 * (rough.float() - truth).abs().mean()
