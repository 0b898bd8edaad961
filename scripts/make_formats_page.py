"""Write the tables of ``docs/formats.md`` from what the program does with files of each format, and with real ones.

python scripts/make_formats_page.py

The table of real files is left as it is where ``SCUTOID_DATA`` (default ``../shared/data``) names no folder.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from format_checks import COLUMNS, SUBJECTS, row

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.open import inspect, open_volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_scutoid.io.format import DatasetInfo

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "formats.md"
_FILES = (".mat", ".tif")
_PICTURE = "tiff/test_image_8bit.tif"
_COPIES = ("mat/epitools_v5_RegIm_wClahe_uint8.mat", "mat/epitools_v73_SegResults_8bit.mat")
_REGISTERED = "RegIm"


def formats_table() -> str:
    """Return the table of all formats, after trying each."""
    rows = []
    for subject in SUBJECTS:
        with tempfile.TemporaryDirectory() as name:
            rows.append(row(subject, Path(name)))
    return table(COLUMNS, rows)


def real_files_table(data: Path) -> str:
    """List and load every MATLAB and TIFF file below a folder; no voxel of them is shown."""
    rows = []
    for file in sorted(file for file in data.rglob("*") if file.suffix in _FILES):
        name = file.relative_to(data).as_posix()
        for info in inspect(file).datasets:
            size = "unknown" if info.voxel_size_um is None else " x ".join(f"{edge:.3g}" for edge in info.voxel_size_um)
            shape = " x ".join(map(str, info.shape))
            rows.append((name, f"`{info.path}`", shape, info.axes, info.dtype, size, info.guess, loaded(file, info)))
    return table(("file", "data set", "shape", "axes", "type", "voxel size µm", "guess", "loaded"), rows)


def loaded(file: Path, info: DatasetInfo) -> str:
    """Read all of an array, one channel and time point at a time, and say whether its shape is as listed."""
    lengths = {letter: length for letter, length in zip(info.axes, info.shape, strict=True) if letter in "TC"}
    shape = tuple(dict(zip(info.axes, info.shape, strict=True)).get(axis, 1) for axis in "ZYX")
    try:
        for time in range(lengths.get("T", 1)):
            for channel in range(lengths.get("C", 1)):
                volume = open_volume(file, info.path, time=time, channel=channel)
                if volume.data[...].shape != shape:
                    return "no"
    except ScutoidError as error:
        return f"no: {error.why}"
    return "yes"


def orientation_table(data: Path) -> str:
    """Compare the first registered picture of an epithelium in both versions of MATLAB with the TIFF of its stack.

    A projection of the stack shows the same cells. Likeness is the correlation of grey values in the square that all
    eight ways to turn and mirror it share.
    """
    projection = open_volume(data / _PICTURE).data[...].max(axis=0).astype(float)
    side = min(projection.shape)
    rows = []
    for name in _COPIES:
        picture = np.asarray(open_volume(data / name, _REGISTERED).data[0], float)[:side, :side]
        values = [
            float(np.corrcoef(projection[:side, :side].ravel(), turned.ravel())[0, 1])
            for flipped in (picture, picture.T)
            for turned in (np.rot90(flipped, turn) for turn in range(4))
        ]
        rows.append((name, f"`{_REGISTERED}`", f"{values[0]:.2f}", f"{max(values[1:]):.2f}"))
    return table(("file", "data set", "likeness as opened", "best of the seven others"), rows)


def table(columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    columns = tuple(columns)
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def part(page: str, name: str) -> str:
    """Return what stands between the marks of a part of the page."""
    found = re.search(_pattern(name), page, re.DOTALL)
    if found is None:
        raise LookupError(f"{PAGE.name} has no part {name}")
    return found[2]


def with_part(page: str, name: str, text: str) -> str:
    """Return the page with another text between the marks."""
    part(page, name)
    return re.sub(_pattern(name), lambda found: f"{found[1]}{text}{found[3]}", page, flags=re.DOTALL)


def _pattern(name: str) -> str:
    return rf"(<!-- {name} -->\n)(.*?)(\n<!-- end -->)"


def main() -> None:
    """Write the page."""
    page = with_part(PAGE.read_text(encoding="utf-8"), "formats", formats_table())
    data = Path(os.environ.get("SCUTOID_DATA") or ROOT.parent / "shared" / "data")
    if data.is_dir():
        page = with_part(page, "files", real_files_table(data))
        page = with_part(page, "orientation", orientation_table(data))
    PAGE.write_text(page, encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
