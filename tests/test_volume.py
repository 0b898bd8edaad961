"""Volumes, labels and progress."""

from __future__ import annotations

import numpy as np
import pytest

from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress, drain
from napari_scutoid.volume import Labels, Volume, VoxelSize, as_label_array


def test_a_volume_is_three_dimensional_and_not_empty():
    with pytest.raises(ValueError, match=r"three axes.*\(2, 2\)"):
        Volume(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"along every axis.*\(0, 2, 2\)"):
        Volume(np.zeros((0, 2, 2)))


def test_an_unknown_voxel_size_stays_unknown():
    volume = Volume(np.zeros((2, 2, 2)))
    assert volume.voxel_size_um is None
    assert volume.spacing == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("edges", [(0, 1, 1), (1, -1, 1), (1, 1, float("nan")), (float("inf"), 1, 1)])
def test_a_voxel_has_three_positive_edges(edges):
    with pytest.raises(ValueError, match="positive"):
        VoxelSize.checked(*edges)


def test_history_grows_and_the_original_is_untouched():
    first = Volume(np.zeros((2, 2, 2)), history=("read",))
    second = first.with_data(np.ones((1, 1, 1)), "shrunk", voxel_size_um=VoxelSize(2, 2, 2))
    assert second.history == ("read", "shrunk")
    assert first.history == ("read",)
    assert first.shape == (2, 2, 2)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.uint64, np.float64])
def test_labels_become_uint32(dtype):
    labels = Labels(np.ones((1, 2, 2), dtype))
    assert labels.data.dtype == np.uint32
    assert labels.data.tolist() == [[[1, 1], [1, 1]]]


@pytest.mark.parametrize(
    ("values", "told"),
    [([-1, 2], "4294967295"), ([2**33, 1], "4294967295"), ([0.5, 1], "fractions"), ([np.nan, 1], "fractions")],
)
def test_labels_that_would_change_are_refused(values, told):
    with pytest.raises(ValueError, match=told):
        as_label_array(np.array(values))


def test_labels_of_no_number_are_refused():
    with pytest.raises(ValueError, match="whole numbers"):
        as_label_array(np.array(["a"]))


def test_a_lumen_has_the_labels_shape():
    with pytest.raises(ValueError, match="lumen"):
        Labels(np.ones((1, 2, 2), np.uint8), lumen=np.zeros((2, 2, 2), bool))


def test_a_problem_reads_as_one_message():
    error = ScutoidError("`raw` could not be opened.", "it has 4 axes", "choose the channel with --channel")
    assert str(error) == "`raw` could not be opened: it has 4 axes. What to try: choose the channel with --channel."
    assert not isinstance(error, RuntimeError)


def test_drain_reports_and_returns():
    def job():
        yield Progress("Counting", 1, 2)
        yield Progress("Counting", 2, 2)
        return "done"

    seen = []
    assert drain(job(), seen.append) == "done"
    assert [progress.fraction for progress in seen] == [0.5, 1.0]
