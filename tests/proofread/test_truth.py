from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from paint_scenes import scene_of

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.pairs import find_pairs, open_pair
from napari_scutoid.progress import drain
from napari_scutoid.proofread.base import Base
from napari_scutoid.proofread.truth import Truth, write_truth
from napari_scutoid.volume import UNKNOWN, Source, Volume, VoxelSize

LABELS = np.zeros((8, 10, 12), np.uint32)
LABELS[:, 2:6, :4], LABELS[:, 2:6, 4:9] = 3, 70_000
LUMEN = np.zeros(LABELS.shape, np.bool_)
LUMEN[:, :, 11] = True
BASE = Base(LABELS.shape, "")


def all_of(truth):
    return truth[:, :, :]


def test_only_accepted_cells_and_the_lumen_are_known() -> None:
    known = all_of(Truth(scene_of(LABELS, lumen=LUMEN, accepted=[3]), LABELS.shape))
    np.testing.assert_array_equal(known == 3, LABELS == 3)
    np.testing.assert_array_equal(known == 0, LUMEN)
    assert set(np.unique(known)) == {0, 3, UNKNOWN}


def test_what_is_a_cell_and_lumen_is_the_cell() -> None:
    known = all_of(Truth(scene_of(LABELS, lumen=LUMEN | (LABELS > 0), accepted=[3]), LABELS.shape))
    np.testing.assert_array_equal(known == 3, LABELS == 3)
    np.testing.assert_array_equal(known == 0, LUMEN)


def test_all_cells_accepted_make_the_outside_known() -> None:
    known = all_of(Truth(scene_of(LABELS, accepted=[3, 70_000]), LABELS.shape))
    np.testing.assert_array_equal(known, LABELS)


def test_the_user_says_whether_the_outside_is_right() -> None:
    right = all_of(Truth(scene_of(LABELS, accepted=[3]), LABELS.shape, outside=True))
    np.testing.assert_array_equal(right, np.where(LABELS == 70_000, UNKNOWN, LABELS))
    wrong = all_of(Truth(scene_of(LABELS, accepted=[3, 70_000]), LABELS.shape, outside=False))
    np.testing.assert_array_equal(wrong, np.where(LABELS == 0, UNKNOWN, LABELS))


def test_an_accepted_cell_that_is_gone_does_not_count() -> None:
    truth = Truth(scene_of(LABELS, accepted=[3, 5]), LABELS.shape)
    assert (truth.n_accepted, truth.outside) == (1, False)


@pytest.mark.parametrize("name", ["a.h5", "a.mat", "a.zarr", "a.tif"])
def test_training_finds_what_is_written(tmp_path, name) -> None:
    scene = scene_of(LABELS, lumen=LUMEN, accepted=[3])
    image = Volume(np.arange(2 * LABELS.size, dtype=np.uint16).reshape(8, 10, 24), VoxelSize(1.0, 0.5, 0.5))
    drain(write_truth(tmp_path / name, image, scene, BASE))
    (pair,) = find_pairs(tmp_path).pairs
    read, labels = open_pair(pair)
    np.testing.assert_array_equal(read.data[:], image.data)
    np.testing.assert_array_equal(labels.data, all_of(Truth(scene, LABELS.shape)).repeat(2, axis=2))
    assert read.voxel_size_um == image.voxel_size_um


def test_what_is_unknown_is_masked_in_training(tmp_path) -> None:
    from napari_scutoid.network.dataset import TrainingStack

    scene = scene_of(LABELS, lumen=LUMEN, accepted=[3])
    drain(write_truth(tmp_path / "a.h5", Volume(np.ones(LABELS.shape, np.float32)), scene, BASE))
    _, labels = open_pair(find_pairs(tmp_path / "a.h5").pairs[0])
    stack = TrainingStack.from_labels(np.zeros(LABELS.shape, np.float32), labels.data, known=labels.data != UNKNOWN)
    np.testing.assert_array_equal(stack.labels == 3, LABELS == 3)
    assert stack.labels.max() == 3
    np.testing.assert_array_equal(stack.known, (LABELS == 3) | LUMEN)


def test_nothing_accepted_is_told(tmp_path) -> None:
    with pytest.raises(ScutoidError, match="no cell is accepted"):
        drain(write_truth(tmp_path / "a.h5", Volume(np.ones(LABELS.shape)), scene_of(LABELS), BASE))
    assert list(tmp_path.iterdir()) == []


def test_neither_the_labels_nor_the_image_is_written_over(tmp_path) -> None:
    file = tmp_path / "gland.h5"
    file.write_bytes(b"raw and labels")
    image, scene = Volume(np.ones(LABELS.shape, np.float32)), scene_of(LABELS, accepted=[3])
    with pytest.raises(ScutoidError, match="corrections start from this file"):
        drain(write_truth(file, image, scene, replace(BASE, file=str(file))))
    with pytest.raises(ScutoidError, match="it is the stack itself"):
        drain(write_truth(file, replace(image, source=Source(str(file), "raw")), scene, BASE))
    assert file.read_bytes() == b"raw and labels"
