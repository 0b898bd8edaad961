"""A full disk never reaches the HDF5 library, which it would crash."""

from __future__ import annotations

import errno
import io
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from napari_scutoid.io.hdf5_sink import Sink, writing

if TYPE_CHECKING:
    from pathlib import Path

STACK = np.random.default_rng(0).integers(0, 255, (40, 50, 60)).astype(np.uint8)


def fill(sink: Sink, after: int) -> None:
    """Let the disk under a sink be full after so many bytes."""

    class Full(io.FileIO):
        def write(self, data: Any, /) -> int:
            room = after - self.tell()
            if room <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(memoryview(data)[:room])

    sink._file.close()
    sink._file = Full(sink._file.name, "w+")


@pytest.mark.parametrize("user_block", [0, 512])
@pytest.mark.parametrize("packed", [False, True])
def test_the_file_is_what_hdf5_itself_would_write(tmp_path: Path, user_block: int, packed: bool) -> None:
    options: dict[str, Any] = {"chunks": (7, 8, 9), "compression": "gzip"} if packed else {}
    with h5py.File(tmp_path / "direct.h5", "w", userblock_size=user_block) as root:
        root.create_dataset("a/b", data=STACK, **options)
    with writing(tmp_path / "sink.h5", user_block=user_block) as (root, _):
        root.create_dataset("a/b", data=STACK, **options)
    assert (tmp_path / "sink.h5").read_bytes() == (tmp_path / "direct.h5").read_bytes()


@pytest.mark.parametrize("after", [0, 100, 2000, 5000, 60_000, 119_000])
def test_a_full_disk_is_told_by_the_check_and_after_closing(tmp_path: Path, after: int) -> None:
    with pytest.raises(OSError, match="No space left"), writing(tmp_path / "a.h5") as (root, sink):
        fill(sink, after)
        root["raw"] = STACK
        root.create_dataset("packed", data=STACK, chunks=(7, 8, 9), compression="gzip")
        root.flush()
        # What the disk has refused can still be read: HDF5 reads its own tables again.
        np.testing.assert_array_equal(root["raw"][()], STACK)
        np.testing.assert_array_equal(root["packed"][()], STACK)
        with pytest.raises(OSError, match="No space left"):
            sink.check()


def test_it_behaves_like_a_file(tmp_path: Path) -> None:
    with Sink(tmp_path / "a") as sink:
        assert sink.readable() and sink.writable() and sink.seekable()
        assert sink.write(b"abcdef") == 6
        fill(sink, 2)
        sink.seek(0)
        assert (sink.write(b"ABCD"), sink.tell(), sink.seek(0, io.SEEK_END)) == (4, 4, 6)
        sink.seek(1)
        assert sink.read(4) == b"BCD\0"
        sink.truncate(3)
        assert (sink.seek(0, io.SEEK_END), sink.read(9), sink.seek(0), sink.read(9)) == (3, b"", 0, b"ABC")
