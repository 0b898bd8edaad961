"""How long a network takes for a voxel on this machine."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.network.backends import make_backend
from napari_scutoid.network.device import choose_device
from napari_scutoid.network.measured import TIMES_HOLD_S, cache_file, machine, remembered
from napari_scutoid.network.tiles import round_up
from napari_scutoid.network.unet import build
from napari_scutoid.recipe import Predict

if TYPE_CHECKING:
    from pathlib import Path

    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.network.device import DeviceFacts

BLOCK = {"cpu": (32, 64, 64), "mps": (64, 128, 128), "xpu": (64, 128, 128), "cuda": (64, 160, 160)}
"""Voxels of the pass that is timed: a graphics card is not busy with less."""
SHORT = 1.0
"""Seconds; so short a pass is repeated, as anything may have come between."""


def seconds_per_voxel(config: ModelConfig, facts: DeviceFacts, *, cache: Path | None = None) -> float:
    """Return the seconds that a model takes for a voxel of a pass, margins being voxels as well.

    A small pass of a network of the same shape is timed, once per machine, device, precision and backend.

    Parameters
    ----------
    config : ModelConfig
    facts : DeviceFacts
        Where, in which precision, and by what.
    cache : path, optional
        File that remembers it; by default in the user's cache folder.
    """
    network = f"{config.architecture.model_dump_json()} {len(config.outputs)}"
    digest = hashlib.sha256(network.encode()).hexdigest()[:16]
    key = " | ".join((machine(choose_device(facts.device)), facts.precision, facts.backend, digest))
    file = cache or cache_file("seconds_per_voxel.json")
    return remembered(key, lambda: _timed(config, facts), file, again_after_s=TIMES_HOLD_S)


def _timed(config: ModelConfig, facts: DeviceFacts) -> float:
    # What the weights are does not matter for the time, and the model's own take a file to read.
    module = build(config.architecture, len(config.outputs)).eval()
    settings = {"device": facts.device, "precision": facts.precision, "backend": facts.backend}
    backend, _ = make_backend(module, config, Predict.model_validate(settings))
    channels, multiple = config.architecture.in_channels, config.architecture.multiple
    shape = round_up(BLOCK[facts.device], multiple)
    tiles = np.zeros((1, channels, *shape), np.float32)
    kept = (slice(None), slice(None), slice(None))
    times: list[float] = []
    while len(times) < 3 and not (len(times) == 2 and times[-1] > SHORT):
        start = time.perf_counter()
        backend(tiles, kept)
        times.append(time.perf_counter() - start)
    # The first one also loads and prepares.
    return float(min(times[1:]) / np.prod(shape))
