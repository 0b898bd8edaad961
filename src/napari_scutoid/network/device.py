"""Which device to compute on, in which precision, and how much memory it has left."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import torch
from torch import nn

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.measured import cache_file, machine, remembered

Precision = Literal["fp32", "bf16"]
HOPELESS = 0.3
"""Gain of a small block below which a larger one is not tried."""
ENOUGH_S = 0.5
"""How long a block is timed."""
WORTH_IT = 1.1
"""bf16 must be this many times faster: a smaller gain is not worth its rounding."""


def choose_device(setting: str = "auto") -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises
    ------
    ScutoidError
        When a device is asked for that this machine does not have.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if setting == "auto":
        setting = next(name for name, there in available.items() if there)
    if not available.get(setting, False):
        raise ScutoidError(
            f"Device {setting} cannot be used",
            "PyTorch does not find one on this machine",
            "choose 'auto' or 'cpu', or install a PyTorch built for that device",
        )
    return torch.device(setting)


def choose_precision(setting: str, device: torch.device, *, cache: Path | None = None) -> Precision:
    """Return the precision to compute in; ``auto`` takes bf16 where it was measured to be faster.

    Parameters
    ----------
    setting : {"auto", "fp32", "bf16"}
    device : torch.device
    cache : path, optional
        File that remembers measurements; by default in the user's cache folder. One that is damaged or cannot be
        written only costs measuring again.
    """
    if setting == "fp32":
        return "fp32"
    if setting == "bf16":
        return "bf16"
    if device.type == "mps":  # its bf16 depends on the system's version, and fails rather than falls back
        return "fp32"
    return "bf16" if _known_gain(device, cache) >= WORTH_IT else "fp32"


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What will compute, and why.

    Parameters
    ----------
    device : str
        ``cpu``, ``cuda`` or ``mps``.
    name : str
        As a person calls it.
    free_bytes : int
        Memory of the device that can still be allocated.
    precision : {"fp32", "bf16"}
    why : str
        Why this device and this precision, in words.
    """

    device: str
    name: str
    free_bytes: int
    precision: Precision
    why: str

    def __str__(self) -> str:
        return f"{self.name}, {self.free_bytes / 1e9:.1f} GB of memory free. {self.why}"


def describe_device(setting: str = "auto", precision: str = "auto", *, cache: Path | None = None) -> DeviceFacts:
    """Return what a prediction with these settings would compute on.

    Parameters
    ----------
    setting : {"auto", "cpu", "cuda", "mps"}
    precision : {"auto", "fp32", "bf16"}
    cache : path, optional
        As for `choose_precision`.

    Raises
    ------
    ScutoidError
        As `choose_device`.
    """
    device = choose_device(setting)
    chosen = choose_precision(precision, device, cache=cache)
    if device.type == "cuda":
        name = f"Graphics card {torch.cuda.get_device_name(device)}"
    else:
        name = f"Processor, {torch.get_num_threads()} threads" if device.type == "cpu" else "Graphics card of this Mac"
    digits = "16-bit" if chosen == "bf16" else "32-bit"
    if precision != "auto":
        reason = "as you chose"
    elif device.type == "mps":
        reason = "bf16 is not reliable on it"
    elif chosen == "bf16":
        reason = f"bf16 is {_known_gain(device, cache):.1f} times as fast here"
    else:
        reason = "bf16 is no faster here"
    words = f"{digits}: {reason}."
    if setting == "auto" and device.type == "cpu":
        words += " No graphics card that PyTorch can use was found."
    return DeviceFacts(device.type, name, free_memory(device), chosen, words)


def _known_gain(device: torch.device, cache: Path | None) -> float:
    return remembered(machine(device), lambda: bf16_gain(device), cache or cache_file("bf16_gain.json"))


def bf16_gain(device: torch.device) -> float:
    """Return how many times faster than fp32 two typical convolutions run in bf16 (takes about a second)."""
    generator = torch.Generator().manual_seed(0)
    block = nn.Sequential(nn.Conv3d(16, 32, 3, padding=1), nn.ReLU(), nn.Conv3d(32, 32, 3, padding=1))
    channels_last(block.eval().to(device))
    x = torch.rand(1, 16, 24, 32, 32, generator=generator).to(device, memory_format=torch.channels_last_3d)
    # Processors without instructions for it take a hundred times as long: a small block tells that soon enough.
    gain = _gain(block, x[..., :8, :16, :16], device)
    return gain if gain < HOPELESS else _gain(block, x, device)


def _gain(block: nn.Module, x: torch.Tensor, device: torch.device) -> float:
    seconds = {}
    for enabled in (False, True):
        times: list[float] = []
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=enabled):
            # The first pass sets kernels up; one that is slow beyond doubt needs no second opinion.
            while len(times) < 5 and sum(times) < ENOUGH_S:
                start = time.perf_counter()
                block(x)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                times.append(time.perf_counter() - start)
        seconds[enabled] = min(times[1:] or times)
    return seconds[False] / seconds[True]


def channels_last(module: nn.Module) -> None:
    """Lay a network's weights out with channels last, as the fast 3D convolutions want them."""
    module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # torch's overloads lack it


def free_memory(device: torch.device) -> int:
    """Return the bytes that can still be allocated on a device, within the limit of a container or cluster job."""
    if device.type == "cuda":
        reusable = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + reusable
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    available = int(psutil.virtual_memory().available)
    left = _left_in_cgroup()
    return available if left is None else min(available, left)


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out; on the CPU torch raises a plain RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in message or "out of memory" in message or "not enough memory" in message
    )


def _left_in_cgroup(membership: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes left to this process's control group and its parents (Linux, version 2); None without a limit."""
    try:
        group = membership.read_text(encoding="ascii").strip().rpartition("::")[2].strip("/")
    except (OSError, ValueError):
        return None
    folder = root / group
    left = [_left_in(level) for level in (folder, *folder.parents) if level.is_relative_to(root)]
    return min((room for room in left if room is not None), default=None)


def _left_in(folder: Path) -> int | None:
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        statistics = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        # Files that were read and are no longer needed count as used, but give way at once.
        reclaimable = sum(int(line.split()[1]) for line in statistics if line.startswith("inactive_file "))
        return None if limit == "max" else max(0, int(limit) - used + reclaimable)
    except (OSError, ValueError):
        return None
