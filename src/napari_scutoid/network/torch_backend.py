"""PyTorch computes: on a processor, an NVIDIA graphics card or a Mac's."""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_scutoid.network.device import channels_last, out_of_memory
from napari_scutoid.network.unet import activate

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_scutoid.network.config import Output
    from napari_scutoid.network.device import Precision


class TorchBackend:
    """A network ready to compute: folded, laid out and placed; see `backends.Backend`.

    Parameters
    ----------
    module : torch.nn.Module
        It is not changed.
    outputs : sequence of Output
    device : torch.device
    precision : {"fp32", "bf16"}
    """

    def __init__(
        self, module: nn.Module, outputs: Sequence[Output], device: torch.device, precision: Precision
    ) -> None:
        self.module = fold_batch_norm(module).to(device)
        if precision == "bf16":
            keep_ends_precise(self.module)
        channels_last(self.module)
        self.outputs = outputs
        self.device = device
        self.precision = precision

    def __call__(self, tiles: NDArray[np.float32], kept: tuple[slice, slice, slice]) -> NDArray[np.float32]:
        """Return the probabilities of a batch of tiles; see `backends.Backend`."""
        try:
            return self._probabilities(tiles, kept)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        # Only here, after the exception and with it the failed pass's tensors are gone.
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        raise MemoryError(f"a pass of {tiles.shape[2:]} voxels does not fit")

    def _probabilities(self, tiles: NDArray[np.float32], kept: tuple[slice, slice, slice]) -> NDArray[np.float32]:
        x = torch.from_numpy(tiles).to(self.device, memory_format=torch.channels_last_3d)
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"),
            torch.backends.cudnn.flags(allow_tf32=False),
        ):
            probabilities = activate(self.module(x)[(..., *kept)], self.outputs)
        result: NDArray[np.float32] = probabilities.cpu().numpy()
        return result


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode, faster because batch norms are part of the convolutions before them."""
    folded = copy.deepcopy(module).eval()
    for part in folded.modules():
        if not isinstance(part, nn.Sequential):
            continue
        names = list(part._modules)
        for first, second in itertools.pairwise(names):
            convolution, norm = part._modules[first], part._modules[second]
            if isinstance(convolution, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d):
                part._modules[first] = fuse_conv_bn_eval(convolution, norm)
                part._modules[second] = nn.Identity()
    return folded


class _SinglePrecision(nn.Module):
    """A layer that computes in float32 within a pass in bf16."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's result in float32."""
        with torch.autocast(x.device.type, enabled=False):
            result: torch.Tensor = self.layer(x.float())
        return result


def keep_ends_precise(module: nn.Module) -> None:
    """Let the first convolution and the last two compute in float32, whatever the precision around them.

    Intensities and probabilities have more digits than bf16's eight bits hold, and seeds are placed by small
    differences of probabilities; the layers between are where the time goes.
    """
    names = [name for name, part in module.named_modules() if isinstance(part, nn.Conv3d)]
    for name in {names[0], *names[-2:]}:
        parent, _, child = name.rpartition(".")
        owner = module.get_submodule(parent)
        setattr(owner, child, _SinglePrecision(owner.get_submodule(child)))
