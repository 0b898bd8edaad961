"""`scutoid convert`: size, time and memory of the compact rewrite, on a pair of doubles and on the shared gland.

The pair is what a laboratory's HDF5 and MATLAB files hold: an image of whole numbers and its labels, both in double
precision; its cells are bent blocks, its noise is a camera's. Every number is compared after the rewrite. Times to read
are of all blocks of all arrays, with the file in the computer's cache. Memory is the most that a fresh process held.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from _common import Row, answer, in_fresh_process, parser, peak_rss, show, write_json

from napari_scutoid.io.convert import Choice, convert
from napari_scutoid.io.mat import MATLAB_TEXT
from napari_scutoid.io.open import inspect, open_volume
from napari_scutoid.io.output import block_keys
from napari_scutoid.progress import drain

if TYPE_CHECKING:
    from napari_scutoid.volume import Volume

REPOSITORY = Path(__file__).resolve().parent.parent
NAMES = ("imageSequenceInterpolated", "labelledImage3D")
GLAND = "gland_hdf5_without_matlab_header.mat"
CELL = (16, 32, 32)
COLUMNS = {
    "source": "s",
    "target": "s",
    "mib_before": ".1f",
    "mib_after": ".1f",
    "times_smaller": ".1f",
    "convert_s": ".1f",
    "read_before_s": ".2f",
    "read_after_s": ".2f",
    "peak_rss_mib": ".0f",
    "equal": "s",
}


def write_pair(path: Path, shape: tuple[int, int, int]) -> None:
    """Write image and labels in double precision: plain HDF5, or as MATLAB does, in reversed order and packed."""
    rng = np.random.default_rng(0)
    matlab = path.suffix == ".mat"
    stored = (shape[0], shape[2], shape[1])
    settings: dict[str, Any] = {"chunks": (1, 128, 128), "compression": "gzip", "compression_opts": 3} if matlab else {}
    with h5py.File(path, "w", userblock_size=512 if matlab else 0) as file:
        arrays = [file.create_dataset(name, stored if matlab else shape, "f8", **settings) for name in NAMES]
        y, x = np.arange(shape[1])[:, np.newaxis], np.arange(shape[2])
        down, across = (length // side + 2 for length, side in zip(shape[1:], CELL[1:], strict=True))
        for z in range(shape[0]):
            rows, columns = y + 4 + 4 * np.sin(x / 13 + z / 7), x + 4 + 4 * np.sin(y / 11 + z / 5)
            labels = 1 + columns // CELL[2] + across * (rows // CELL[1] + down * (z // CELL[0]))
            wall = (columns % CELL[2] < 2) | (rows % CELL[1] < 2)
            image = rng.poisson(np.where(wall, 3000, 300)).astype(float)
            for array, plane in zip(arrays, (image, labels), strict=True):
                array[z] = plane.T if matlab else plane
        if matlab:
            for array in arrays:
                array.attrs["MATLAB_class"] = np.bytes_("double")
    if matlab:
        with path.open("r+b") as stream:
            stream.write(MATLAB_TEXT.replace(b"napari-scutoid", b"MATLAB").ljust(116) + bytes(8) + b"\x00\x02IM")


def read_all(volumes: list[Volume]) -> float:
    """Return the seconds that reading all blocks takes."""
    start = time.perf_counter()
    for volume in volumes:
        for key in block_keys(volume.data):
            np.asarray(volume.data[key])
    return time.perf_counter() - start


def size_of(path: Path, dataset: str | None = None) -> int:
    """Return the bytes of a file, of one data set of it, or of all files in a folder."""
    if dataset is not None:
        with h5py.File(path) as file:
            return int(file[dataset].id.get_storage_size())
    return sum(part.stat().st_size for part in (path.rglob("*") if path.is_dir() else (path,)) if part.is_file())


def run_case(case: Row) -> Row:
    """Convert one file, or read two and compare them, in this process."""
    source, target, axes = Path(case["source"]), Path(case["target"]), case["axes"]
    if case["job"] == "convert":
        start = time.perf_counter()
        done = drain(convert(source, target, Choice(dataset=case["dataset"], axes=axes)))
        seconds = time.perf_counter() - start
        names = {one.dataset: one.name for one in done.written}
        return {"convert_s": seconds, "peak_rss_mib": peak_rss() / 2**20, "names": names}
    before = [
        open_volume(source, name, axes=axes, channel=0 if "C" in (axes or "") else None) for name in case["names"]
    ]
    # OME-Zarr has its own names for the arrays in a folder.
    found = [one.path for one in inspect(target).datasets]
    after = [open_volume(target, name if name in found else found[0]) for name in case["names"].values()]
    equal = all(
        np.array_equal(old.data[key], new.data[key])
        for old, new in zip(before, after, strict=True)
        for key in block_keys(old.data)
    )
    return {"read_before_s": read_all(before), "read_after_s": read_all(after), "equal": "yes" if equal else "NO"}


def compare(name: str, source: Path, target: Path, *, dataset: str | None = None, axes: str | None = None) -> Row:
    """Return one row of the table."""
    case = {"source": str(source), "target": str(target), "axes": axes, "dataset": dataset}
    row = in_fresh_process(__file__, case | {"job": "convert"})
    row |= in_fresh_process(__file__, case | {"job": "compare", "names": row.pop("names")})
    before, after = size_of(source, dataset) / 2**20, size_of(target) / 2**20
    sizes = {"mib_before": before, "mib_after": after, "times_smaller": before / after}
    return {"source": name, "target": target.suffix, **sizes, **row}


def main() -> None:
    arguments = parser(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    if arguments.case:
        answer(run_case(json.loads(arguments.case)))
        return
    shape = (32, 256, 256) if arguments.quick else (234, 1024, 1024)
    rows = []
    with tempfile.TemporaryDirectory(prefix="scutoid-convert-") as folder:
        data = Path(os.environ.get("SCUTOID_DATA") or REPOSITORY.parent / "shared" / "data")
        if (data / "mat" / GLAND).exists():
            rows.append(compare("gland (image)", data / "mat" / GLAND, Path(folder, "gland.h5"), axes="CXYZ"))
        for suffix, targets in ((".h5", (".h5", ".mat")), (".mat", (".h5",))):
            pair = Path(folder, f"pair{suffix}")
            write_pair(pair, shape)
            for target in targets:
                rows.append(compare(f"pair {suffix}", pair, Path(folder, f"out{target}")))
            for name in NAMES if suffix == ".h5" else ():
                for target in (".tif", ".zarr"):
                    rows.append(compare(f"pair {suffix}: {name}", pair, Path(folder, f"{name}{target}"), dataset=name))
            pair.unlink()
    title = f"Compact rewrite of {' x '.join(map(str, shape))} doubles"
    show(title, rows, COLUMNS)
    write_json(arguments.json, title, rows)


if __name__ == "__main__":
    main()
