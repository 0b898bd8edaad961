"""A network small enough to compute in a moment, as tests of prediction need it."""

from __future__ import annotations

import torch
from torch import nn

from napari_scutoid.network.config import Architecture, ModelConfig
from napari_scutoid.network.unet import build

TINY = ((2, 3), (3, 4))


def model(outputs=None, **settings):
    """Return a network whose batch norms hold statistics of their own, and its configuration."""
    torch.manual_seed(1)
    config = ModelConfig(name="tiny", architecture=Architecture(**{"plan": TINY} | settings))
    if outputs is not None:
        config = config.model_copy(update={"outputs": outputs})
    module = build(config.architecture, len(config.outputs))
    for part in module.modules():
        if isinstance(part, nn.BatchNorm3d):
            nn.init.uniform_(part.running_mean, -0.2, 0.2)
            nn.init.uniform_(part.running_var, 0.5, 2)
    return module.eval(), config
