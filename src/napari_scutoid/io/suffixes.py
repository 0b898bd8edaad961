"""How the names of files end: for help texts and dialogs, which must not load the libraries behind the formats.

What is read is decided by content alone; only dialogs need to know what such files are usually called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HDF5 = (".h5", ".hdf5", ".hdf")
MATLAB = (".mat",)
TIFF = (".tif", ".tiff")
OME_ZARR = (".zarr",)

WRITTEN: Mapping[str, tuple[str, ...]] = {"HDF5": HDF5, "MATLAB 7.3": MATLAB, "TIFF": TIFF, "OME-Zarr": OME_ZARR}
"""Formats that are written, and the endings that ask for them, the usual one first."""

READ_FILES = (*MATLAB, *HDF5, *TIFF, ".lsm", ".zip")
"""Endings of the files that are read. OME-Zarr is a folder, or a ``.zip`` of one."""

USUAL = ", ".join(suffixes[0] for suffixes in WRITTEN.values())
"""One ending for each format, for a sentence. Each is read and written."""


def open_filter() -> str:
    """Return the choices of a dialog that opens a stack, as Qt wants them."""
    return f"Stacks ({_patterns(READ_FILES)});;All files (*)"


def save_filters() -> Mapping[str, str]:
    """Return the choices of a dialog that saves a result, as Qt wants them, each with the ending that it stands for."""
    return {f"{name} ({_patterns(suffixes)})": suffixes[0] for name, suffixes in WRITTEN.items()}


def with_suffix(name: str, usual: str) -> str:
    """Return a name that ends in what is written: as it is where it does, else with an ending added.

    Examples
    --------
    >>> with_suffix("gland.TIF", ".h5"), with_suffix("gland 2.1", ".h5")
    ('gland.TIF', 'gland 2.1.h5')
    """
    known = tuple(suffix for suffixes in WRITTEN.values() for suffix in suffixes)
    return name if name.lower().endswith(known) else name + usual


def _patterns(suffixes: Iterable[str]) -> str:
    return " ".join(f"*{suffix}" for suffix in suffixes)
