"""Numbers that were measured on this machine, kept in the user's cache folder so that they are measured once."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from typing import TYPE_CHECKING

import torch
from platformdirs import user_cache_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def remembered(key: str, measure: Callable[[], float], file: Path) -> float:
    """Return what was measured before, or measure it and write it down.

    Parameters
    ----------
    key : str
        What it holds for, see `machine`.
    measure : callable
    file : path
        See `cache_file`. One that is damaged or cannot be written only costs measuring again.
    """
    numbers = _read(file)
    if key not in numbers:
        numbers[key] = measure()
        _write(file, numbers)
    return numbers[key]


def cache_file(name: str) -> Path:
    """Return a file in the user's cache folder."""
    return user_cache_path("napari-scutoid", appauthor=False) / name


def machine(device: torch.device) -> str:
    """Name what a measurement holds for: home folders are shared by machines that differ."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    threads = "" if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return " | ".join((platform.node(), device.type, name, f"torch {torch.__version__}", threads))


def _read(file: Path) -> dict[str, float]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {key: float(value) for key, value in content.items() if isinstance(value, int | float)}


def _write(file: Path, numbers: dict[str, float]) -> None:
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(numbers, indent=2), encoding="utf-8")
        os.replace(part, file)
    except OSError:  # a read-only home: measured again next time
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
