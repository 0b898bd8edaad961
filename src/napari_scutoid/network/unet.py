"""The 3D U-Nets, how their outputs become probabilities, and how far they look."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from napari_scutoid.network.blocks import (
    ConvolutionsApart,
    DoubleConvolution,
    Network,
    ResidualBlock,
    TripleConvolution,
    convolution,
    pad_to_multiple,
)
from napari_scutoid.network.config import Pytorch3dunet
from napari_scutoid.network.foreign_networks import EcDcNetwork, Pytorch3dunetNetwork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_scutoid.network.config import Architecture, Output, Triple


class UNet3D(Network):
    """3D U-Net with two convolutions per level (Cicek et al. 2016).

    The encoder halves the resolution by maximum pooling and the decoder doubles it by up-convolutions of the same
    stride, beside the encoder's features of that level (`Architecture.pooling` changes the stride per axis).
    Convolutions pad by zeros, so the output is as large as the input. The variants below share this path through the
    levels and change only what a level consists of.

    Parameters
    ----------
    architecture : Architecture
        Channels, norm and pooling.
    n_outputs : int
        Output channels.
    """

    def __init__(self, architecture: Architecture, n_outputs: int) -> None:
        super().__init__(architecture, n_outputs)
        plan = architecture.plan
        self.stem, width = self._stem(architecture)
        self.encoders = nn.ModuleList()
        self.pools = nn.ModuleList()
        for (first, second), stride in zip(plan[:-1], architecture.strides, strict=True):
            self.encoders.append(self._block(width, first, second, architecture))
            self.pools.append(nn.MaxPool3d(stride))
            width = second
        self.bottleneck = self._bottleneck(width, architecture)
        width = plan[-1][1]
        self.ups = nn.ModuleList()
        self.decoders = nn.ModuleList()
        for (_, second), stride in zip(reversed(plan[:-1]), reversed(architecture.strides), strict=True):
            self.ups.append(nn.ConvTranspose3d(width, width, stride, stride=stride, bias=False))
            self.decoders.append(self._block(width + second, second, second, architecture))
            width = second
        self.head = nn.Conv3d(width, n_outputs, 1)

    @property
    def way_down(self) -> tuple[nn.Module, ...]:
        """The parts before the bottleneck."""
        return self.stem, self.encoders

    def take_apart(self) -> None:
        """Let the decoder never put two sets of features side by side: less memory, the same but for rounding."""
        for place, (up, decoder) in enumerate(zip(self.ups, self.decoders, strict=True)):
            if isinstance(decoder, DoubleConvolution):
                self.decoders[place] = ConvolutionsApart(decoder, cast("nn.ConvTranspose3d", up).out_channels)

    def _stem(self, architecture: Architecture) -> tuple[nn.Module, int]:
        return nn.Identity(), architecture.in_channels

    def _block(self, in_channels: int, first: int, second: int, architecture: Architecture) -> nn.Module:
        return DoubleConvolution(in_channels, first, second, architecture.norm)

    def _bottleneck(self, in_channels: int, architecture: Architecture) -> nn.Module:
        return self._block(in_channels, *architecture.plan[-1], architecture)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of a batch.

        Parameters
        ----------
        x : Tensor, shape (b, c, z, y, x)
            Normalised intensities; any size: it is padded at the far ends by reflection to a multiple of the total
            pooling, and the logits are cropped back.

        Returns
        -------
        Tensor, shape (b, n_outputs, z, y, x)
        """
        if x.ndim != 5 or x.shape[1] != self.in_channels:
            raise ValueError(f"x must have shape (b, {self.in_channels}, z, y, x), not {tuple(x.shape)}")
        depth, height, width = x.shape[2:]
        features = self.stem(pad_to_multiple(x, self.multiple))
        skips = []
        for encoder, pool in zip(self.encoders, self.pools, strict=True):
            features = encoder(features)
            skips.append(features)
            features = pool(features)
        features = self.bottleneck(features)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            both = skips.pop(), up(features)
            features = decoder(*both) if isinstance(decoder, ConvolutionsApart) else decoder(torch.cat(both, dim=1))
        logits: Tensor = self.head(features)
        return logits[:, :, :depth, :height, :width]


class MiniUNet3D(UNet3D):
    """The small U-Net: two levels by default (`config.MINI_PLAN`), with three convolutions at the bottom.

    The small network this follows pooled a second time before its last convolution, but went up once only, so that
    its skip met features of another resolution. Here the channels are the same and every skip meets its own level.
    """

    convolutions_at_bottom = 3

    def _bottleneck(self, in_channels: int, architecture: Architecture) -> nn.Module:
        return TripleConvolution(in_channels, *architecture.plan[-1], architecture.norm)


class ResidualUNet3D(UNet3D):
    """U-Net of residual blocks (Zhang et al. 2018, in 3D): convolution + norm + ReLU first, then one block a level.

    With `config.RESIDUAL_PLAN`: four encoder blocks with pooling, a bottleneck, four decoder blocks, a 1x1x1 head.
    """

    convolutions_in_stem = 1

    def _stem(self, architecture: Architecture) -> tuple[nn.Module, int]:
        width = architecture.plan[0][0]
        return convolution(architecture.in_channels, width, architecture.norm), width

    def _block(self, in_channels: int, first: int, second: int, architecture: Architecture) -> nn.Module:
        return ResidualBlock(in_channels, first, second, architecture.norm)


_NETWORKS: dict[str, type[Network]] = {
    **{network.__name__: network for network in (UNet3D, MiniUNet3D, ResidualUNet3D)},
    **{f"pytorch3dunet.{name}": Pytorch3dunetNetwork for name in ("UNet3D", "ResidualUNet3D", "ResidualUNetSE3D")},
    "ec_dc.UNet3D": EcDcNetwork,
}


def build(architecture: Architecture, n_outputs: int) -> Network:
    """Return a freshly initialised network, in training mode.

    Parameters
    ----------
    architecture : Architecture
        What `config.json` states.
    n_outputs : int
        Output channels.
    """
    return _NETWORKS[architecture.name](architecture, n_outputs)


def activate(logits: Tensor, outputs: Sequence[Output]) -> Tensor:
    """Turn logits into probabilities, each output by its own activation.

    Parameters
    ----------
    logits : Tensor, shape (b, n, z, y, x)
    outputs : sequence of Output, length n
        Sigmoid outputs are independent; all softmax outputs together sum to one.

    Returns
    -------
    Tensor of float32, shape (b, n, z, y, x)
    """
    if logits.shape[1] != len(outputs):
        raise ValueError(f"logits have shape {tuple(logits.shape)}, but {len(outputs)} outputs are named")
    logits = logits.float()
    exclusive = [index for index, output in enumerate(outputs) if output.activation == "softmax"]
    probabilities = torch.sigmoid(logits)
    if exclusive:
        probabilities = probabilities.clone()  # what sigmoid returned is needed unchanged for its gradient
        probabilities[:, exclusive] = torch.softmax(logits[:, exclusive], dim=1)
    return probabilities


def receptive_field(architecture: Architecture) -> Triple:
    """Return how many voxels along z, y, x an output voxel looks in either direction.

    Exact and not only an upper bound: the interval of input voxels is followed back through the layers for
    every position an output voxel can have within the deepest level's voxels, and the farthest is taken.
    """
    z, y, x = (_reach(architecture, axis) for axis in range(3))
    return z, y, x


def _reach(architecture: Architecture, axis: int) -> int:
    network = _NETWORKS[architecture.name]
    strides = [stride[axis] for stride in architecture.strides]
    grow = network.convolutions_per_block
    # A transposed convolution of 3 by 2 mixes neighbours; those of 2 by 2, and repeating voxels, do not.
    mixes = int(isinstance(architecture.options, Pytorch3dunet) and architecture.options.up == "transposed")

    def seen(level: int, low: int, high: int) -> tuple[int, int]:
        """Voxels entering a level that its decoder's voxels low..high depend on."""
        if level == len(strides):
            return low - network.convolutions_at_bottom, high + network.convolutions_at_bottom
        stride = strides[level]
        low, high = low - grow, high + grow
        below_low, below_high = seen(level + 1, (low - mixes) // stride, high // stride)
        return min(low, below_low * stride) - grow, max(high, below_high * stride + stride - 1) + grow

    reach = 0
    for position in range(architecture.multiple[axis]):
        low, high = seen(0, position, position)
        reach = max(reach, position - low, high - position)
    return reach + network.convolutions_in_stem
