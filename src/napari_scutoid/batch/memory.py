"""The most memory that this process has had since some moment."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class PeakMemory:
    """Resident memory of the whole process, at its highest since this was made.

    Linux keeps that number and lets it be set back, so it is exact there. Elsewhere the system knows only the highest
    since the process began, which counts where it has risen meanwhile; where it has not, the highest that `look` saw
    counts, which may miss a short peak. Memory of a graphics card is not in it; all else in the process is, so that in
    napari it includes napari and its layers.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._is_reset = _reset()
        self._before = _highest_ever()
        self._seen = 0
        self.look()

    def look(self) -> None:
        """Note the memory of this moment."""
        self._seen = max(self._seen, int(self._process.memory_info().rss))

    def value(self) -> int:
        """Return the bytes."""
        self.look()
        highest = _highest_since_reset() if self._is_reset else _highest_ever()
        return max(self._seen, highest) if self._is_reset or highest > self._before else self._seen


def _reset() -> bool:
    try:
        _RESET.write_text("5", encoding="ascii")
    except OSError:
        return False
    return _highest_since_reset() > 0


def _highest_since_reset() -> int:
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def _highest_ever() -> int:
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    # Bytes on macOS, KiB elsewhere.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
