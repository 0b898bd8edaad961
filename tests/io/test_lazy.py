"""The lazy view answers as NumPy does, and reads no more than it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io import lazy
from napari_scutoid.io.lazy import LazyArray, check_memory
from napari_scutoid.volume import ArrayLike, Volume

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STORED = np.arange(2 * 5 * 4 * 3, dtype=">u2").reshape(2, 5, 4, 3)


class Recorder:
    """An array that remembers what was read from it."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.keys: list[object] = []

    def __getitem__(self, key: object) -> np.ndarray:
        self.keys.append(key)
        return self.data[key]  # type: ignore[index]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[h5py.Dataset]:
    with h5py.File(tmp_path_factory.mktemp("lazy") / "a.h5", "w") as file:
        yield file.create_dataset("a", data=STORED, chunks=(1, 2, 4, 3), compression="gzip")


@given(key=basic_indices((5, 3, 4), allow_newaxis=False))
def test_indexes_as_numpy_does(dataset: h5py.Dataset, key: object) -> None:
    view = LazyArray(dataset, (1, 3, 2), {0: 1}, name="a")
    expected = STORED[1].transpose(0, 2, 1)[key]  # type: ignore[index]
    np.testing.assert_array_equal(view[key], expected)


@given(
    key=st.tuples(
        *[st.integers(-n, n - 1) | st.slices(n) for n in (1, 4, 3)],
    )
)
def test_an_added_axis_is_indexed_as_numpy_does(key: tuple[object, ...]) -> None:
    view = LazyArray(STORED, (None, 2, 3), {0: 0, 1: 2}, name="a")
    np.testing.assert_array_equal(view[key], STORED[0, 2][np.newaxis][key])  # type: ignore[index]


def test_is_array_like_in_native_byte_order(dataset: h5py.Dataset) -> None:
    view = LazyArray(dataset, (0, 1, 3, 2), name="a")
    assert isinstance(view, ArrayLike)
    assert view.dtype == np.uint16
    assert view.dtype.isnative and view[0].dtype.isnative
    assert (view.ndim, view.size, view.nbytes, len(view)) == (4, 120, 240, 2)
    assert view.chunks == (1, 2, 3, 4)
    np.testing.assert_array_equal(np.asarray(view), STORED.transpose(0, 1, 3, 2))


def test_reads_only_the_slice() -> None:
    source = Recorder(STORED)
    LazyArray(source, (1, 2, 3), {0: 1}, name="a")[4, 1:3]
    assert source.keys == [(1, slice(4, 5, None), slice(1, 3, 1), slice(0, 3, 1))]


def test_logical_numbers_become_truth_values() -> None:
    view = LazyArray(np.array([[0, 1], [2, 0]], np.uint8), (0, 1), name="a", logical=True)
    assert view.dtype == bool
    np.testing.assert_array_equal(view[...], [[False, True], [True, False]])


@pytest.mark.parametrize("key", [(0, 0, 0, 0, 0), (..., ...), np.array([0, 1]), 1.0, True, 5, -6])
def test_refuses_other_keys(key: object) -> None:
    with pytest.raises(IndexError):
        LazyArray(STORED, (1, 0, 2, 3), name="a")[key]


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 1, 2, 2), (0, 1, 2, 4)])
def test_order_has_to_name_each_axis_once(order: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="name each axis"):
        LazyArray(STORED, order, name="a")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_a_message(value: float) -> None:
    data = np.zeros((4, 4, 4), np.float32)
    data[3, 2, 1] = value
    volume = Volume(LazyArray(data, (0, 1, 2), name="raw"))
    assert volume.data[0].sum() == 0
    with pytest.raises(ScutoidError, match=r"`raw` could not be used: some voxels are NaN or infinite"):
        volume.data[3]


def test_a_damaged_chunk_is_a_message(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    data = np.random.default_rng(0).integers(0, 9, (4, 32, 32))
    with h5py.File(path, "w") as file:
        offset = file.create_dataset("raw", data=data, chunks=(4, 32, 32), compression="gzip").id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[offset.byte_offset + 50 : offset.byte_offset + 90] = bytes(40)
    path.write_bytes(content)
    with h5py.File(path) as file, pytest.raises(ScutoidError, match="`raw` could not be read"):
        LazyArray(file["raw"], (0, 1, 2), name="raw")[0]


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 2**30}))
    check_memory(2**30, "raw")
    with pytest.raises(ScutoidError, match=r"`raw` does not fit into memory: .* 2\.0 GiB, and 1\.0 GiB are free"):
        lazy.check_memory(2**31, "raw")
