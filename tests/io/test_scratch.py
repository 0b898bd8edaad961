from __future__ import annotations

import gc
import shutil
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.scratch import Scratch, scratch_dir

SHAPE = (21, 70, 130)


def spans(n):
    return st.tuples(st.integers(0, n - 1), st.integers(1, n)).map(lambda s: slice(s[0], s[0] + s[1]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch")


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(*map(spans, SHAPE)), min_size=1, max_size=4),
    st.tuples(*(st.one_of(spans(n), st.integers(-n, n - 1)) for n in SHAPE)),
)
def test_reads_what_an_array_in_memory_would_hold(folder, written, read):
    scratch, array = Scratch(SHAPE, np.float32, folder), np.zeros(SHAPE, np.float32)
    for number, box in enumerate(written):
        values = np.random.default_rng(number).random(array[box].shape, np.float32)
        scratch[box] = array[box] = values
    np.testing.assert_array_equal(scratch.array("x")[read], array[read])
    plain = tuple(range(n)[one] if isinstance(one, int) else one for n, one in zip(SHAPE, read, strict=True))
    np.testing.assert_array_equal(scratch[plain], array[read])


def test_numbers_are_rounded_to_its_own_and_one_number_fills_a_piece(folder):
    scratch = Scratch(SHAPE, folder=folder)
    scratch[3:5] = 0.25
    scratch[7] = np.full(SHAPE[1:], 1 / 3)
    assert scratch.dtype == np.float16
    whole = np.asarray(scratch.array("x"))
    assert whole.sum(dtype=float) == pytest.approx(SHAPE[1] * SHAPE[2] * (0.5 + float(np.float16(1 / 3))))
    assert whole[7, 3, 4] == np.float16(1 / 3)


def test_nothing_is_left_on_the_disk(folder):
    (folder / "napari-scutoid_1_dead.scratch").write_bytes(b"of a killed program")
    scratch = Scratch(SHAPE, folder=folder)
    view = scratch.array("x")
    file = scratch._file
    del scratch
    gc.collect()
    assert view[0].sum() == 0  # whoever reads from it keeps it
    del view
    gc.collect()
    assert file.closed
    assert not list(folder.iterdir())


def test_the_folder_is_where_a_cluster_says(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert scratch_dir() == tmp_path
    monkeypatch.delenv("TMPDIR")
    assert scratch_dir() != tmp_path


def test_a_full_disk_is_told(folder, monkeypatch):
    scratch = Scratch(SHAPE, folder=folder)

    class Full:
        name = scratch._file.name

        def seek(self, _):
            pass

        def write(self, block):
            if len(block) < 1000:
                raise OSError(28, "No space left on device")
            return len(block) - 999  # as a disk does that has room for a part

    scratch._file = Full()
    with pytest.raises(ScutoidError, match="No space left"):
        scratch[0:16, 0:64, 0:64] = 1.0
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 0))
    with pytest.raises(ScutoidError, match=r"0\.0 GiB are free"):
        Scratch(SHAPE, folder=folder)
    file = folder / "a file"
    file.write_bytes(b"")
    with pytest.raises(ScutoidError, match="intermediate results"):
        Scratch(SHAPE, folder=file)
