"""OME-Zarr's metadata (OME-NGFF): names and units of axes, where a voxel lies, what an array is made of.

Versions 0.1 to 0.5 are understood. Everything here works on JSON that a stranger may have written: functions raise
`METADATA_ERRORS` for what makes no sense, and return None for what may be missing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.io.format import checked_voxel_size
from napari_scutoid.io.units import micrometres
from napari_scutoid.volume import ZERO, Origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_scutoid.volume import VoxelSize

METADATA_ERRORS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading metadata that make no sense raises."""


class NoNumbersError(TypeError):
    """Voxels are text, records or objects."""


CODECS = frozenset(
    "adler32 bitround blosc bytes bz2 crc32 crc32c delta fletcher32 gzip jenkins_lookup3 lz4 lzma sharding_indexed "
    "shuffle transpose zlib zstd".split()
)
"""Ways of packing voxels that are read. Others may unpickle objects, or need packages that are not here."""

_LETTER_OF_TYPE = {"time": "T", "channel": "C"}


@dataclass(frozen=True, slots=True)
class ArrayHeader:
    """What Zarr's metadata say of one array.

    Parameters
    ----------
    shape, chunks : tuple of int
        Lengths of the array and of what is read at a time.
    file_bytes : int
        Bytes of the voxels in one file, unpacked.
    dtype : numpy.dtype
        Type of a voxel.
    codecs : tuple of str
        How voxels are packed.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    file_bytes: int
    dtype: np.dtype[Any]
    codecs: tuple[str, ...]

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk in memory."""
        return math.prod(self.chunks) * self.dtype.itemsize


def array_header(metadata: Mapping[str, Any], version: int) -> ArrayHeader:
    """Read ``.zarray`` (version 2) or ``zarr.json`` (version 3)."""
    shape = _lengths(metadata["shape"], least=0)
    if version == 2:
        if not isinstance(metadata["dtype"], str):
            raise NoNumbersError("it holds no plain numbers")
        dtype = _dtype(metadata["dtype"])
        chunks = file = _lengths(metadata["chunks"], least=1)
        packed = [*(metadata.get("filters") or ()), metadata.get("compressor")]
        codecs = [str(one["id"]) for one in packed if one is not None]
    else:
        if not isinstance(metadata["data_type"], str):
            raise NoNumbersError("it holds no plain numbers")
        dtype = _dtype(metadata["data_type"])
        chunks = file = _lengths(metadata["chunk_grid"]["configuration"]["chunk_shape"], least=1)
        codecs = []
        pending = list(metadata["codecs"])
        while pending:
            one = pending.pop()
            name = str(one if isinstance(one, str) else one["name"])
            plain = name.removeprefix("numcodecs.")
            # The standard has Blosc under its own name, and only there it is checked.
            codecs.append(name if plain == "blosc" else plain)
            if name == "sharding_indexed":
                chunks = _lengths(one["configuration"]["chunk_shape"], least=1)
                pending += one["configuration"]["codecs"] + one["configuration"].get("index_codecs", [])
    if not len(shape) == len(chunks) == len(file):
        raise ValueError(f"chunks of shape {chunks} in an array of shape {shape}")
    return ArrayHeader(shape, chunks, math.prod(file) * dtype.itemsize, dtype, tuple(codecs))


def axes_of(multiscale: Mapping[str, Any], n_axes: int) -> tuple[str | None, ...]:
    """Return T, C, Z, Y or X for each axis of an image, None for an axis that is none of them.

    Returns
    -------
    tuple
        Empty where the metadata do not tell which axes are y and x.
    """
    axes = multiscale.get("axes")
    if axes is None:
        # Up to version 0.2 an image had these five axes.
        return tuple("TCZYX") if n_axes == 5 else ()
    letters = [_letter(axis) for axis in axes]
    known = [letter for letter in letters if letter]
    usable = len(letters) == n_axes and len(set(known)) == len(known) and {"Y", "X"} <= set(known)
    return tuple(letters) if usable else ()


def grid_of(
    multiscale: Mapping[str, Any], letters: Sequence[str | None]
) -> tuple[VoxelSize | None, Origin, tuple[str, ...]]:
    """Return voxel size and origin of an image's full resolution, and notes on what is unknown about them.

    Parameters
    ----------
    multiscale : mapping
        One entry of ``multiscales``; empty for an array that is no image of OME's.
    letters : sequence
        Its axes, as `axes_of` returns them.

    Returns
    -------
    voxel_size_um : VoxelSize or None
        None where a unit or a scale is missing or makes no sense, or there is no z axis.
    origin_um : Origin
        In voxels where the voxel size is unknown.
    notes : tuple of str
        In words.
    """
    if not multiscale or not set("ZYX") <= set(letters):
        return None, ZERO, ()
    transforms = [
        *(multiscale["datasets"][0].get("coordinateTransformations") or ()),
        *(multiscale.get("coordinateTransformations") or ()),
    ]
    if not transforms:
        return None, ZERO, ()
    composed = _composed(transforms, len(letters))
    if composed is None:
        return None, ZERO, ("voxel size unknown: the file gives it in a way that is not understood",)
    scale, shift = ([values[letters.index(axis)] for axis in "ZYX"] for values in composed)
    if checked_voxel_size(scale) is None or not all(map(math.isfinite, shift)):
        return None, ZERO, ("voxel size unknown: the file gives numbers that make no sense",)
    axes = multiscale.get("axes") or ()
    units = [_unit(axes[letters.index(axis)]) for axis in "ZYX"] if axes else [""] * 3
    size = checked_voxel_size([micrometres(length, unit) for length, unit in zip(scale, units, strict=True)])
    if size is not None:
        return size, Origin(*map(_signed_micrometres, shift, units)), ()
    numbers = " x ".join(f"{value:g}" for value in scale)
    note = f"voxel size unknown: the file gives {numbers} without a unit of length"
    # A scale of 1 and no unit is what programs write that know nothing.
    return None, Origin(*(t / s for t, s in zip(shift, scale, strict=True))), () if set(scale) == {1} else (note,)


def multiscale_of(name: str, path: str, voxel_size_um: VoxelSize | None, origin_um: Origin) -> dict[str, Any]:
    """Return the metadata of a (z, y, x) image of one resolution, as version 0.4 has them."""
    unit = {} if voxel_size_um is None else {"unit": "micrometer"}
    return {
        "version": "0.4",
        "name": name,
        "axes": [{"name": axis, "type": "space", **unit} for axis in "zyx"],
        "datasets": [
            {
                "path": path,
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1.0] * 3 if voxel_size_um is None else list(voxel_size_um)},
                    {"type": "translation", "translation": list(origin_um)},
                ],
            }
        ],
    }


def _composed(transforms: Sequence[Mapping[str, Any]], n_axes: int) -> tuple[list[float], list[float]] | None:
    """Return scale and shift of transformations one after the other, or None for one of another kind."""
    scale, shift = [1.0] * n_axes, [0.0] * n_axes
    for transform in transforms:
        kind = transform["type"]
        if kind == "identity":
            continue
        # Version 0.4 can keep the numbers in a file of their own ("path"), which nobody writes.
        values = transform.get(kind) if kind in ("scale", "translation") else None
        if values is None:
            return None
        numbers = [float(value) for value in values]
        if len(numbers) != n_axes:
            raise ValueError(f"{kind} of {len(numbers)} numbers for {n_axes} axes")
        if kind == "scale":
            scale = [a * b for a, b in zip(scale, numbers, strict=True)]
            shift = [a * b for a, b in zip(shift, numbers, strict=True)]
        else:
            shift = [a + b for a, b in zip(shift, numbers, strict=True)]
    return scale, shift


def _letter(axis: str | Mapping[str, Any]) -> str | None:
    # Version 0.3 has names alone.
    name, kind = (axis, None) if isinstance(axis, str) else (str(axis.get("name")), axis.get("type"))
    letter = name.upper()
    return letter if letter in set("TCZYX") else _LETTER_OF_TYPE.get(str(kind), None)


def _unit(axis: str | Mapping[str, Any]) -> str:
    unit = None if isinstance(axis, str) else axis.get("unit")
    return unit if isinstance(unit, str) else ""


def _signed_micrometres(length: float, unit: str) -> float:
    return math.copysign(micrometres(abs(length), unit) or 0.0, length)


def _lengths(values: Any, least: int) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(type(n) is int and n >= least for n in values):
        raise ValueError(f"{values} are no lengths of axes")
    return tuple(values)


def _dtype(text: str) -> np.dtype[Any]:
    if not re.fullmatch(r"[<>|]?[biufc]\d+|bool|u?int\d+|float\d+|complex\d+", text):
        raise NoNumbersError(f"it holds no plain numbers ({text[:40]})")
    return np.dtype(text).newbyteorder("=")
