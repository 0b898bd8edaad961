"""Which graphics cards this process may use."""

from __future__ import annotations

import os

import torch


def cards() -> tuple[str, ...]:
    """Return each card as ``CUDA_VISIBLE_DEVICES`` names it, so that a process of its own can be given one."""
    number = torch.cuda.device_count()
    stated = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return tuple(stated[:number]) if stated else tuple(map(str, range(number)))
