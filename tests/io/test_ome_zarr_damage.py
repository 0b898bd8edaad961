"""What is wrong with a store is told, and what it must not be able to do it cannot do."""

from __future__ import annotations

import os
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
import pytest
import zarr
from zarr_samples import STACK, image, raw_store, store

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.open import inspect, open_volume

if TYPE_CHECKING:
    from pathlib import Path


def test_missing_chunks_are_the_fill_value(tmp_path: Path) -> None:
    root = store(tmp_path / "a.zarr")
    root.create_array("raw", shape=(9, 10, 11), chunks=(3, 10, 11), dtype="u1", fill_value=7)[3:6] = 1
    expected = np.full((9, 10, 11), 7)
    expected[3:6] = 1
    np.testing.assert_array_equal(open_volume(tmp_path / "a.zarr", "raw").data[...], expected)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\0" * 100_000])
def test_chunks_of_a_wrong_length_are_a_message(tmp_path: Path, content: bytes) -> None:
    path = raw_store(tmp_path / "raw.zarr", STACK)
    (path / "0.0.0").write_bytes(content)
    with pytest.raises(ScutoidError, match="`raw` could not be read"):
        open_volume(path, "raw").data[...]


PACKINGS = {
    "v2": (2, {}),
    "v2 blosc": (2, {"compressors": {"id": "blosc", "cname": "zstd", "clevel": 5, "shuffle": 1}}),
    "v2 gzip": (2, {"compressors": {"id": "gzip", "level": 1}}),
    "v3": (3, {}),
    "v3 blosc": (3, {"compressors": zarr.codecs.BloscCodec()}),
    "v3 gzip": (3, {"compressors": zarr.codecs.GzipCodec()}),
    "v3 none": (3, {"compressors": None}),
}


@pytest.mark.parametrize("kept", [0.001, 0.5, 0.99])
@pytest.mark.parametrize("packing", PACKINGS)
def test_truncated_chunks_are_a_message(tmp_path: Path, packing: str, kept: float) -> None:
    version, settings = PACKINGS[packing]
    store(tmp_path / "a.zarr", version).create_array("raw", data=STACK, chunks=STACK.shape, **settings)
    np.testing.assert_array_equal(open_volume(tmp_path / "a.zarr", "raw").data[...], STACK)
    chunk = tmp_path / "a.zarr" / "raw" / ("0.0.0" if version == 2 else "c/0/0/0")
    chunk.write_bytes(chunk.read_bytes()[: int(chunk.stat().st_size * kept)])
    with pytest.raises(ScutoidError, match="`raw` could not be read"):
        open_volume(tmp_path / "a.zarr", "raw").data[...]


@pytest.mark.parametrize("whole", [True, False])
def test_a_truncated_chunk_in_a_shard_is_a_message(tmp_path: Path, whole: bool) -> None:
    settings = {"chunks": (12, 20, 12), "shards": STACK.shape, "compressors": zarr.codecs.BloscCodec()}
    store(tmp_path / "a.zarr", 3).create_array("raw", data=STACK, **settings)
    shard = tmp_path / "a.zarr" / "raw" / "c" / "0" / "0" / "0"
    content = bytearray(shard.read_bytes())
    # The index at the end: offset and length of each chunk, and a checksum.
    index = np.frombuffer(content[-36:-4], "<u8").copy()
    index[1] //= 2
    content[-36:-4] = index.tobytes()
    content[-4:] = google_crc32c.value(index.tobytes()).to_bytes(4, "little")
    shard.write_bytes(content)
    with pytest.raises(ScutoidError, match=r"`raw` could not be read: a part of it is damaged \(a chunk has"):
        open_volume(tmp_path / "a.zarr", "raw").data[(...,) if whole else (slice(None), slice(None), slice(0, 5))]


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "\udcff", "[" * 100_000, '{"node_type": "array"}', "{}"])
def test_metadata_that_are_damaged_are_a_message(tmp_path: Path, text: str) -> None:
    root = store(tmp_path / "a.zarr", 3)
    root.create_array("broken", data=STACK)
    root.create_array("raw", data=STACK)
    (tmp_path / "a.zarr" / "broken" / "zarr.json").write_bytes(text.encode(errors="surrogateescape"))
    # One damaged array does not hide the others.
    np.testing.assert_array_equal(open_volume(tmp_path / "a.zarr").data[...], STACK)
    with pytest.raises(ScutoidError, match=r"`broken` in .* could not be opened: its metadata are damaged"):
        open_volume(tmp_path / "a.zarr", "broken")
    shutil.copy(tmp_path / "a.zarr" / "broken" / "zarr.json", tmp_path / "a.zarr" / "zarr.json")
    with pytest.raises(ScutoidError, match="could not be opened: its content is damaged or incomplete"):
        inspect(tmp_path / "a.zarr")


def test_an_image_whose_array_is_missing_is_a_message(tmp_path: Path) -> None:
    root = store(tmp_path / "a.zarr")
    image(root, STACK)
    shutil.rmtree(tmp_path / "a.zarr" / "0")
    with pytest.raises(ScutoidError, match="its array `0` is missing"):
        open_volume(tmp_path / "a.zarr", "0")


@pytest.mark.parametrize("key", ["../secret", "/secret", "0/../../secret", "..\\secret", "c:secret", "./0", ""])
def test_names_that_lead_out_of_the_store_are_not_followed(tmp_path: Path, key: str) -> None:
    raw_store(tmp_path / "secret", STACK)
    root = store(tmp_path / "a.zarr")
    image(root.create_group("image"), STACK, {"datasets": [{"path": key}]})
    root.create_array("raw", data=STACK)
    assert [d.path for d in inspect(tmp_path / "a.zarr").datasets] == ["raw"]
    with pytest.raises(ScutoidError):
        open_volume(tmp_path / "a.zarr", "../secret")


@pytest.mark.skipif(os.name == "nt", reason="Windows reserves symbolic links and has no named pipes")
def test_links_out_of_the_store_are_not_followed(tmp_path: Path) -> None:
    secret = raw_store(tmp_path / "secret", STACK)
    path = tmp_path / "a.zarr"
    root = store(path)
    root.create_array("raw", data=STACK, chunks=STACK.shape)
    (path / "stolen").symlink_to(secret)
    (path / "loop").symlink_to(path)
    with pytest.raises(ScutoidError, match=r"`stolen` in .* is a link out of the store"):
        open_volume(path, "stolen")
    (path / "raw" / "0.0.0").unlink()
    (path / "raw" / "0.0.0").symlink_to(secret / "0.0.0")
    with pytest.raises(ScutoidError, match="is a link out of the store, and such links are not followed"):
        open_volume(path, "raw").data[...]
    (path / "raw" / "0.0.0").unlink()
    os.mkfifo(path / "raw" / "0.0.0")
    with pytest.raises(ScutoidError, match="is no ordinary file"):
        open_volume(path, "raw").data[...]


@pytest.mark.skipif(os.name == "nt", reason="Windows reserves symbolic links")
def test_a_link_to_a_store_is_the_store(tmp_path: Path) -> None:
    image(store(tmp_path / "a.zarr"), STACK)
    (tmp_path / "b.zarr").symlink_to(tmp_path / "a.zarr")
    np.testing.assert_array_equal(open_volume(tmp_path / "b.zarr").data[...], STACK)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"dtype": "|O", "filters": [{"id": "pickle"}]}, "it holds no plain numbers"),
        ({"dtype": [["a", "<u2"], ["b", "<u2"]]}, "it holds no plain numbers"),
        ({"dtype": "<M8[s]"}, "it holds no plain numbers"),
        ({"filters": [{"id": "pickle", "protocol": 5}]}, "it is packed by `pickle`, which is not read"),
        ({"compressor": {"id": "of_the_future"}}, "it is packed by `of_the_future`, which is not read"),
        ({"shape": [0, 10, 11]}, "it is empty"),
        ({"shape": [-1, 10, 11]}, "its metadata are damaged"),
        ({"chunks": [1, 1]}, "its metadata are damaged"),
        ({"chunks": [0, 1, 1]}, "its metadata are damaged"),
        ({"shape": "large"}, "its metadata are damaged"),
        ({"dtype": "<u7"}, "its metadata are damaged"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, changed: dict[str, Any], why: str) -> None:
    store(tmp_path / "a.zarr")
    raw_store(tmp_path / "a.zarr" / "odd", STACK, **changed)
    with pytest.raises(ScutoidError, match=f"`odd` in .* could not be opened: {why}"):
        open_volume(tmp_path / "a.zarr", "odd")


def test_a_shape_of_gigabytes_is_read_by_the_slice_and_one_of_terabytes_is_refused(tmp_path: Path) -> None:
    path = raw_store(tmp_path / "raw.zarr", STACK, shape=[10**3, 10**4, 10**4])
    volume = open_volume(path, "raw")
    np.testing.assert_array_equal(volume.data[:12, :20, :24], STACK)
    assert volume.data[10**3 - 1, 10**4 - 1, 10**4 - 1] == 0
    path = raw_store(tmp_path / "petabytes.zarr", STACK, shape=[10**6, 10**6, 10**6])
    with pytest.raises(ScutoidError, match=r"its header claims 1.7 EiB, and petabytes\.zarr has .* KiB"):
        open_volume(path, "petabytes")


def test_a_chunk_of_a_terabyte_is_refused(tmp_path: Path) -> None:
    path = raw_store(tmp_path / "raw.zarr", STACK, shape=[2**13] * 3, chunks=[2**13] * 3)
    with pytest.raises(ScutoidError, match="`raw` does not fit into memory"):
        open_volume(path, "raw")
    assert inspect(path).datasets[0].shape == (2**13, 2**13, 2**13)


def test_a_chunk_file_larger_than_any_chunk_is_not_read(tmp_path: Path) -> None:
    path = raw_store(tmp_path / "raw.zarr", STACK)
    os.truncate(path / "0.0.0", 2**36)
    with pytest.raises(ScutoidError, match="has 68719476736 bytes, more than its array can need"):
        open_volume(path, "raw").data[...]


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    data = np.full((9, 10, 11), np.nan)
    path = raw_store(tmp_path / "raw.zarr", data)
    with pytest.raises(ScutoidError, match="some voxels are NaN or infinite"):
        open_volume(path, "raw").data[...]


def test_what_is_no_store_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "note.txt").write_text("a laboratory's notes")
    with zipfile.ZipFile(tmp_path / "notes.zip", "w") as archive:
        archive.writestr("note.txt", "a laboratory's notes")
    (tmp_path / "cut.zip").write_bytes((tmp_path / "notes.zip").read_bytes()[:60])
    for name, why in (
        ("notes", "it is a folder"),
        ("notes.zip", "its content is of no known format"),
        ("cut.zip", "its content is of no known format"),
    ):
        with pytest.raises(ScutoidError, match=f"could not be opened: {why}"):
            inspect(tmp_path / name)
    store(tmp_path / "empty.zarr")
    with pytest.raises(ScutoidError, match="it holds no arrays"):
        open_volume(tmp_path / "empty.zarr")


def test_a_store_that_may_not_be_read_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image(store(tmp_path / "a.zarr"), STACK)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(ScutoidError, match=r"Permission denied.*check that you may read"):
        inspect(tmp_path / "a.zarr")
