"""TIFF files that Fiji opens with their calibration, written plane by plane."""

from __future__ import annotations

import contextlib
import math
import struct
import zlib
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.atomic import replacing
from napari_scutoid.io.output import SCHEMA_VERSION, as_json
from napari_scutoid.io.suffixes import TIFF
from napari_scutoid.io.tiff import OUR_SOFTWARE, is_ours
from napari_scutoid.io.tiff_structure import SIGNATURES
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.io.output import Output
    from napari_scutoid.progress import Steps

_IMAGEJ_TYPES = ("uint8", "uint16", "float32")
_OME_TYPES = ("int8", "int16", "int32", "uint8", "uint16", "uint32", "float32", "float64")
_CLASSIC_BYTES = 2**32 - 2**20
_STRIP_BYTES = 2**18
_LEVEL = 4
_LARGEST = 2**32 - 1
_FORMAT_TAG: Mapping[str, int] = {"u": 1, "i": 2, "f": 3}
_DEFLATE, _NO_UNIT, _CENTIMETRE = 8, 1, 3
_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _LONG8 = 1, 2, 3, 4, 5, 16


class TiffWriter:
    """TIFF: an ImageJ hyperstack for uint8, uint16 and float32 up to 4 GiB, else (or where the name ends in
    ``.ome.tif``) OME-TIFF, as BigTIFF above 4 GiB.

    A TIFF holds one array: the first gets the file's name, the others ``NAME_foreground.tif`` and so on beside it. All
    appear together or not at all. Planes are packed by zlib, which Fiji's own reader understands; a predictor it does
    not. Name, kind, position, history and provenance are JSON in ImageJ's ``Info`` (Fiji shows it under Image > Show
    Info) or in OME's ``Description``.
    """  # noqa: D205

    suffixes = TIFF
    is_folder = False

    def may_replace(self, path: Path) -> bool:
        """Whether no TIFF of another program is there, nor one that another has saved since."""
        try:
            with path.open("rb") as stream:
                if stream.read(4) not in SIGNATURES:
                    return True
            return is_ours(path)
        except OSError:
            # What may not be opened is told by `check_writable`.
            return True

    def write(self, path: Path, outputs: Mapping[str, Output], provenance: Mapping[str, Any]) -> Steps[None]:
        """Write arrays, one file each. See `Writer`."""
        files = {name: path if not number else _beside(path, name) for number, name in enumerate(outputs)}
        for name, file in files.items():
            _check_type(file, name, _stored_type(outputs[name].dtype))
            if file != path and file.exists() and not self.may_replace(file):
                raise ScutoidError(
                    f"{file} could not be written",
                    "a file of this name is there already, and this program did not make it",
                    f"give another name than {path.name}, or move that file away first",
                )
        with contextlib.ExitStack() as stack:
            for name, output in outputs.items():
                part = stack.enter_context(replacing(files[name]))
                yield from _write_array(part, name, output, provenance, ome=".ome." in path.name.lower())


def _beside(path: Path, name: str) -> Path:
    stem, dot, ome = path.stem.partition(".ome")
    return path.with_name(f"{stem}_{name}{dot}{ome}{path.suffix}")


def _stored_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype({"float16": "float32", "bool": "uint8"}.get(dtype.name, dtype.name)).newbyteorder("<")


def _check_type(file: Path, name: str, dtype: np.dtype[Any]) -> None:
    if dtype.name not in _OME_TYPES:
        raise ScutoidError(
            f"{file} could not be written",
            f"`{name}` holds {dtype.name}, which OME-TIFF and ImageJ do not know",
            "let the name end in .h5, .mat or .zarr",
        )


def _write_array(part: Path, name: str, output: Output, provenance: Mapping[str, Any], *, ome: bool) -> Steps[None]:
    nz, ny, nx = output.shape
    dtype = _stored_type(output.dtype)
    text = as_json(
        {
            "dataset": name,
            "kind": output.kind,
            "origin_um": output.grid.origin_um,
            "history": output.grid.history,
            "attributes": output.attributes,
            "schema_version": SCHEMA_VERSION,
            "provenance": provenance,
        }
    )
    rows = max(1, min(ny, _STRIP_BYTES // (nx * dtype.itemsize)))
    # Noise grows by a thousandth when it is packed; each plane has a directory and, per strip, an offset and a length.
    largest = nz * (ny * nx * dtype.itemsize * 1.001 + 512 + 24 * math.ceil(ny / rows)) + 4 * len(text)
    big = largest > _CLASSIC_BYTES
    keys = output.keys((1, ny, nx))
    strips: list[list[tuple[int, int]]] = []
    span = _Span()
    with part.open("wb") as stream:
        stream.write(bytes(16 if big else 8))
        for number, key in enumerate(keys, start=1):
            block = output.block(key).astype(dtype, copy=False)
            span.add(block)
            for plane in block:
                strips.append(_write_plane(stream, plane, rows))
            yield Progress(f"Writing {name}", number, len(keys))
        if ome or big or dtype.name not in _IMAGEJ_TYPES:
            first, every = _ome_tags(name, output, dtype, text)
        else:
            first, every = _imagej_tags(output, text, span)
        every |= {
            256: (_LONG, nx),
            257: (_LONG, ny),
            258: (_SHORT, dtype.itemsize * 8),
            259: (_SHORT, _DEFLATE),
            262: (_SHORT, 1),
            277: (_SHORT, 1),
            278: (_LONG, rows),
            305: (_ASCII, OUR_SOFTWARE),
            339: (_SHORT, _FORMAT_TAG[dtype.kind]),
        }
        _write_directories(stream, strips, first, every, big=big)


class _Span:
    """The least and greatest value so far, for ImageJ's display range."""

    def __init__(self) -> None:
        self.least, self.greatest = math.inf, -math.inf

    def add(self, block: NDArray[Any]) -> None:
        self.least, self.greatest = min(self.least, float(block.min())), max(self.greatest, float(block.max()))

    @property
    def is_known(self) -> bool:
        return math.isfinite(self.least) and math.isfinite(self.greatest)


def _write_plane(stream: BinaryIO, plane: NDArray[Any], rows: int) -> list[tuple[int, int]]:
    """Write a plane in strips of some rows; return where they begin, and their lengths."""
    strips = []
    for y in range(0, len(plane), rows):
        packed = zlib.compress(np.ascontiguousarray(plane[y : y + rows]).data, _LEVEL)
        strips.append((stream.tell(), len(packed)))
        stream.write(packed)
    return strips


_Tags = dict[int, tuple[int, Any]]


def _imagej_tags(output: Output, text: str, span: _Span) -> tuple[_Tags, _Tags]:
    """Return the tags of the first directory and of all, as ImageJ's FileSaver writes them."""
    import tifffile

    size = output.grid.voxel_size_um
    # Slices are stated even for one plane, so that it comes back as a stack of one.
    lines = ["ImageJ=1.53t", f"images={output.shape[0]}", f"slices={output.shape[0]}"]
    every: _Tags = {}
    if size is not None:
        # ImageJ leaves out a spacing of exactly 1; here it is known, and has to stay so.
        lines += ["unit=micron", f"spacing={size.z!r}"]
        every = _resolution(size.x, size.y, _NO_UNIT)
    lines.append("loop=false")
    if span.is_known:
        least = 0.0 if output.kind != "image" else span.least
        lines += [f"min={least}", f"max={max(span.greatest, least + 1)}"]
    first: _Tags = {270: (_ASCII, "\n".join(lines) + "\n")}
    for code, kind, _, value, _ in tifffile.imagej_metadata_tag({"Info": text}, "<"):
        first[code] = (kind, value)
    return first, every


def _ome_tags(name: str, output: Output, dtype: np.dtype[Any], text: str) -> tuple[_Tags, _Tags]:
    import tifffile

    size = output.grid.voxel_size_um
    edges: dict[str, Any] = {}
    every: _Tags = {}
    if size is not None:
        for axis, edge in zip("ZYX", size, strict=True):
            edges |= {f"PhysicalSize{axis}": edge, f"PhysicalSize{axis}Unit": "µm"}
        every = _resolution(size.x / 1e4, size.y / 1e4, _CENTIMETRE)
    xml = tifffile.OmeXml(Creator=OUR_SOFTWARE)
    stored = (output.shape[0], 1, 1, *output.shape[1:], 1)
    xml.addimage(dtype.newbyteorder("="), output.shape, stored, axes="ZYX", Name=name, Description=text, **edges)
    return {270: (_ASCII, xml.tostring(declaration=True))}, every


def _resolution(x: float, y: float, unit: int) -> _Tags:
    return {282: (_RATIONAL, _pixels_per_unit(x)), 283: (_RATIONAL, _pixels_per_unit(y)), 296: (_SHORT, unit)}


def _pixels_per_unit(edge: float) -> tuple[int, int]:
    """Return TIFF's fraction of two 32-bit numbers; 0.15 is 20/3, so that it comes back as it was."""
    exact = 1 / Fraction(repr(float(edge)))
    near = exact.limit_denominator(max(1, min(_LARGEST, int(_LARGEST / exact))))
    return max(1, min(_LARGEST, near.numerator)), near.denominator


def _write_directories(
    stream: BinaryIO, strips: Sequence[Sequence[tuple[int, int]]], first: _Tags, every: _Tags, *, big: bool
) -> None:
    """Write one directory per plane behind the voxels, and the header that points to the first."""
    offset = "Q" if big else "I"
    stream.write(bytes(-stream.tell() % 16))
    place = stream.tell()
    header = struct.pack("<2sHHHQ", b"II", 43, 8, 0, place) if big else struct.pack("<2sHI", b"II", 42, place)
    for number, plane in enumerate(strips):
        tags = {
            **every,
            **(first if not number else {}),
            273: (_LONG8 if big else _LONG, tuple(at for at, _ in plane)),
            279: (_LONG8 if big else _LONG, tuple(length for _, length in plane)),
        }
        block = _directory(place, tags, big=big)
        place += len(block)
        # The place of the next directory stands right behind the tags.
        at = (8 if big else 2) + len(tags) * (20 if big else 12)
        following = struct.pack("<" + offset, place if number + 1 < len(strips) else 0)
        stream.write(block[:at] + following + block[at + len(following) :])
    stream.seek(0)
    stream.write(header)


def _directory(place: int, tags: _Tags, *, big: bool) -> bytes:
    """Return a directory with the values that do not fit into its entries, without the place of the next."""
    count, offset, inline = ("Q", "Q", 8) if big else ("H", "I", 4)
    entry = struct.calcsize(f"<HH{offset}{offset}")
    head = struct.pack("<" + count, len(tags))
    values_at = place + len(head) + len(tags) * entry + struct.calcsize("<" + offset)
    entries, values = b"", b""
    for code in sorted(tags):
        kind, value = tags[code]
        number, content = _packed(kind, value)
        if len(content) > inline:
            at = values_at + len(values)
            values += content + bytes(-len(content) % 8)
            content = struct.pack("<" + offset, at)
        entries += struct.pack(f"<HH{offset}{inline}s", code, kind, number, content)
    block = head + entries + bytes(struct.calcsize("<" + offset)) + values
    return block + bytes(-len(block) % 16)


def _packed(kind: int, value: Any) -> tuple[int, bytes]:
    """Return the number of values, and their bytes."""
    if kind == _ASCII:
        content = value.encode("utf-8") + b"\0"
        return len(content), content
    if isinstance(value, bytes):
        return len(value) // {_BYTE: 1, _LONG: 4}[kind], value
    numbers = value if isinstance(value, tuple) else (value,)
    form = {_SHORT: "H", _LONG: "I", _LONG8: "Q", _RATIONAL: "I"}[kind]
    content = struct.pack(f"<{len(numbers)}{form}", *numbers)
    return len(numbers) // (2 if kind == _RATIONAL else 1), content
