"""Training that starts from a model: which of its layers fit, and which of them stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from napari_scutoid.network.unet import build

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from napari_scutoid.network.blocks import Network
    from napari_scutoid.network.config import Architecture


@dataclass(frozen=True, slots=True)
class Matching:
    """What became of the weights of a model that training starts from.

    Parameters
    ----------
    matched : tuple of str
        Taken over.
    by_output : tuple of str
        Taken over for the outputs that both have; the others start at random.
    other_shape : tuple of str
        In both, but of different shapes: they start at random.
    new : tuple of str
        Only in the network: they start at random.
    unused : tuple of str
        Only in the model.
    """

    matched: tuple[str, ...]
    by_output: tuple[str, ...]
    other_shape: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]

    def words(self) -> str:
        """Return it as a line for a person."""
        total = len(self.matched) + len(self.by_output) + len(self.other_shape) + len(self.new)
        line = f"{len(self.matched)} of {total} weights start from the model"
        told = (("by_output", "start from it for outputs of the same name"), ("other_shape", "differ in shape"))
        for name, what in (*told, ("new", "are new"), ("unused", "are not used")):
            if some := getattr(self, name):
                line += f"; {len(some)} {what} ({', '.join(some[:3])}{', ...' if len(some) > 3 else ''})"
        return line


def fresh(architecture: Architecture, n_outputs: int, seed: int) -> Network:
    """Return a network whose random weights a seed decides; torch's own generator stays as it was.

    Parameters
    ----------
    architecture : Architecture
    n_outputs : int
        Output channels.
    seed : int
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(architecture, n_outputs)


def start_from(
    module: nn.Module, weights: Mapping[str, Tensor], outputs: Sequence[str] = (), old_outputs: Sequence[str] = ()
) -> Matching:
    """Copy the weights that fit, by name and shape, into a network.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.
    weights : mapping of str to Tensor
        State dict of the model to start from.
    outputs, old_outputs : sequence of str
        Outputs of the network, and of that model: in layers with a channel for each, those of the same name are copied.
    """
    own = module.state_dict()
    taken = {name: tensor for name, tensor in weights.items() if name in own and own[name].shape == tensor.shape}
    pairs = [(new, old_outputs.index(name)) for new, name in enumerate(outputs) if name in old_outputs]
    parted = []
    for name, tensor in weights.items():
        shapes = (len(outputs), *tensor.shape[1:]), (len(old_outputs), *tensor.shape[1:])
        if name in own and name not in taken and pairs and (own[name].shape, tensor.shape) == shapes:
            mixed = own[name].clone()
            for new, old in pairs:
                mixed[new] = tensor[old]
            taken[name] = mixed
            parted.append(name)
    module.load_state_dict(taken, strict=False)
    return Matching(
        matched=tuple(name for name in own if name in taken and name not in parted),
        by_output=tuple(parted),
        other_shape=tuple(name for name in own if name in weights and name not in taken),
        new=tuple(name for name in own if name not in weights),
        unused=tuple(name for name in weights if name not in own),
    )


def freeze_encoder(module: Network) -> tuple[nn.Module, ...]:
    """Make the way down keep its weights; return its parts, whose norms must stay in evaluation mode too."""
    for part in module.way_down:
        part.requires_grad_(False)
    return module.way_down
