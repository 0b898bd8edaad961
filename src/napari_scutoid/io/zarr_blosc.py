"""Blosc behind a check: its library takes the length of a chunk from the chunk itself, and reads past the end.

A chunk that was cut off, by a full disk or a broken download, would otherwise be filled with whatever lies in memory.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zarr.codecs import BloscCodec, ShardingCodec

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer

_HEADER = struct.Struct("<4B3I")


def with_checked_blosc(metadata: Any) -> Any:
    """Return metadata of an array, as Zarr's library holds them, in which Blosc is checked."""
    if metadata.zarr_format == 3:
        return replace(metadata, codecs=tuple(map(_checked, metadata.codecs)))
    filters = None if metadata.filters is None else [_checked_v2(one) for one in metadata.filters]
    return replace(metadata, compressor=_checked_v2(metadata.compressor), filters=filters)


def check(chunk: Any) -> None:
    """Raise ValueError for a packed chunk whose header tells another length than it has."""
    view = memoryview(chunk).cast("B")
    # Version, version of the packing, flags, bytes of a voxel; bytes unpacked, bytes of a block, bytes packed.
    told = _HEADER.unpack_from(view)[-1] if len(view) >= _HEADER.size else _HEADER.size
    if told != len(view):
        raise ValueError(f"a chunk has {len(view)} bytes instead of {told}")


class _CheckedBlosc(BloscCodec):
    """For Zarr version 3."""

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        check(chunk_bytes.as_numpy_array())
        return await super()._decode_single(chunk_bytes, chunk_spec)


class _CheckedBlosc2:
    """For Zarr version 2, whose codecs are numcodecs' own."""

    codec_id = "blosc"

    def __init__(self, codec: Any) -> None:
        self._codec = codec

    def encode(self, buf: Any) -> Any:
        return self._codec.encode(buf)

    def decode(self, buf: Any, out: Any = None) -> Any:
        check(buf)
        return self._codec.decode(buf, out)

    def get_config(self) -> Any:
        return self._codec.get_config()

    @classmethod
    def from_config(cls, config: Any) -> _CheckedBlosc2:
        raise NotImplementedError


def _checked(codec: Any) -> Any:
    if isinstance(codec, ShardingCodec):
        return replace(codec, codecs=tuple(map(_checked, codec.codecs)))
    if isinstance(codec, BloscCodec):
        return _CheckedBlosc.from_dict(codec.to_dict())
    return codec


def _checked_v2(codec: Any) -> Any:
    return _CheckedBlosc2(codec) if getattr(codec, "codec_id", None) == "blosc" else codec
