"""Networks of other programs, with the names of weights that their files have.

They are built anew here from what they compute, so that a model that somebody else trained runs without the program it
was trained with. All pad a stack as `unet.UNet3D` does and are cropped back. The originals round odd sizes down when
they pool and stretch when they enlarge, which shifts features and could not be done in tiles: numbers are the same for
sizes that are multiples of the pooling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_scutoid.network.blocks import Network, pad_to_multiple
from napari_scutoid.network.config import EcDc, Pytorch3dunet

if TYPE_CHECKING:
    from napari_scutoid.network.config import Architecture

_BOTTOM_UP = (("dc9", "dc8", "dc7"), ("dc6", "dc5", "dc4"), ("dc3", "dc2", "dc1"))
"""Layers of a level of the way up: the transposed convolution, then two convolutions."""


class Pytorch3dunetNetwork(Network):
    """The networks of pytorch-3dunet (Wolny et al. 2020, eLife 9:e57613), which PlantSeg uses.

    ``UNet3D`` enlarges by repeating voxels and concatenates (Cicek et al. 2016); ``ResidualUNet3D`` enlarges by
    transposed convolutions and adds (Lee et al. 2017, arXiv:1706.00120); ``ResidualUNetSE3D`` also weights channels and
    places (Roy et al. 2018).

    Parameters
    ----------
    architecture : Architecture
        With `Pytorch3dunet` options.
    n_outputs : int
        Output channels.
    """

    def __init__(self, architecture: Architecture, n_outputs: int) -> None:
        super().__init__(architecture, n_outputs)
        options = architecture.options
        if not isinstance(options, Pytorch3dunet):
            raise ValueError(f"options must be those of pytorch-3dunet, not {options!r}")
        self.adds = architecture.name != "pytorch3dunet.UNet3D"
        block = {
            "pytorch3dunet.UNet3D": _DoubleConv,
            "pytorch3dunet.ResidualUNet3D": _Residual,
            "pytorch3dunet.ResidualUNetSE3D": _ResidualSE,
        }[architecture.name]
        widths = [second for _, second in architecture.plan]
        self.encoders = nn.ModuleList(
            nn.ModuleDict({"basic_module": block(before, first, second, options)})
            for before, (first, second) in zip([architecture.in_channels, *widths], architecture.plan, strict=False)
        )
        self.decoders = nn.ModuleList()
        for deep, wide in zip(widths[:0:-1], widths[-2::-1], strict=True):
            decoder: dict[str, nn.Module] = {}
            risen = deep
            if options.up == "transposed":
                up = nn.ConvTranspose3d(deep, wide, 3, stride=2, padding=1, bias=False)
                decoder["upsampling"] = nn.ModuleDict({"upsample": nn.ModuleDict({"conv_transposed": up})})
                risen = wide
            decoder["basic_module"] = block(risen if self.adds else wide + risen, wide, wide, options)
            self.decoders.append(nn.ModuleDict(decoder))
        self.final_conv = nn.Conv3d(widths[0], n_outputs, 1)

    @property
    def way_down(self) -> tuple[nn.Module, ...]:
        """The parts before the bottleneck."""
        return tuple(self.encoders)[:-1]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (b, n_outputs, z, y, x) of a batch (b, c, z, y, x) of any size."""
        size = x.shape[2:]
        features = pad_to_multiple(x, self.multiple)
        skips: list[Tensor] = []
        for encoder in self.encoders:
            if skips:
                features = functional.max_pool3d(features, 2)
            features = _part(encoder, "basic_module")(features)
            skips.append(features)
        skips.pop()
        for decoder in self.decoders:
            skip = skips.pop()
            if "upsampling" in _children(decoder):
                features = decoder.get_submodule("upsampling.upsample.conv_transposed")(features)
            # A transposed convolution of 3 by 2 makes 2 n - 1 voxels of n; the original repeats the first one, too.
            features = functional.interpolate(features, size=skip.shape[2:])
            features = skip + features if self.adds else torch.cat((skip, features), dim=1)
            features = _part(decoder, "basic_module")(features)
        return _cropped(self.final_conv(features), size)


class EcDcNetwork(Network):
    """The 3D U-Net with the layers ``ec0``..``ec7`` and ``dc9``..``dc0``, after Cicek et al. 2016.

    Its first public form is https://github.com/shiba24/3d-unet. Here all convolutions keep the size, and what was
    enlarged stands before the encoder's features, as there.

    Parameters
    ----------
    architecture : Architecture
        With `EcDc` options and four levels.
    n_outputs : int
        Output channels.
    """

    def __init__(self, architecture: Architecture, n_outputs: int) -> None:
        super().__init__(architecture, n_outputs)
        options = architecture.options
        if not isinstance(options, EcDc):
            raise ValueError(f"options must be those of the layers ec0 to dc0, not {options!r}")
        width = architecture.in_channels
        flat = [channels for level in architecture.plan for channels in level]
        for index, channels in enumerate(flat):
            self.add_module(f"ec{index}", _word(options.layers[f"ec{index}"], width, channels, 3))
            width = channels
        for (up, *both), (_, skip) in zip(_BOTTOM_UP, architecture.plan[-2::-1], strict=True):
            self.add_module(up, _word(options.layers[up], width, width, 2))
            width += skip
            for name in both:
                self.add_module(name, _word(options.layers[name], width, skip, 3))
                width = skip
        self.dc0 = _word(options.layers["dc0"], width, n_outputs, 1)

    @property
    def way_down(self) -> tuple[nn.Module, ...]:
        """The parts before the bottleneck."""
        return tuple(_part(self, f"ec{index}") for index in range(6))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (b, n_outputs, z, y, x) of a batch (b, c, z, y, x) of any size."""
        size = x.shape[2:]
        features = pad_to_multiple(x, self.multiple)
        skips: list[Tensor] = []
        for level in range(4):
            if skips:
                features = functional.max_pool3d(features, 2)
            features = _part(self, f"ec{2 * level + 1}")(_part(self, f"ec{2 * level}")(features))
            skips.append(features)
        skips.pop()
        for up, first, second in _BOTTOM_UP:
            features = torch.cat((_part(self, up)(features), skips.pop()), dim=1)
            features = _part(self, second)(_part(self, first)(features))
        return _cropped(self.dc0(features), size)


def _word(word: str, in_channels: int, out_channels: int, kernel: int) -> nn.Module:
    """Return the layer that a word of `EcDc` names; a word of one letter is the bare convolution."""
    kind = nn.Conv3d if word[0] in "cC" else nn.ConvTranspose3d
    # Only the layers that enlarge have a kernel of 2.
    shape: dict[str, Any] = {"stride": 2} if kernel == 2 else {"padding": kernel // 2}
    convolution = kind(in_channels, out_channels, kernel, bias=word[0].isupper(), **shape)
    if len(word) == 1:
        return convolution
    others: dict[str, nn.Module] = {"b": nn.BatchNorm3d(out_channels), "r": nn.ReLU(inplace=True)}
    return nn.Sequential(convolution, *(others[letter] for letter in word[1:]))


def _single(in_channels: int, out_channels: int, options: Pytorch3dunet, *, bent: bool = True) -> nn.Sequential:
    """Return one convolution with its norm and activation in the stated order; without the latter, not bent."""
    layers = nn.Sequential()
    groups = options.groups
    bias = not set("gb") & set(options.order)
    width = in_channels
    for letter in options.order:
        if letter == "c":
            layers.add_module("conv", nn.Conv3d(in_channels, out_channels, 3, padding=1, bias=bias))
            width = out_channels
        elif letter == "g":
            groups = groups if width >= groups else 1
            layers.add_module("groupnorm", nn.GroupNorm(groups, width))
        elif letter == "b":
            layers.add_module("batchnorm", nn.BatchNorm3d(width))
        elif letter in "rle" and bent:
            name, activation = {
                "r": ("ReLU", nn.ReLU(inplace=True)),
                "l": ("LeakyReLU", nn.LeakyReLU(inplace=True)),
                "e": ("ELU", nn.ELU(inplace=True)),
            }[letter]
            layers.add_module(name, activation)
    return layers


class _DoubleConv(nn.Sequential):
    def __init__(self, in_channels: int, first: int, second: int, options: Pytorch3dunet) -> None:
        super().__init__()
        self.add_module("SingleConv1", _single(in_channels, first, options))
        self.add_module("SingleConv2", _single(first, second, options))


class _Residual(nn.Module):
    def __init__(self, in_channels: int, first: int, second: int, options: Pytorch3dunet) -> None:
        super().__init__()
        self.conv1 = nn.Identity() if in_channels == second else nn.Conv3d(in_channels, second, 1)
        self.conv2 = _single(second, second, options)
        self.conv3 = _single(second, second, options, bent=False)
        leaky, elu = "l" in options.order, "e" in options.order
        self.activation = nn.LeakyReLU(0.1) if leaky else nn.ELU() if elu else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.conv1(x)
        features: Tensor = self.activation(self.conv3(self.conv2(shortcut)) + shortcut)
        return features


class _ResidualSE(_Residual):
    """A residual block whose channels and places are weighted, and the larger of the two results taken."""

    def __init__(self, in_channels: int, first: int, second: int, options: Pytorch3dunet) -> None:
        super().__init__(in_channels, first, second, options)
        dense = {"fc1": nn.Linear(second, second), "fc2": nn.Linear(second, second)}
        self.mean = nn.AdaptiveAvgPool3d(1)
        self.se_module = nn.ModuleDict(
            {"cSE": nn.ModuleDict(dense), "sSE": nn.ModuleDict({"conv": nn.Conv3d(second, 1, 1)})}
        )

    def forward(self, x: Tensor) -> Tensor:
        features = super().forward(x)
        squeezed = functional.relu(self.se_module.get_submodule("cSE.fc1")(self.mean(features).flatten(1)))
        by_channel = torch.sigmoid(self.se_module.get_submodule("cSE.fc2")(squeezed))[..., None, None, None]
        by_place = torch.sigmoid(self.se_module.get_submodule("sSE.conv")(features))
        return torch.maximum(features * by_channel, features * by_place)


def _part(module: nn.Module, name: str) -> nn.Module:
    return module.get_submodule(name)


def _children(module: nn.Module) -> set[str]:
    return {name for name, _ in module.named_children()}


def _cropped(logits: Tensor, size: torch.Size) -> Tensor:
    depth, height, width = size
    return logits[:, :, :depth, :height, :width]
