"""Networks of other programs: the same names of weights, and the same numbers from them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from napari_scutoid.network.config import EC_DC_LAYERS, Architecture, EcDc, ModelConfig, Pytorch3dunet
from napari_scutoid.network.predict import predict
from napari_scutoid.network.unet import build, receptive_field
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Predict
from napari_scutoid.steps.normalise import IntensityStatistics

if TYPE_CHECKING:
    from types import ModuleType

EC_DC = EcDc(
    layers={name: "C" if name == "dc0" else "Tr" if name in ("dc9", "dc6", "dc3") else "cbr" for name in EC_DC_LAYERS}
)


@pytest.fixture
def theirs() -> ModuleType:
    """The networks of pytorch-3dunet.

    `make test` installs it without its dependencies, of which torchvision breaks beside a torch for processors.
    """
    return pytest.importorskip("pytorch3dunet.unet3d.model", reason="pip install --no-deps pytorch3dunet")


def trained(module: nn.Module) -> nn.Module:
    """Give every norm its own statistics and weights, as training does."""
    torch.manual_seed(1)
    for name, tensor in module.state_dict().items():
        if ("norm" in name or ".1." in name) and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    return module.eval()


def positive(module: nn.Module) -> nn.Module:
    """Make all weights positive, so that no way from a voxel to another cancels."""
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 0.2)
    return module.eval()


def architecture(name: str, order: str, widths: tuple[int, ...], up: str, groups: int = 4, inputs: int = 1):
    double = name == "UNet3D"
    before = (inputs, *widths[:-1])
    return Architecture(
        name=f"pytorch3dunet.{name}",
        in_channels=inputs,
        plan=tuple((max(w // 2, b) if double else w, w) for b, w in zip(before, widths, strict=True)),
        options=Pytorch3dunet(order=order, groups=groups, up=up),
    )


@pytest.mark.parametrize("order", ["gcr", "bcr", "cbr", "crg", "cr", "cge", "gcl", "cl", "bcrd"])
@pytest.mark.parametrize(
    ("name", "up", "upsample"),
    [
        ("UNet3D", "nearest", "default"),
        ("UNet3D", "nearest", "nearest"),
        ("UNet3D", "transposed", "deconv"),
        ("ResidualUNet3D", "transposed", "default"),
        ("ResidualUNetSE3D", "transposed", "default"),
    ],
)
def test_pytorch_3dunet_computes_the_same(theirs, name, up, upsample, order) -> None:
    widths = (8, 16, 32)
    original = getattr(theirs, name)(
        2, 3, f_maps=list(widths), layer_order=order, num_groups=4, upsample=upsample, is_segmentation=False
    )
    ours = build(architecture(name, order, widths, up, inputs=2), 3)
    ours.load_state_dict(trained(original).state_dict(), strict=True)
    x = torch.randn(2, 2, 8, 12, 16)
    with torch.no_grad():
        expected = original(x)
        assert expected.std() > 1e-3
        assert (ours.eval()(x) - expected).abs().max() <= 1e-5


def test_any_size_goes_through() -> None:
    ours = build(architecture("UNet3D", "gcr", (4, 8), "nearest"), 2)
    assert ours(torch.zeros(1, 1, 7, 6, 3)).shape == (1, 2, 7, 6, 3)


class _ShibaUNet(nn.Module):
    """The layout of https://github.com/shiba24/3d-unet with same-size convolutions, written out as the reference."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        widths = (1, 2, 4, 4, 8, 8, 16, 16, 32)
        for index, (before, after) in enumerate(itertools.pairwise(widths)):
            block = (nn.Conv3d(before, after, 3, padding=1, bias=False), nn.BatchNorm3d(after), nn.ReLU())
            setattr(self, f"ec{index}", nn.Sequential(*block))
        for (up, first, second), (deep, wide) in zip(
            ((9, 8, 7), (6, 5, 4), (3, 2, 1)), ((32, 16), (16, 8), (8, 4)), strict=True
        ):
            setattr(self, f"dc{up}", nn.Sequential(nn.ConvTranspose3d(deep, deep, 2, 2), nn.ReLU()))
            for name, before in ((first, deep + wide), (second, wide)):
                block = (nn.Conv3d(before, wide, 3, padding=1, bias=False), nn.BatchNorm3d(wide), nn.ReLU())
                setattr(self, f"dc{name}", nn.Sequential(*block))
        self.dc0 = nn.Conv3d(4, classes, 1)
        self.pool = nn.MaxPool3d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.ec1(self.ec0(x))
        second = self.ec3(self.ec2(self.pool(first)))
        third = self.ec5(self.ec4(self.pool(second)))
        x = self.ec7(self.ec6(self.pool(third)))
        x = self.dc7(self.dc8(torch.cat((self.dc9(x), third), 1)))
        x = self.dc4(self.dc5(torch.cat((self.dc6(x), second), 1)))
        return self.dc0(self.dc1(self.dc2(torch.cat((self.dc3(x), first), 1))))


def test_ec_dc_computes_the_same() -> None:
    torch.manual_seed(0)
    original = trained(_ShibaUNet(3))
    ours = build(Architecture(name="ec_dc.UNet3D", plan=((2, 4), (4, 8), (8, 16), (16, 32)), options=EC_DC), 3)
    ours.load_state_dict(original.state_dict(), strict=True)
    x = torch.randn(1, 1, 16, 8, 24)
    with torch.no_grad():
        expected = original(x)
        assert expected.std() > 1e-3
        assert (ours.eval()(x) - expected).abs().max() <= 1e-5


@pytest.mark.parametrize(
    "network",
    [
        architecture("UNet3D", "cr", (2, 4, 8), "nearest"),
        architecture("UNet3D", "cr", (2, 4, 8), "transposed"),
        architecture("ResidualUNet3D", "cr", (2, 4, 8), "transposed"),
        Architecture(name="ec_dc.UNet3D", plan=((1, 2),) * 4, options=EC_DC),
    ],
    ids=["nearest", "transposed", "residual", "ec_dc"],
)
def test_receptive_field(network: Architecture) -> None:
    """With positive weights gradients reach all that matters, but for the lesser voxels of a pooled block."""
    module = positive(build(network, 1))
    reach = receptive_field(network)[0]
    n = -(-4 * reach // network.multiple[0]) * network.multiple[0]
    farthest = 0
    for position in range(n // 2, n // 2 + network.multiple[0]):
        x = torch.rand(1, 1, n, 2 * network.multiple[1], network.multiple[2], dtype=torch.float64, requires_grad=True)
        module.double()(x)[0, 0, position].sum().backward()
        seen = x.grad[0, 0].abs().sum((1, 2)).nonzero()[:, 0]
        farthest = max(farthest, position - int(seen.min()), int(seen.max()) - position)
    assert farthest <= reach
    assert reach - network.multiple[0] < farthest <= reach


@pytest.mark.parametrize("order", ["bcr", "gcr"])
@pytest.mark.parametrize(
    ("name", "up"), [("UNet3D", "transposed"), ("ResidualUNet3D", "transposed"), ("ResidualUNetSE3D", "transposed")]
)
def test_tiles_fit_together_or_are_blended(name, up, order) -> None:
    network = architecture(name, order, (2, 4), up, groups=2)
    torch.manual_seed(2)
    module = trained(build(network, 2))
    config = ModelConfig(name="theirs", architecture=network)
    data = np.random.default_rng(1).random((8, 40, 40), dtype=np.float32)
    settings = Predict(device="cpu", precision="fp32", gate=False)
    plain = IntensityStatistics(0.0, 1.0, 0.0, 1.0)
    whole = drain(predict(module, config, data, plain, settings))
    tiled = drain(predict(module, config, data, plain, settings.model_copy(update={"tile": (8, 16, 16)})))
    assert tiled.passes > 1
    assert whole.warnings == ()
    if order == "bcr" and name != "ResidualUNetSE3D":
        assert tiled.warnings == ()
        np.testing.assert_allclose(tiled.probabilities, whole.probabilities, rtol=0, atol=1e-5)
    else:
        assert "blended" in tiled.warnings[0]
        assert np.abs(tiled.probabilities - whole.probabilities).mean() < 0.05


@given(st.text("gbcrledD", max_size=9))
def test_an_order_of_layers_is_refused_or_builds(order: str) -> None:
    try:
        options = Pytorch3dunet(order=order, groups=2)
    except ValueError:
        return
    built = build(Architecture(name="pytorch3dunet.UNet3D", plan=((2, 2), (2, 4)), options=options), 1)
    assert built.eval()(torch.zeros(1, 1, 4, 4, 4)).shape == (1, 1, 4, 4, 4)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "pytorch3dunet.UNet3D"},
        {"name": "UNet3D", "options": {"order": "gcr"}},
        {"name": "ec_dc.UNet3D", "options": {"order": "gcr"}},
        {"name": "ec_dc.UNet3D", "options": {"layers": {"ec0": "cr"}}},
        {"name": "pytorch3dunet.UNet3D", "options": {"order": "rc"}},
        {"name": "pytorch3dunet.UNet3D", "options": {"order": "gcr"}, "pooling": ((1, 2, 2), (2, 2, 2))},
        {"name": "ec_dc.UNet3D", "options": EC_DC.model_dump(), "plan": ((1, 1),)},
    ],
)
def test_wrong_descriptions(changes) -> None:
    with pytest.raises(ValueError, match=r"options|order|pools|levels|layers"):
        Architecture.model_validate(changes)
