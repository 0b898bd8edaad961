from __future__ import annotations

import os

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_scutoid.io import local_copy
from napari_scutoid.io.lazy import LazyArray
from napari_scutoid.io.local_copy import BLOCK, bytes_behind, is_slow
from napari_scutoid.io.open import open_volume
from napari_scutoid.progress import drain

SHAPE = (19, 70, 130)


@pytest.fixture
def packed(tmp_path):
    file = tmp_path / "packed.h5"
    write(file, np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE))
    return file


def write(file, data, **how):
    with h5py.File(file, "w") as root:
        root.create_dataset("raw", data=data, **({"compression": "gzip", "chunks": (7, 32, 32)} | how))


def copied(file, folder, **choice):
    seen = []
    volume = drain(local_copy.local_copy(open_volume(file, "raw", **choice), folder), seen.append)
    return volume, [one.step for one in seen]


def test_a_copy_holds_the_same_numbers_and_is_made_once(packed, tmp_path):
    folder = tmp_path / "copies"
    volume, steps = copied(packed, folder)
    np.testing.assert_array_equal(volume.data[...], open_volume(packed, "raw").data[...])
    assert not is_slow(volume.data)
    assert (volume.data.chunks, volume.dtype, volume.source.dataset) == (BLOCK, np.uint16, "raw")
    assert steps
    again, steps = copied(packed, folder, voxel_size_um=(1.0, 0.5, 0.5))
    assert not steps
    assert again.voxel_size_um == (1.0, 0.5, 0.5)
    assert len(list(folder.iterdir())) == 1


def test_another_content_or_another_view_is_copied_anew(packed, tmp_path):
    folder = tmp_path / "copies"
    copied(packed, folder)
    turned, steps = copied(packed, folder, axes="ZXY")
    assert steps
    assert turned.shape == (19, 130, 70)
    write(packed, np.zeros(SHAPE, np.uint16))
    os.utime(packed, (1, 1))
    volume, steps = copied(packed, folder)
    assert steps
    assert not volume.data[...].any()


def test_a_damaged_copy_is_replaced(packed, tmp_path):
    folder = tmp_path / "copies"
    copied(packed, folder)
    [copy] = folder.iterdir()
    copy.write_bytes(copy.read_bytes()[:1000])
    volume, steps = copied(packed, folder)
    assert steps
    assert volume.data[18, 69, 129] == np.uint16(np.prod(SHAPE) - 1)


def test_a_cancelled_copy_leaves_nothing(packed, tmp_path):
    folder = tmp_path / "copies"
    steps = local_copy.local_copy(open_volume(packed, "raw"), folder)
    for _ in range(2):
        next(steps)
    steps.close()
    assert list(folder.iterdir()) == []


def test_what_is_not_packed_stays_where_it_is(tmp_path):
    file = tmp_path / "plain.h5"
    write(file, np.zeros(SHAPE, np.uint8), compression=None, chunks=None)
    volume = open_volume(file, "raw")
    assert drain(local_copy.local_copy(volume, tmp_path / "copies")) is volume


def test_the_oldest_copies_make_room_and_too_large_ones_are_not_made(packed, tmp_path, monkeypatch):
    folder = tmp_path / "copies"
    copied(packed, folder)
    [first] = folder.iterdir()
    os.utime(first, (1, 1))
    monkeypatch.setattr(local_copy, "LARGEST_CACHE", first.stat().st_size * 3 // 2)
    copied(packed, folder, axes="ZXY")
    assert not first.exists()
    [second] = folder.iterdir()
    monkeypatch.setattr(local_copy, "LARGEST_CACHE", 1000)
    volume, _ = copied(packed, folder)
    assert is_slow(volume.data)
    assert second.exists()


@settings(max_examples=30)
@given(st.data())
def test_any_slice_of_the_blocks_is_that_of_the_array(data):
    shape = data.draw(st.tuples(*[st.integers(1, 2 * side + 3) for side in BLOCK]))
    key = tuple(data.draw(st.slices(n)) for n in shape)
    n_blocks = [-(-n // side) for n, side in zip(shape, BLOCK, strict=True)]
    blocks = np.arange(np.prod(n_blocks) * np.prod(BLOCK), dtype=np.int32).reshape(*n_blocks, *BLOCK)
    whole = blocks.transpose(0, 3, 1, 4, 2, 5).reshape([n * side for n, side in zip(n_blocks, BLOCK, strict=True)])
    view = LazyArray(local_copy.Blocks(blocks, shape), (0, 1, 2), name="blocks")
    np.testing.assert_array_equal(view[key], whole[tuple(map(slice, shape))][key])


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ((0, slice(None), slice(None)), 2 * 3 * 5 * 7 * 32 * 32),
        ((slice(None), 5, slice(None)), 2 * 3 * 5 * 7 * 32 * 32),
        ((slice(None, None, 10), slice(0, 1), slice(0, 1)), 2 * 2 * 7 * 32 * 32),
    ],
)
def test_what_a_slice_costs(packed, key, expected):
    assert bytes_behind(open_volume(packed, "raw").data, key) == expected
