"""OpenVINO computes: on a processor or an Intel graphics chip, from the same network and weights.

https://docs.openvino.ai: "Converting a PyTorch Model", "Precision Control", "CPU Device".
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from napari_scutoid.network.device import out_of_memory
from napari_scutoid.network.torch_backend import fold_batch_norm
from napari_scutoid.network.unet import UNet3D, activate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.network.config import ModelConfig, Output
    from napari_scutoid.network.device import Precision

PLACES = {"cpu": "CPU", "xpu": "GPU"}
"""OpenVINO's names of devices, by torch's types."""
HINTS = {"fp32": "f32", "bf16": "bf16"}
"""Its names of precisions. Always stated: left alone, it takes bf16 or f16 wherever the device has it."""
TOLERANCE = {"fp32": 1e-4, "bf16": 0.05}
"""By how much its probabilities may differ from PyTorch's in single precision."""
_REPORTS = "openvino_telemetry"


class NotConverted(Exception):
    """OpenVINO cannot compute a network; the message says why."""


def is_installed() -> bool:
    """Whether there is OpenVINO, without loading it."""
    return importlib.util.find_spec("openvino") is not None


def load() -> Any:
    """Import OpenVINO without what reports each import and each conversion to its maker over the network.

    Raises
    ------
    ImportError, OSError
        Where it is not installed, or its libraries do not fit this system.
    """
    if _REPORTS not in sys.modules:
        sys.modules[_REPORTS] = None  # type: ignore[assignment]  # how Python is told that a module cannot be imported
    return importlib.import_module("openvino")


def has_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16."""
    return "BF16" in load().Core().get_property(PLACES[device.type], "OPTIMIZATION_CAPABILITIES")


def intel_graphics() -> str | None:
    """Return the name of the Intel graphics chip; None where OpenVINO finds none, or is not there itself."""
    if not is_installed():
        return None
    try:
        core = load().Core()
        found = any(name.startswith(PLACES["xpu"]) for name in core.available_devices)
        return str(core.get_property(PLACES["xpu"], "FULL_DEVICE_NAME")) if found else None
    except (ImportError, OSError, RuntimeError):  # a driver that does not answer is as good as none
        return None


class OpenVinoBackend:
    """A network compiled for one size of tile; see `backends.Backend`.

    A new size compiles it again, which takes about as long as a tile of half a million voxels. Compiled networks are
    not kept on the disk: that would spare less than it costs to make sure that they are the right ones.

    Parameters
    ----------
    module : torch.nn.Module
        It is not changed.
    config : ModelConfig
    device : torch.device
    precision : {"fp32", "bf16"}

    Raises
    ------
    NotConverted
        When OpenVINO does not know an operation of the network, or computes something else.
    ImportError, OSError
        See `load`.
    """

    def __init__(self, module: nn.Module, config: ModelConfig, device: torch.device, precision: Precision) -> None:
        self.compiled = 0
        self._place = PLACES[device.type]
        self._settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
        if device.type == "cpu":
            # Threads that are pinned to cores would be to the same ones in each of several programs or workers.
            self._settings |= {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "ENABLE_CPU_PINNING": False}
        self._core = load().Core()
        self._shape: tuple[int, ...] = ()
        self._request: Any = None
        network = fold_batch_norm(module)
        if isinstance(network, UNet3D):
            network.take_apart()
        try:
            self._model = _converted(_Probabilities(network, config.outputs), _sample(config, 2))
            self._check(network, config, TOLERANCE[precision])
        except (NotConverted, MemoryError):
            raise
        except Exception as error:  # whatever the two libraries raise over what they do not know
            raise NotConverted(_first_line(error)) from error

    def __call__(self, tiles: NDArray[np.float32], kept: tuple[slice, slice, slice]) -> NDArray[np.float32]:
        """Return the probabilities of a batch of tiles; see `backends.Backend`."""
        try:
            result = self._compiled_for(tiles.shape).infer([tiles], share_inputs=True, share_outputs=True)[0]
            return np.array(result[(..., *kept)], dtype=np.float32)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        self._shape, self._request = (), None
        raise MemoryError(f"a pass of {tiles.shape[2:]} voxels does not fit")

    def _compiled_for(self, shape: tuple[int, ...]) -> Any:
        if shape != self._shape:
            self._shape, self._request = (), None  # two at once would take the memory of both
            self._model.reshape(list(shape))
            self._request = self._core.compile_model(self._model, self._place, self._settings).create_infer_request()
            self._shape = shape
            self.compiled += 1
        return self._request

    def _check(self, network: nn.Module, config: ModelConfig, tolerance: float) -> None:
        sample = _sample(config, 3)  # of another size, as a size may have been taken for a constant
        with torch.inference_mode():
            expected = activate(network(sample), config.outputs).numpy()
        got = self(sample.numpy(), (slice(None),) * 3)
        if got.shape != expected.shape:
            raise NotConverted(f"it gives {got.shape} instead of {expected.shape}")
        difference = float(np.abs(got - expected).max())
        if not difference <= tolerance:
            raise NotConverted(f"its probabilities differ by {difference:.2g}")


class _Probabilities(nn.Module):
    """A network with the activations of its outputs, as `unet.activate` but without writing into an array."""

    def __init__(self, network: nn.Module, outputs: Sequence[Output]) -> None:
        super().__init__()
        self.network = network
        self.outputs = tuple(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return probabilities (b, n, z, y, x)."""
        logits = self.network(x)
        exclusive = [index for index, output in enumerate(self.outputs) if output.activation == "softmax"]
        if not exclusive:
            return torch.sigmoid(logits)
        together = torch.softmax(torch.cat([logits[:, index : index + 1] for index in exclusive], dim=1), dim=1)
        channels = [
            together[:, exclusive.index(index)].unsqueeze(1)
            if index in exclusive
            else torch.sigmoid(logits[:, index : index + 1])
            for index in range(len(self.outputs))
        ]
        return torch.cat(channels, dim=1)


def _sample(config: ModelConfig, times: int) -> torch.Tensor:
    """Return noise, so many times as large as the pooling."""
    sides = (times * step for step in config.architecture.multiple)
    return torch.randn(1, config.architecture.in_channels, *sides, generator=torch.Generator().manual_seed(0))


def _converted(network: nn.Module, sample: torch.Tensor) -> Any:
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    with warnings.catch_warnings():
        # That sizes become constants (they are multiples of the pooling whatever the tile), and that the way by which
        # OpenVINO takes networks over will be replaced.
        warnings.simplefilter("ignore")
        # Traced here: by itself, OpenVINO has PyTorch check the trace, which takes ten times as long as the rest.
        traced = torch.jit.trace(network, sample, check_trace=False)  # type: ignore[no-untyped-call]
        return load().convert_model(traced)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]
