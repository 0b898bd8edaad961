"""Arrays of a Zarr store, read through `Files`. Apart from its neighbours since only this needs Zarr's library."""

from __future__ import annotations

import asyncio
import lzma
import math
import zlib
from typing import TYPE_CHECKING, Any, Literal

import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.lazy import check_memory
from napari_scutoid.io.zarr_blosc import with_checked_blosc
from napari_scutoid.io.zarr_files import StoreError

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncIterator, Iterable

    import numpy as np
    from numpy.typing import NDArray
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

    from napari_scutoid.io.zarr_files import Files

ZARR_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, LookupError, MemoryError, OSError,
    RuntimeError, SystemError, TypeError, ValueError, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What Zarr's library raises for damaged stores; the packages behind its codecs raise what they like."""

_METADATA_BYTES = 64 * 2**20


class ReadOnlyStore(Store):
    """`Files` as Zarr's library wants them.

    Parameters
    ----------
    files : Files
        Where the bytes come from.
    largest : int
        Bytes of the largest file that can be honest. A bigger one is refused, not read.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = False

    def __init__(self, files: Files, largest: int) -> None:
        super().__init__(read_only=True)
        self._files = files
        self._largest = max(largest, _METADATA_BYTES)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReadOnlyStore) and self._files is other._files

    def __hash__(self) -> int:
        return id(self._files)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return a file's bytes, or None where there is none."""
        data = await asyncio.to_thread(self._get, key, byte_range)
        return None if data is None else prototype.buffer.from_bytes(data)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> builtins.list[Buffer | None]:
        """Return parts of files."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        """Whether a file is there."""
        return self._files.size(key) is not None

    async def set(self, key: str, value: Buffer) -> None:
        """Nothing is ever written."""
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        """Nothing is ever removed."""
        raise NotImplementedError

    def list(self) -> AsyncIterator[str]:
        """Keys are found without Zarr's library."""
        raise NotImplementedError

    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Keys are found without Zarr's library."""
        raise NotImplementedError

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Keys are found without Zarr's library."""
        raise NotImplementedError

    def _get(self, key: str, byte_range: ByteRequest | None) -> bytes | None:
        size = self._files.size(key)
        if size is None:
            return None
        start, stop = 0, size
        if isinstance(byte_range, RangeByteRequest):
            start, stop = byte_range.start, min(byte_range.end, size)
        elif isinstance(byte_range, OffsetByteRequest):
            start = byte_range.offset
        elif isinstance(byte_range, SuffixByteRequest):
            start = max(0, size - byte_range.suffix)
        if stop - start > self._largest:
            raise StoreError(f"`{key}` has {stop - start} bytes, more than its array can need")
        return self._files.read(key, start, stop)


class StoredZarr:
    """A Zarr array that is read where it is sliced; what goes wrong is a ScutoidError.

    Parameters
    ----------
    files : Files
        The store.
    path : str
        Key of the array in it; empty for the root.
    version : {2, 3}
        Of Zarr's format.
    name : str
        What messages call the array.
    largest : int
        Bytes of the largest file (chunk or shard) that can be honest.

    Raises
    ------
    Exception
        One of `ZARR_ERRORS`, for metadata that make no sense.
    """

    def __init__(self, files: Files, path: str, version: Literal[2, 3], *, name: str, largest: int) -> None:
        store = ReadOnlyStore(files, largest)
        opened = zarr.open_array(store=store, path=path, mode="r", zarr_format=version)
        array: Any = zarr.Array(zarr.AsyncArray(with_checked_blosc(opened.metadata), opened.store_path))
        self._array = array
        self._name = name
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype: np.dtype[Any] = array.dtype
        self.chunks: tuple[int, ...] = tuple(array.chunks)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        spans = [range(n)[one] for n, one in zip(self.shape, key, strict=True) if isinstance(one, slice)]
        # Zarr reads whole chunks, a few at a time.
        check_memory(math.prod(map(len, spans)) * self.dtype.itemsize, self._name)
        try:
            block: NDArray[Any] = self._array[key]
        except ZARR_ERRORS as error:
            raise ScutoidError(
                f"`{self._name}` could not be read",
                f"a part of it is damaged ({error or type(error).__name__})",
                "copy it again from its source",
            ) from error
        return block
