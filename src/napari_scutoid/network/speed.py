"""How long a network takes for a voxel on this machine."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_scutoid.network.device import choose_device
from napari_scutoid.network.measured import TIMES_HOLD_S, cache_file, machine, remembered
from napari_scutoid.network.predict import predict
from napari_scutoid.network.unet import build
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Predict

if TYPE_CHECKING:
    from pathlib import Path

    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.network.device import DeviceFacts

SMALL = (16, 32, 32)
"""Voxels of the first pass, which only loads what the library loads."""
BLOCK = {"cpu": (32, 64, 64), "mps": (64, 128, 128), "cuda": (64, 160, 160)}
"""Voxels of the pass that is timed: a graphics card is not busy with less."""
SHORT = 1.0
"""Seconds; so short a pass is repeated, as anything may have come between."""


def seconds_per_voxel(config: ModelConfig, facts: DeviceFacts, *, cache: Path | None = None) -> float:
    """Return the seconds that a model takes for a voxel of a pass, margins being voxels as well.

    A small pass of a network of the same shape is timed, once per machine, device and precision.

    Parameters
    ----------
    config : ModelConfig
    facts : DeviceFacts
        Where and in which precision.
    cache : path, optional
        File that remembers it; by default in the user's cache folder.
    """
    network = f"{config.architecture.model_dump_json()} {len(config.outputs)}"
    digest = hashlib.sha256(network.encode()).hexdigest()[:16]
    key = " | ".join((machine(choose_device(facts.device)), facts.precision, digest))
    file = cache or cache_file("seconds_per_voxel.json")
    return remembered(key, lambda: _timed(config, facts), file, again_after_s=TIMES_HOLD_S)


def _timed(config: ModelConfig, facts: DeviceFacts) -> float:
    # What the weights are does not matter for the time, and the model's own take a file to read.
    module = build(config.architecture, len(config.outputs)).eval()
    settings = Predict.model_validate({"device": facts.device, "precision": facts.precision, "gate": "off"})
    times: list[float] = []
    for shape in (SMALL, BLOCK[facts.device], BLOCK[facts.device]):
        if len(times) == 2 and times[-1] > SHORT:
            break
        data = np.zeros(shape, np.float32)
        start = time.perf_counter()
        drain(predict(module, config, data, _AsItIs(), settings))
        if facts.device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return float(min(times[1:]) / np.prod(BLOCK[facts.device]))


class _AsItIs:
    """No normalisation."""

    def apply(self, block: Any, /) -> Any:
        """Return the block."""
        return block
