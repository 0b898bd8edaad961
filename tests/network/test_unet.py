"""The U-Nets: their size, their reach, and any input shape."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_scutoid.network.blocks import ConvolutionsApart, ResidualBlock
from napari_scutoid.network.config import CICEK_PLAN, MINI_PLAN, RESIDUAL_PLAN, Architecture, Output
from napari_scutoid.network.unet import activate, build, receptive_field

TINY = ((2, 3), (3, 4), (4, 5))


def n_parameters(architecture, n_outputs):
    with torch.device("meta"):
        module = build(architecture, n_outputs)
    return sum(parameter.numel() for parameter in module.parameters())


def test_unet_has_the_parameters_that_cicek_et_al_report():
    architecture = Architecture(in_channels=3, plan=CICEK_PLAN, norm="none")
    assert n_parameters(architecture, 3) == 19_069_955


def test_mini_unet_has_the_small_networks_convolutions():
    architecture = Architecture(name="MiniUNet3D", plan=MINI_PLAN, norm="none")
    widths = [(1, 32), (32, 64), (64, 64), (64, 128), (128, 128), (64 + 128, 64), (64, 64)]
    expected = sum(27 * a * b + b for a, b in widths) + 8 * 128 * 128 + 64 * 2 + 2
    assert n_parameters(architecture, 2) == expected


def test_residual_unet_has_four_blocks_down_a_bottleneck_and_four_up():
    with torch.device("meta"):
        module = build(Architecture(name="ResidualUNet3D", plan=RESIDUAL_PLAN), 2)
    kinds = [type(m).__name__ for m in module.modules()]
    assert kinds.count("ResidualBlock") == 4 + 1 + 4
    assert (len(module.encoders), len(module.pools), len(module.ups), len(module.decoders)) == (4, 4, 4, 4)
    assert [type(layer).__name__ for layer in module.stem] == ["Conv3d", "BatchNorm3d", "ReLU"]
    assert module.head.kernel_size == (1, 1, 1)


@pytest.mark.parametrize("name", ["UNet3D", "MiniUNet3D", "ResidualUNet3D"])
@pytest.mark.parametrize("norm", ["none", "batch", "group"])
def test_every_norm_trains(name, norm):
    module = build(Architecture(name=name, plan=TINY, norm=norm), 2)
    module(torch.rand(1, 1, 8, 8, 8)).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


@settings(max_examples=20, deadline=None)
@given(shape=st.tuples(*[st.integers(1, 13)] * 3), n_outputs=st.integers(1, 4), channels=st.integers(1, 2))
def test_any_size_and_any_number_of_outputs(shape, n_outputs, channels):
    architecture = Architecture(in_channels=channels, plan=TINY, norm="none", pooling=((1, 2, 2), (3, 2, 2)))
    with torch.no_grad():
        logits = build(architecture, n_outputs)(torch.zeros(1, channels, *shape))
    assert logits.shape == (1, n_outputs, *shape)


def test_wrong_channels_are_named():
    with pytest.raises(ValueError, match=r"\(b, 1, z, y, x\), not \(1, 2, 8, 8, 8\)"):
        build(Architecture(plan=TINY), 1)(torch.zeros(1, 2, 8, 8, 8))


@pytest.mark.parametrize(
    ("name", "plan", "pooling"),
    [
        ("UNet3D", TINY[:1], None),
        ("UNet3D", TINY[:2], None),
        ("UNet3D", TINY, ((1, 2, 2), (2, 2, 3))),
        ("MiniUNet3D", TINY[:2], None),
        ("ResidualUNet3D", TINY[:2], ((2, 1, 4),)),
    ],
)
def test_receptive_field_is_what_gradients_show(name, plan, pooling):
    architecture = Architecture(name=name, plan=plan, norm="none", pooling=pooling)
    module = build(architecture, 1).double()
    for parameter in module.parameters():  # positive weights: no path can cancel or be cut by a ReLU
        torch.nn.init.constant_(parameter, 0.1)
    # The mean passes gradients to every voxel, the maximum only to one.
    module.pools = torch.nn.ModuleList(torch.nn.AvgPool3d(stride) for stride in architecture.strides)
    reach = receptive_field(architecture)
    for axis in range(3):
        step = architecture.multiple[axis]
        size = (2 * reach[axis] // step + 3) * step
        shape = [architecture.multiple[other] for other in range(3)]
        shape[axis] = size
        farthest = 0
        for position in range(size // 2 // step * step, size // 2 // step * step + step):
            x = torch.ones(1, 1, *shape, dtype=torch.double, requires_grad=True)
            module(x).select(axis + 2, position).sum().backward()
            seen = x.grad[0, 0].sum(dim=[other for other in range(3) if other != axis]).nonzero().ravel()
            farthest = max(farthest, position - int(seen.min()), int(seen.max()) - position)
        assert farthest == reach[axis]


def test_sigmoid_outputs_are_independent_and_softmax_outputs_share():
    logits = torch.tensor([0.0, 1.0, 3.0]).reshape(1, 3, 1, 1, 1)
    outputs = [Output(name="a"), Output(name="b", activation="softmax"), Output(name="c", activation="softmax")]
    a, b, c = activate(logits, outputs).ravel().tolist()
    assert a == 0.5
    assert b == pytest.approx(1 / (1 + torch.e**2))
    assert b + c == pytest.approx(1)


def test_activation_needs_a_name_per_output():
    with pytest.raises(ValueError, match="1 outputs are named"):
        activate(torch.zeros(1, 2, 1, 1, 1), [Output(name="a")])


@pytest.mark.parametrize("settings", [{"pooling": ((2, 2, 2),)}, {"plan": ()}, {"plan": ((0, 1),)}])
def test_impossible_architectures_are_refused(settings):
    with pytest.raises(ValidationError):
        Architecture(**{"plan": TINY} | settings)


@pytest.mark.parametrize("norm", ["none", "batch", "group"])
def test_taken_apart_it_computes_the_same(norm):
    network = build(Architecture(plan=((3, 4), (5, 6), (7, 8)), norm=norm), 2).eval()
    x = torch.randn(1, 1, 8, 12, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(x)
        network.take_apart()
        torch.testing.assert_close(network(x), expected, rtol=0, atol=1e-5)
    assert all(isinstance(decoder, ConvolutionsApart) for decoder in network.decoders)


def test_residual_blocks_stay_as_they_are():
    network = build(Architecture(name="ResidualUNet3D", plan=((4, 4), (6, 6)), norm="batch"), 1)
    network.take_apart()
    assert isinstance(network.decoders[0], ResidualBlock)
