"""Several processes that train one network: what they must agree on.

``torchrun`` starts the processes and says in the environment who they are. Gradients are averaged by
`torch.nn.parallel.DistributedDataParallel`; this module is about all the rest.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import distributed

from napari_scutoid.network.device import choose_device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a run, seen from one of them.

    Parameters
    ----------
    rank : int
        Of this process; the first one, 0, scores and saves.
    count : int
        How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process scores and saves."""
        return self.rank == 0

    def mean(self, value: float) -> float:
        """Return the mean of a number over all processes."""
        if self.count == 1:
            return value
        together = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(together)
        return together.item() / self.count

    def first_says(self, value: float) -> float:
        """Return the number that the first process has."""
        if self.count == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64)
        distributed.broadcast(told, 0)
        return told.item()

    def share(self, numbers: range) -> range:
        """Return this process's part of the samples of a step."""
        each = len(numbers) // self.count
        return numbers[self.rank * each : (self.rank + 1) * each]

    def together(self, module: nn.Module) -> nn.Module:
        """Return the network that averages its gradients over all processes in the backward pass."""
        if self.count == 1:
            return module
        return torch.nn.parallel.DistributedDataParallel(module)


ALONE = Processes()


@contextmanager
def joined(device: str = "cpu") -> Iterator[Processes]:
    """Join the other processes that ``torchrun`` started, if it did, and leave them at the end.

    Numbers are exchanged over gloo, which runs everywhere; gradients on a GPU go over NCCL, and each process of a
    machine takes the next of its GPUs.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network is.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    on_gpu = choose_device(device).type == "cuda"
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
