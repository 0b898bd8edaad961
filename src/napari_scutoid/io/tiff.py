"""TIFF, BigTIFF, OME-TIFF and ImageJ hyperstacks, read plane by plane.

Axes are those that the file states: OME-XML, ImageJ's description, tifffile's own, or Zeiss LSM. A plain series of
planes is taken for slices, which may be wrong, so that ``--time`` and ``--channel`` stay open. Axes of length one are
listed where the file names them; OME-XML always names time and channel, so that there only longer ones count.

The voxel size is known only where all three edges are: an ImageJ file without ``spacing`` has no z step. ImageJ writes
none for a step of exactly 1, and none for a stack that nobody calibrated along z, and the file does not tell which.
"""

from __future__ import annotations

import itertools
import json
import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io import ome
from napari_scutoid.io.format import Listing, StoredArray, checked_voxel_size
from napari_scutoid.io.hdf5 import damaged
from napari_scutoid.io.provenance import checked_provenance
from napari_scutoid.io.tiff_planes import PlaneArray, Series, check_compression, load_tifffile, tifffile_errors
from napari_scutoid.io.tiff_structure import DESCRIPTION, SIGNATURES, SOFTWARE, Page, pages_of
from napari_scutoid.io.units import micrometres

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import tifffile

    from napari_scutoid.volume import VoxelSize

OUR_SOFTWARE = "napari-scutoid"
"""Tag ``Software`` of what this program writes. Fiji drops it when it saves, as it should: the file is then its own."""

# Dialects of slide scanners and of files that point to others; without them such a file is a plain series of planes.
_NOT_INTERPRETED = {
    "ome", "mmstack", "ndtiff", "fluoview", "svs", "scn", "qpi", "ndpi", "bif", "avs", "eer", "philips",
    "indica", "scanimage", "nih", "mdgel", "stk",
}  # fmt: skip


class Tiff:
    """TIFF in its classic and its large form, with what ImageJ and OME write into it."""

    name = "TIFF"

    def recognises(self, file: Path, head: bytes) -> bool:
        """Whether it begins as TIFF or BigTIFF, of either byte order."""
        return head[:4] in SIGNATURES

    def list(self, file: Path) -> Listing:
        """Return one array for each series of planes; of a pyramid only its full resolution."""
        with _Opened(file) as opened:
            arrays: list[StoredArray] = []
            refused: dict[str, str] = {}
            for series in opened.series:
                if series.problem is None:
                    arrays.append(series.header())
                else:
                    refused[series.name] = series.problem
            provenance = next((one.ours["provenance"] for one in opened.series if "provenance" in one.ours), None)
        return Listing(tuple(arrays), refused, provenance=checked_provenance(provenance))

    def read(self, file: Path, array: StoredArray) -> PlaneArray:
        """Return the array, unread. It keeps the file open as long as it lives."""
        opened = _Opened(file)
        try:
            series = next((one for one in opened.series if one.name == array.path), None)
            if series is None or series.problem is not None or series.shape != array.stored_shape:
                raise damaged(file, ValueError(f"`{array.path}` has changed while it was read"))
            check_compression(series.pages.keyframe, array.path)
            return PlaneArray(file, opened.tif, series)
        except BaseException:
            opened.tif.close()
            raise


class _Opened:
    """A TIFF whose structure has been checked, and its series."""

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            pages = pages_of(file)
        except (ValueError, struct.error, OSError) as error:
            raise damaged(file, error) from error
        if pages[0].is_metamorph:
            raise ScutoidError(
                f"{file} could not be opened",
                "it is a MetaMorph stack (.stk), a dialect of TIFF that is not read",
                "open it in Fiji and save it as TIFF",
            )
        tifffile = load_tifffile()
        flags = {f"is_{name}": False for name in _NOT_INTERPRETED & tifffile.TIFF.FILE_FLAGS}
        flags["is_uniform"] = all(page.layout == pages[0].layout for page in pages)
        try:
            self.tif = tifffile.TiffFile(file, _multifile=False, **flags)
        except tifffile_errors() as error:
            raise damaged(file, error) from error
        try:
            self.series = self._read_series(pages)
            _check_extent(self.series, file.stat().st_size)
        except tifffile_errors() as error:
            self.tif.close()
            raise damaged(file, error) from error

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.tif.close()

    def _read_series(self, pages: Sequence[Page]) -> Sequence[Series]:
        description = pages[0].texts.get(DESCRIPTION, "")
        if ome.is_ome(description):
            return self._ome_series(description, pages)
        found = [one.levels[0] for one in self.tif.series]
        found = [one for one in found if not one.keyframe.is_reduced] or found
        if self.tif.is_imagej and (len(found) != 1 or found[0].kind != "imagej"):
            raise ValueError("ImageJ's description claims more planes than the file holds")
        ours = _our_metadata(pages[0], str((self.tif.imagej_metadata or {}).get("Info", "")))
        voxel_size = self._voxel_size()
        result = []
        for number, pages_found in enumerate(found):
            kept = _kept_axes(pages_found, _named_by_imagej(self.tif) if pages_found.kind == "imagej" else "")
            result.append(
                Series(
                    str(ours.get("dataset", f"series{number}")),
                    pages_found,
                    kept,
                    voxel_size,
                    stated=pages_found.kind in ("imagej", "lsm", "shaped"),
                    ours=ours,
                )
            )
        return result

    def _ome_series(self, description: str, pages: Sequence[Page]) -> Sequence[Series]:
        tifffile = load_tifffile()
        result = []
        tif_pages = self.tif.pages
        tif_pages.useframes = True
        for number, image in enumerate(ome.parse(description, len(pages), self.file.name)):
            ours = _our_metadata(pages[0], image.description)
            first = image.planes[0] if image.planes else 0
            problem = image.problem
            if any(pages[plane].layout != pages[first].layout for plane in image.planes):
                problem = "its planes differ in size or type"
            tif_pages.set_keyframe(first)
            keyframe = tif_pages[first]
            frames = [tif_pages[plane] for plane in image.planes] or [keyframe]
            shape, axes = (*image.shape, *keyframe.shape), image.axes + keyframe.axes
            if problem:
                shape, axes = keyframe.shape, keyframe.axes
            found = tifffile.TiffPageSeries(frames, shape, keyframe.dtype, axes, kind="ome", squeeze=False)
            result.append(
                Series(
                    str(ours.get("dataset", f"series{number}")),
                    found,
                    _kept_axes(found, "Z" if image.states_z else ""),
                    image.voxel_size_um,
                    stated=True,
                    problem=problem,
                    ours=ours,
                )
            )
        return result

    def _voxel_size(self) -> VoxelSize | None:
        if self.tif.is_lsm:
            lsm = self.tif.lsm_metadata or {}
            return checked_voxel_size([micrometres(lsm.get(f"VoxelSize{axis}"), "m") for axis in "ZYX"])
        if not self.tif.is_imagej:
            # Other TIFFs have a resolution for printers along y and x, and none along z.
            return None
        meta = self.tif.imagej_metadata or {}
        tags = self.tif.pages[0].tags
        unit = meta.get("unit")
        if unit is None:
            unit = {2: "inch", 3: "cm"}.get(int(tags.valueof("ResolutionUnit", 1)), "")
        spacing = meta.get("spacing")
        return checked_voxel_size(
            [
                # Fiji keeps a sign for stacks that were taken downwards.
                micrometres(abs(spacing) if isinstance(spacing, int | float) else None, str(meta.get("zunit", unit))),
                micrometres(_per_pixel(tags.valueof("YResolution")), str(meta.get("yunit", unit))),
                micrometres(_per_pixel(tags.valueof("XResolution")), str(unit)),
            ]
        )


def is_ours(file: Path) -> bool:
    """Whether this program wrote a TIFF, and no other has saved it since."""
    try:
        return pages_of(file)[0].texts.get(SOFTWARE) == OUR_SOFTWARE
    except (ValueError, struct.error):
        return False


def _our_metadata(page: Page, text: str) -> Mapping[str, Any]:
    """Return what `tiff_write` adds as JSON; nothing once another program has saved the file, since it may be stale."""
    if page.texts.get(SOFTWARE) != OUR_SOFTWARE:
        return {}
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _per_pixel(resolution: Any) -> float | None:
    """Return the length of a pixel behind TIFF's fraction of pixels per unit."""
    try:
        pixels, units = resolution
        return float(units) / float(pixels)
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _named_by_imagej(tif: tifffile.TiffFile) -> str:
    names = {"frames": "T", "slices": "Z", "channels": "C"}
    return "".join(axis for name, axis in names.items() if name in (tif.imagej_metadata or {}))


def _kept_axes(pages: tifffile.TiffPageSeries, named: str) -> Sequence[int]:
    """Return which axes to list: those longer than one, those of a plane, and those that the file names."""
    shape, axes = pages.get_shape(squeeze=False), pages.get_axes(squeeze=False)
    if pages.kind == "shaped":
        return range(len(shape))
    return [i for i, (n, axis) in enumerate(zip(shape, axes, strict=True)) if n != 1 or axis in "YX" + named]


def _check_extent(series: Sequence[Series], size: int) -> None:
    """Refuse a file that ends before its voxels do."""
    for one in series:
        if one.problem is not None:
            continue
        start = one.pages.dataoffset
        if start is not None:
            end = start + math.prod(one.shape) * np.dtype(one.pages.dtype).itemsize
        else:
            segments = (
                zip(page.dataoffsets, page.databytecounts, strict=False)
                for page in one.pages._pages
                if page is not None
            )
            end = max((at + count for at, count in itertools.chain.from_iterable(segments) if at), default=0)
        if end > size:
            raise ValueError(f"its voxels end at byte {end}, and the file at byte {size}")
