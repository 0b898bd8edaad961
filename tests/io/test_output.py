"""Blocks cover a stack once, fit the chunks on both sides, and stay small however large the stack is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.io import output
from napari_scutoid.io.lazy import LazyArray
from napari_scutoid.io.output import BLOCK_BYTES, Output, as_json, block_keys, chunk_for
from napari_scutoid.volume import Volume

sides = st.tuples(*[st.integers(1, 12)] * 3)


@dataclass
class Stored:
    """A stack of any size that holds nothing."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype("f8"))
    chunks: tuple[int, ...] | None = None

    def __getitem__(self, key: Any) -> Any:
        raise NotImplementedError


def lengths(key: tuple[slice, ...]) -> tuple[int, ...]:
    return tuple(span.stop - span.start for span in key)


@given(shape=sides, chunk=sides, stored=sides | st.none(), budget=st.integers(8, 4000))
def test_blocks_cover_a_stack_once_in_whole_chunks(
    shape: tuple[int, int, int], chunk: tuple[int, int, int], stored: tuple[int, int, int] | None, budget: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "BLOCK_BYTES", budget)
        keys = block_keys(Stored(shape, chunks=stored), chunk)
    seen = np.zeros(shape, int)
    for key in keys:
        seen[key] += 1
        assert all(span.start % side == 0 for span, side in zip(key, chunk, strict=True))
        least = math.prod(min(n, side) for n, side in zip(shape, chunk, strict=True))
        assert math.prod(lengths(key)) <= max(least, 3 * budget // 8)
    assert (seen == 1).all()


@pytest.mark.parametrize("chunks", [None, (1, 128, 1024), (64, 64, 64), (2000, 16, 16)])
def test_blocks_of_a_stack_of_terabytes_are_small(chunks: tuple[int, int, int] | None) -> None:
    keys = block_keys(Stored((2000, 8192, 8192), chunks=chunks), (16, 64, 64))
    assert max(math.prod(lengths(key)) for key in keys) * 8 <= 3 * BLOCK_BYTES
    if chunks is not None:
        first = lengths(keys[0])
        assert all(side % chunk == 0 for side, chunk in zip(first, chunks, strict=True))


def test_blocks_of_tiny_chunks_hold_few_of_them() -> None:
    keys = block_keys(Stored((2**22, 10, 11), chunks=(9, 10, 11)), (16, 10, 11))
    assert max(math.prod(lengths(key)) for key in keys) <= 4096 * 9 * 10 * 11


@pytest.mark.parametrize(
    ("chunks", "shape", "chunk"),
    [
        (None, (200, 9000, 9000), (16, 64, 64)),
        ((1, 1024, 1024), (200, 1024, 1024), (16, 64, 64)),
        ((1, 2048, 2048), (200, 2048, 2048), (4, 128, 128)),
        ((1, 4096, 4096), (200, 4096, 4096), (1, 256, 256)),
        ((1, 9000, 9000), (200, 9000, 9000), (1, 256, 256)),
        (None, (3, 100, 20), (3, 64, 20)),
    ],
)
def test_a_stack_that_is_read_by_planes_gets_flat_chunks(
    chunks: tuple[int, int, int] | None, shape: tuple[int, int, int], chunk: tuple[int, int, int]
) -> None:
    stack = Volume(Stored(shape, chunks=chunks))
    assert Output(stack.data, stack.dtype, stack).chunk() == chunk


def test_deep_chunks_are_read_as_few_times_as_memory_allows() -> None:
    keys = block_keys(Stored((128, 2048, 2048), np.dtype("u2"), (64, 64, 64)), (1, 2048, 2048))
    assert lengths(keys[0]) == (24, 2048, 2048)


def test_blocks_are_longest_along_the_axis_that_lies_closest_together() -> None:
    xyz = LazyArray(Stored((2000, 2000, 2000)), (2, 1, 0), name="a")
    assert xyz.nearest_first == (0, 1, 2)
    assert lengths(block_keys(xyz, (16, 64, 64))[0]) == (2000, 64, 64)
    assert lengths(block_keys(Stored((2000, 2000, 2000)), (16, 64, 64))[0]) == (16, 256, 2000)
    assert LazyArray(np.zeros((2, 3)), (None, 1, 0), name="b").nearest_first == (1, 2, 0)


def test_a_block_has_the_files_type() -> None:
    volume = Volume(np.arange(24.0).reshape(2, 3, 4))
    one = Output(volume.data, np.dtype(np.uint8), volume, convert=lambda block: block + 1)
    (key,) = one.keys(chunk_for(one.shape))
    assert one.block(key).dtype == np.uint8
    np.testing.assert_array_equal(one.block(key), volume.data[...] + 1)


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError, match="object cannot be written"):
        as_json({"a": object()})
