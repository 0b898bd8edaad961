"""Building blocks of the 3D U-Nets."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Literal

from torch import Tensor, nn

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
