"""Find out in another process whether a damaged file crashes the HDF5 library, which would take this one down.

``python -m napari_scutoid.io.probe FILE SECONDS`` lists a file as this program does and reads a little of each array.
What becomes of that process tells whether the file may be opened in this one. It costs a fraction of a second the first
time that a process opens a file (``python benchmarks/probe.py`` prints how much); ``SCUTOID_PROBE=off`` in the
environment saves it where all files are known to be good.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from napari_scutoid.errors import ScutoidError

if TYPE_CHECKING:
    import psutil

SWITCH = "SCUTOID_PROBE"
"""Environment variable: ``off`` trusts every file."""

CPU_SECONDS = 5
"""For one array or group. Good ones take milliseconds; time spent waiting for a slow disk does not count."""

MOST_CPU_SECONDS = 120
"""For the whole file, where a process cannot limit itself (Windows): a file may have thousands of arrays."""

MEMORY_BYTES = 2**31
"""Headers and the few chunks that are read fit into it many times over."""

_MOST_ARRAYS = 16
_MOST_BYTES = 8 * 2**20
_POLL_SECONDS = 0.5
_OUT_OF_MEMORY = 3
# SIGXCPU on Linux and macOS; Windows has none.
_OUT_OF_TIME = 24
_FIRST_WINDOWS_EXCEPTION = 0xC0000000


def check_survivable(file: Path) -> None:
    """Refuse a file that crashes the HDF5 library; each file is tried once as long as it does not change.

    Parameters
    ----------
    file : Path
        Any HDF5 file, MATLAB 7.3 included.

    Raises
    ------
    ScutoidError
        When the library crashes, never ends, or fills the memory. Files with other faults pass: opening them tells
        better what is wrong.
    """
    if os.environ.get(SWITCH, "").lower() == "off" or not sys.executable:
        return
    about = file.stat()
    fate = _fate(os.path.abspath(file), about.st_size, about.st_mtime_ns)
    if fate is not None:
        raise ScutoidError(
            f"{file} could not be opened",
            f"its content is damaged: {fate}",
            "copy it again from its source",
        )


@functools.lru_cache(maxsize=4096)
def _fate(path: str, size: int, modified_ns: int) -> str | None:
    """Open a file in another process; `size` and `modified_ns` tell when it has to be done anew."""
    import subprocess

    import psutil

    silent = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    try:
        process = psutil.Popen(
            _command(path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=silent,
        )
    except OSError:
        # Where no process can be started, the file is opened as it was before there was a probe.
        return None
    try:
        return _judge(_status(process))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _command(path: str) -> list[str]:
    # -P keeps modules that lie in the working folder out of the import path.
    return [sys.executable, "-P", "-m", "napari_scutoid.io.probe", path, str(CPU_SECONDS)]


def _status(process: psutil.Popen) -> int | None:
    """Wait for the end of a process; None when it has used up its time."""
    import psutil

    while True:
        try:
            return int(process.wait(_POLL_SECONDS))
        except psutil.TimeoutExpired:
            with contextlib.suppress(psutil.Error):
                used = process.cpu_times()
                if used.user + used.system > MOST_CPU_SECONDS:
                    return None


def _judge(status: int | None) -> str | None:
    if status is None or status == -_OUT_OF_TIME:
        return "reading it never ends"
    if status == _OUT_OF_MEMORY:
        return f"reading its headers takes more than {MEMORY_BYTES // 2**30} GiB of memory"
    if status < 0 or status >= _FIRST_WINDOWS_EXCEPTION:
        return "reading it crashes the HDF5 library"
    return None


def main(file: Path, seconds: int = CPU_SECONDS) -> None:
    """List a file and read a few voxels of its first arrays, whatever comes of it.

    Parameters
    ----------
    file : Path
        An HDF5 file.
    seconds : int
        Of the processor's time, for each array.
    """
    from napari_scutoid.io.guess import guess
    from napari_scutoid.io.hdf5 import HDF5
    from napari_scutoid.io.lazy import LazyArray
    from napari_scutoid.io.mat import Mat73

    _limit_memory()
    go_on = functools.partial(_limit_time, seconds)
    go_on()
    with file.open("rb") as stream:
        head = stream.read(128)
    file_format = next(one for one in (Mat73(), HDF5()) if one.recognises(file, head) or type(one) is HDF5)
    for array in file_format.list(file, go_on).arrays[:_MOST_ARRAYS]:
        go_on()
        with contextlib.suppress(ScutoidError):
            data = LazyArray(file_format.read(file, array), array.order, name=array.path)
            if array.nbytes <= _MOST_BYTES:
                guess(array, functools.partial(lambda one: one, data))
            if math.prod(data.chunks or (1,)) * data.dtype.itemsize <= _MOST_BYTES:
                data[tuple(length // 2 for length in data.shape)]


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        import psutil

        limit = psutil.Process().memory_info().vms + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _limit_time(seconds: int) -> None:
    """Let the system end this process (SIGXCPU) unless this is called again in time."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        limit = math.ceil(time.process_time()) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(sys.argv[2]))
    except MemoryError:
        sys.exit(_OUT_OF_MEMORY)
    except ScutoidError:
        pass
