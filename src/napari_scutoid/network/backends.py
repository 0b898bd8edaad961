"""What computes a network, behind one interface."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.device import choose_device, describe_device
from napari_scutoid.network.torch_backend import TorchBackend

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.network.device import DeviceFacts
    from napari_scutoid.recipe import Predict


class Backend(Protocol):
    """A network that is ready to compute tiles. All of one size are fastest: a new size may be prepared for."""

    def __call__(self, tiles: NDArray[np.float32], kept: tuple[slice, slice, slice], /) -> NDArray[np.float32]:
        """Return the probabilities of a batch of tiles.

        Parameters
        ----------
        tiles : ndarray of float32, shape (n, c, z, y, x)
            Normalised intensities, contiguous; z, y and x are multiples of the network's pooling.
        kept : tuple of three slices
            The part of a tile along z, y, x of which they are wanted.

        Returns
        -------
        ndarray of float32, shape (n, n_outputs, z, y, x)
            Of the kept part; an array of its own.

        Raises
        ------
        MemoryError
            When the memory does not suffice for the tiles, on any device.
        """


def make_backend(module: nn.Module, config: ModelConfig, settings: Predict) -> tuple[Backend, DeviceFacts]:
    """Return what computes a network with these settings, and what is to be told about it.

    Parameters
    ----------
    module : torch.nn.Module
        It is not changed.
    config : ModelConfig
        Its configuration.
    settings : Predict
        Device, precision and backend. A backend that was chosen by itself gives way to PyTorch where it cannot compute
        this network, and the facts say why.

    Raises
    ------
    ScutoidError
        When the device does not exist, or what was asked for cannot compute this network.
    """
    facts = describe_device(settings.device, settings.precision, settings.backend)
    device = choose_device(facts.device)
    if facts.backend == "openvino":
        from napari_scutoid.network.openvino_backend import NotConverted, OpenVinoBackend

        try:
            return OpenVinoBackend(module, config, device, facts.precision), facts
        except NotConverted as error:
            if settings.backend == "openvino" or device.type not in ("cpu", "cuda", "mps"):
                raise ScutoidError(
                    f"OpenVINO cannot compute the model {config.name}",
                    str(error),
                    "let PyTorch compute it (predict.backend: torch, on the processor)",
                ) from error
            instead = describe_device(settings.device, settings.precision, "torch")
            facts = replace(instead, why=f"{instead.why} OpenVINO cannot compute this model: {error}.")
    return TorchBackend(module, config.outputs, device, facts.precision), facts
