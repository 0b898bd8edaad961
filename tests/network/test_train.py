"""Training: honest patches, and a loss that falls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.segmentation import find_boundaries

from napari_scutoid.network.config import Architecture
from napari_scutoid.network.dataset import Example, draw_patch
from napari_scutoid.network.train import Schedule, learning_rate_factor, train
from napari_scutoid.network.unet import build
from napari_scutoid.progress import drain
from napari_scutoid.synth.tissue import synthesise


def _two_cells():
    labels = np.zeros((8, 16, 16), np.uint16)
    labels[:, 2:14, 2:8], labels[:, 2:14, 8:14] = 1, 2
    return labels


def test_targets_are_foreground_and_two_voxels_of_boundary():
    example = Example.from_labels(np.zeros((8, 16, 16)), _two_cells())
    foreground, boundary = example.targets
    assert foreground[0, 8].tolist() == [False] * 2 + [True] * 12 + [False] * 2
    assert np.flatnonzero(boundary[0, 8]).tolist() == [1, 2, 7, 8, 13, 14]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int64])
def test_targets_are_those_of_the_built_in_model(dtype):
    labels = synthesise("gland", (24, 32, 32), 1, cell_diameter=10).labels.data.astype(dtype)
    targets = Example.from_labels(np.zeros(labels.shape), labels).targets
    boundary = find_boundaries(labels, mode="thick", connectivity=1)
    assert targets.dtype == bool and targets.any()
    assert targets.tobytes() == np.stack([labels > 0, boundary]).tobytes()


def test_image_and_labels_must_fit():
    with pytest.raises(ValueError, match=r"\(8, 16, 16\).*\(4, 16, 16\)"):
        Example.from_labels(np.zeros((8, 16, 16)), np.zeros((4, 16, 16), np.uint8))


def test_image_and_target_are_turned_together():
    labels = _two_cells()
    # The image shows the foreground itself, so each augmented pair must still agree voxel by voxel.
    example = Example.from_labels((labels > 0).astype(np.float32), labels)
    rng = np.random.default_rng(0)
    for _ in range(20):
        image, target = draw_patch([example], (8, 12, 12), rng)
        assert image.shape == (1, 8, 12, 12)
        assert target.shape == (2, 8, 12, 12)
        inside = target[0] > 0
        if inside.any() and not inside.all():
            assert image[0][inside].min() > image[0][~inside].max()


def test_patches_are_taken_where_cells_are():
    labels = np.zeros((8, 64, 64), np.uint8)
    labels[:, :8, :8] = 1
    example = Example.from_labels(np.zeros(labels.shape), labels)
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert draw_patch([example], (8, 16, 16), rng, empty_share=0.0)[1][0].any()


@pytest.mark.parametrize("patch", [(8, 8, 12), (16, 16, 16)])
def test_a_patch_that_does_not_fit_is_refused(patch):
    example = Example.from_labels(np.zeros((8, 16, 16)), _two_cells())
    with pytest.raises(ValueError, match="patch"):
        draw_patch([example], patch, np.random.default_rng(0))


def test_learning_rate_rises_then_falls_to_zero():
    rates = [learning_rate_factor(done) for done in np.linspace(0, 1, 101)]
    assert rates[0] < 0.1
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert rates[-1] == pytest.approx(0)
    assert np.argmax(rates) <= 3


def test_training_lowers_the_loss_and_is_reproducible():
    labels = _two_cells()
    example = Example.from_labels((labels > 0) + np.random.default_rng(0).normal(0, 0.1, labels.shape), labels)
    schedule = Schedule(minutes=1.0, steps=25, patch=(8, 16, 16), learning_rate=1e-2)

    def once():
        torch.manual_seed(0)
        network = build(Architecture(plan=((4, 4), (8, 8))), 2)
        return drain(train(network, [example], schedule))

    one, again = once(), once()
    assert len(one.losses) == 25
    assert one.losses == again.losses
    assert np.mean(one.losses[-5:]) < 0.8 * np.mean(one.losses[:5])
    assert not one.module.training
    for mine, other in zip(one.module.parameters(), again.module.parameters(), strict=True):
        assert torch.equal(mine, other)
