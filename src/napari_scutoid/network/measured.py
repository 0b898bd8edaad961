"""Numbers that were measured on this machine, kept in the user's cache folder so that they are measured once."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from typing import TYPE_CHECKING

import torch
from platformdirs import user_cache_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def remembered(key: str, measure: Callable[[], float], file: Path, *, again_after_s: float | None = None) -> float:
    """Return what was measured before, or measure it and write it down.

    Parameters
    ----------
    key : str
        What it holds for, see `machine`.
    measure : callable
    file : path
        See `cache_file`. One that is damaged or cannot be written only costs measuring again.
    again_after_s : float, optional
        For times: once what is remembered is that old, measure again and keep the shorter one. The first may have been
        taken while other programs ran, and would be wrong for ever.
    """
    numbers = _read(file)
    if key not in numbers:
        numbers[key] = measure()
        _write(file, numbers)
    elif again_after_s is not None and _age_s(file) > again_after_s:
        numbers[key] = min(numbers[key], measure())
        _write(file, numbers)
    return numbers[key]


TIMES_HOLD_S = 3600.0
"""After so long, a time is measured again."""


def cache_file(name: str) -> Path:
    """Return a file in the user's cache folder."""
    return user_cache_path("napari-scutoid", appauthor=False) / name


def machine(device: torch.device) -> str:
    """Name what a measurement holds for: home folders are shared by machines that differ."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    threads = "" if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return " | ".join((platform.node(), device.type, name, f"torch {torch.__version__}", threads))


def _age_s(file: Path) -> float:
    try:
        return time.time() - file.stat().st_mtime
    except OSError:
        return 0.0


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
