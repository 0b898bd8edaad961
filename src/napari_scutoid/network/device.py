"""What computes, on which device, in which precision, and how much memory it has left."""

from __future__ import annotations

import platform
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
BackendName = Literal["torch", "openvino"]
NAMES = {"torch": "PyTorch", "openvino": "OpenVINO"}
HOPELESS = 0.3
"""Gain of a small block below which a larger one is not tried."""
ENOUGH_S = 0.5
"""How long a block is timed."""
WORTH_IT = 1.1
"""bf16 must be this many times faster: a smaller gain is not worth its rounding."""
NO_BF16 = (
    "The settings ask for bf16, which this computer has no instructions for: the network was computed in fp32. That "
    "has more digits, so cells may differ a little from those of a computer that has bf16."
)


def choose_device(setting: str = "auto") -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda``, ``mps`` or ``xpu`` (an Intel graphics chip).

    Raises
    ------
    ScutoidError
        When a device is asked for that this machine does not have.
    """
    if setting == "xpu":
        return _intel_graphics()
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


def _intel_graphics() -> torch.device:
    from napari_scutoid.network.openvino_backend import intel_graphics

    if intel_graphics() is None:
        raise ScutoidError(
            "Device xpu cannot be used",
            "OpenVINO is not installed, or does not find an Intel graphics chip on this machine",
            "choose 'auto' or 'cpu', or install OpenVINO (pip install 'napari-scutoid[openvino]') and Intel's driver",
        )
    return torch.device("xpu")


def choose_backend(setting: str, device: torch.device, precision: str = "auto") -> tuple[BackendName, str]:
    """Return which library computes, and why, in words where it has to be told.

    Parameters
    ----------
    setting : {"auto", "torch", "openvino"}
        Auto takes OpenVINO where it is installed and a processor computes that it is made for.
    device : torch.device
    precision : {"auto", "fp32", "bf16"}
        As it is asked for. Auto does not take OpenVINO for a bf16 that it does not have there, as PyTorch may.

    Raises
    ------
    ScutoidError
        When a library is asked for that cannot compute there.
    """
    only = "openvino" if device.type == "xpu" else None if device.type == "cpu" else "torch"
    if only is not None and setting not in ("auto", only):
        raise _no_backend(setting, f"{NAMES[setting]} does not compute on the device {device.type}")
    if setting == "torch" or only == "torch":
        return "torch", ""
    problem = _problem_of_openvino(device, precision if setting == "auto" and only is None else "auto")
    if problem is None and (setting == "openvino" or only or platform.machine().lower() in ("x86_64", "amd64")):
        return "openvino", "OpenVINO is installed and computes." if setting == "auto" else ""
    if setting == "openvino" or only:
        raise _no_backend("openvino", problem or "")
    return "torch", "" if problem in (None, _MISSING) else f"PyTorch computes: {problem}."


_MISSING = "it is not installed"


def _no_backend(name: str, why: str) -> ScutoidError:
    return ScutoidError(
        f"{NAMES[name]} cannot compute this",
        why,
        "set predict.backend and predict.precision to auto; OpenVINO is installed by "
        "pip install 'napari-scutoid[openvino]'",
    )


def _problem_of_openvino(device: torch.device, precision: str) -> str | None:
    from napari_scutoid.network import openvino_backend

    if not openvino_backend.is_installed():
        return _MISSING
    try:
        if precision == "bf16" and not openvino_backend.has_bf16(device):
            return "OpenVINO has no bf16 on this device"
        openvino_backend.load()
    except (ImportError, OSError, RuntimeError) as error:
        return f"OpenVINO is installed but does not work here ({error})"
    return None


def choose_precision(
    setting: str, device: torch.device, backend: BackendName = "torch", *, cache: Path | None = None
) -> Precision:
    """Return the precision to compute in; ``auto`` takes bf16 where it is faster.

    For PyTorch that is measured. OpenVINO says whether the device has instructions for it.

    A bf16 that is stated is taken, unless this computer would imitate it step by step, in hours for minutes: then fp32
    is. A recipe travels: bf16 stands in it because the computer where its command line was copied has it, and nobody
    wants fewer digits for their own sake. fp32 is what bf16 comes close to, so the person gets the result, with
    `NO_BF16` among its warnings and fp32 in its provenance, and where the recipe came from it gives the labels of then.
    (Training refuses instead: there is nothing yet to be repeated, and its person is at hand.)

    Parameters
    ----------
    setting : {"auto", "fp32", "bf16"}
    device : torch.device
    backend : {"torch", "openvino"}
    cache : path, optional
        File that remembers measurements; by default in the user's cache folder. One that is damaged or cannot be
        written only costs measuring again.
    """
    if setting == "fp32":
        return "fp32"
    if backend == "openvino":
        from napari_scutoid.network.openvino_backend import has_bf16

        return "bf16" if has_bf16(device) else "fp32"
    if setting == "bf16":
        return "fp32" if device.type == "cpu" and known_gain(device, cache) < HOPELESS else "bf16"
    if device.type == "mps":  # its bf16 depends on the system's version, and fails rather than falls back
        return "fp32"
    return "bf16" if known_gain(device, cache) >= WORTH_IT else "fp32"


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What will compute, and why.

    Parameters
    ----------
    device : str
        ``cpu``, ``cuda``, ``mps`` or ``xpu``.
    name : str
        As a person calls it.
    free_bytes : int
        Memory of the device that can still be allocated.
    precision : {"fp32", "bf16"}
    why : str
        Why this device, this precision and this backend, in words.
    backend : {"torch", "openvino"}
        The library that computes.
    warnings : tuple of str
        What a person should know about a result that is computed so.
    """

    device: str
    name: str
    free_bytes: int
    precision: Precision
    why: str
    backend: BackendName = "torch"
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}, {self.free_bytes / 1e9:.1f} GB of memory free. {self.why}"


def describe_device(
    setting: str = "auto", precision: str = "auto", backend: str = "auto", *, cache: Path | None = None
) -> DeviceFacts:
    """Return what a prediction with these settings would compute on, and with.

    Parameters
    ----------
    setting : {"auto", "cpu", "cuda", "mps", "xpu"}
    precision : {"auto", "fp32", "bf16"}
    backend : {"auto", "torch", "openvino"}
    cache : path, optional
        As for `choose_precision`.

    Raises
    ------
    ScutoidError
        As `choose_device` and `choose_backend`.
    """
    device = choose_device(setting)
    library, note = choose_backend(backend, device, precision)
    chosen = choose_precision(precision, device, library, cache=cache)
    is_lacking = precision not in ("auto", chosen)
    if is_lacking:  # and with it what may have spoken against OpenVINO
        library, note = choose_backend(backend, device, chosen)
    digits = "16-bit" if chosen == "bf16" else "32-bit"
    if is_lacking:
        reason = "bf16, as you chose, would take hours here"
    elif precision != "auto":
        reason = "as you chose"
    elif library == "openvino":
        reason = f"this device has {'' if chosen == 'bf16' else 'no '}bf16"
    elif device.type == "mps":
        reason = "bf16 is not reliable on it"
    elif chosen == "bf16":
        reason = f"bf16 is {known_gain(device, cache):.1f} times as fast here"
    else:
        reason = "bf16 is no faster here"
    words = [f"{digits}: {reason}."]
    if setting == "auto" and device.type == "cpu":
        words.append("No graphics card that PyTorch can use was found.")
    if note:
        words.append(note)
    warnings = (NO_BF16,) if is_lacking else ()
    return DeviceFacts(device.type, _name(device), free_memory(device), chosen, " ".join(words), library, warnings)


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"Graphics card {torch.cuda.get_device_name(device)}"
    if device.type == "xpu":
        from napari_scutoid.network.openvino_backend import intel_graphics

        return f"Graphics chip {intel_graphics()}"
    return f"Processor, {torch.get_num_threads()} threads" if device.type == "cpu" else "Graphics card of this Mac"


def known_gain(device: torch.device, cache: Path | None = None) -> float:
    """Return what `bf16_gain` says; measured once per machine, see `choose_precision`."""
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
        "can't allocate memory" in message
        or "out of memory" in message
        or "not enough memory" in message
        or "bad_alloc" in message
        or "bad allocation" in message
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
