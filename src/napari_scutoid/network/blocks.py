"""Building blocks of the 3D U-Nets."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Literal, cast

from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from napari_scutoid.network.config import Architecture, Triple

Norm = Literal["none", "batch", "group"]


def convolution(
    in_channels: int, out_channels: int, norm: Norm, *, kernel: int = 3, relu: bool = True
) -> nn.Sequential:
    """Return a convolution that keeps the size, its norm, and a ReLU.

    The convolution has a bias only without a norm, which brings its own.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv3d(in_channels, out_channels, kernel, padding=kernel // 2, bias=norm == "none")
    )
    if norm == "batch":
        layers["norm"] = nn.BatchNorm3d(out_channels)
    elif norm == "group":
        layers["norm"] = nn.GroupNorm(math.gcd(8, out_channels), out_channels)
    if relu:
        layers["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


class DoubleConvolution(nn.Sequential):
    """Two 3x3x3 convolutions, each with norm and ReLU (Cicek et al. 2016)."""

    def __init__(self, in_channels: int, first: int, second: int, norm: Norm) -> None:
        super().__init__(convolution(in_channels, first, norm), convolution(first, second, norm))


class ConvolutionsApart(nn.Module):
    """A double convolution of two sets of features that are never put side by side, which takes memory.

    A convolution of both is the sum of a convolution of each.

    Parameters
    ----------
    block : DoubleConvolution
        Of both, side by side; it is not changed.
    n_second : int
        Channels of the second set.
    """

    def __init__(self, block: DoubleConvolution, n_second: int) -> None:
        super().__init__()
        first, *after = block[0].children()
        self.convolution = cast("nn.Conv3d", first)
        self.after = nn.Sequential(*after, block[1])
        self.n_first = self.convolution.in_channels - n_second

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return features of shape (b, c, z, y, x)."""
        both = self.convolution
        parts = both.weight[:, : self.n_first], both.weight[:, self.n_first :]
        padding = both.kernel_size[0] // 2
        summed = functional.conv3d(first, parts[0], both.bias, padding=padding)
        summed = summed + functional.conv3d(second, parts[1], padding=padding)
        features: Tensor = self.after(summed)
        return features


class TripleConvolution(nn.Sequential):
    """A double convolution followed by one more of the same width."""

    def __init__(self, in_channels: int, first: int, second: int, norm: Norm) -> None:
        super().__init__(
            convolution(in_channels, first, norm), convolution(first, second, norm), convolution(second, second, norm)
        )


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, which is a 1x1x1 convolution where the width changes (He et al. 2016)."""

    def __init__(self, in_channels: int, first: int, second: int, norm: Norm) -> None:
        super().__init__()
        self.body = nn.Sequential(convolution(in_channels, first, norm), convolution(first, second, norm, relu=False))
        self.shortcut = (
            nn.Identity() if in_channels == second else convolution(in_channels, second, norm, kernel=1, relu=False)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of shape (b, second, z, y, x)."""
        features: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return features


class Network(nn.Module):
    """What all networks here can do: be built from an `Architecture`, and turn a batch into logits of its size."""

    convolutions_per_block = 2
    convolutions_at_bottom = 2
    convolutions_in_stem = 0

    def __init__(self, architecture: Architecture, n_outputs: int) -> None:
        super().__init__()
        if n_outputs < 1:
            raise ValueError(f"n_outputs must be at least 1, not {n_outputs}")
        self.in_channels = architecture.in_channels
        self.multiple = architecture.multiple

    @property
    def way_down(self) -> tuple[nn.Module, ...]:
        """The parts before the bottleneck."""
        raise NotImplementedError


def pad_to_multiple(x: Tensor, multiple: Triple) -> Tensor:
    """Pad (b, c, z, y, x) at the far ends to multiples: by reflection, or by the edge where the input is too thin."""
    missing = [-size % step for size, step in zip(x.shape[2:], multiple, strict=True)]
    if not any(missing):
        return x
    reflects = all(pad < size for pad, size in zip(missing, x.shape[2:], strict=True))
    z, y, x_ = missing
    return functional.pad(x, (0, x_, 0, y, 0, z), mode="reflect" if reflects else "replicate")
