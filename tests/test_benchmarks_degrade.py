"""The degradations by which benchmarks/robustness.py judges a model do what they claim, and no more."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from napari_scutoid.volume import Volume, VoxelSize


def _load(name: str):
    file = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


degrade_module = _load("degrade")
degrade, signal_to_noise, flat_tissue = (
    getattr(degrade_module, name) for name in ("degrade", "signal_to_noise", "flat_tissue")
)
DARK, CYTOPLASM, SD = 40.0, 140.0, 8.0


def tissue(sd: float = SD) -> tuple[Volume, np.ndarray]:
    """A block of cubic cells, brighter than what is around, with white noise of a known size."""
    labels = np.zeros((24, 48, 48), np.uint16)
    labels[4:20, 8:40, 8:40] = 1 + np.kron(np.arange(8).reshape(2, 2, 2), np.ones((8, 16, 16), int))
    image = np.where(labels > 0, CYTOPLASM, DARK) + np.random.default_rng(0).normal(0, sd, labels.shape)
    return Volume(image.astype(np.float32), VoxelSize(0.5, 0.2, 0.2)), labels


def test_signal_to_noise_is_that_of_the_noise_put_in() -> None:
    volume, _ = tissue()
    where = flat_tissue(volume.data)
    found = signal_to_noise(volume.data, where)
    assert np.isclose(found.noise, SD, rtol=0.1)
    assert np.isclose(found.signal, CYTOPLASM - DARK, rtol=0.2)  # the dim rim of the smoothed block counts as tissue
    assert np.isclose(found.ratio, found.signal / found.noise)


def test_flat_tissue_is_inside_the_tissue() -> None:
    volume, labels = tissue()
    where = flat_tissue(volume.data)
    assert where.sum() > 1000
    assert (labels[where] > 0).mean() > 0.8


def test_flat_image_has_no_signal() -> None:
    with pytest.raises(ValueError, match="flat"):
        flat_tissue(np.full((4, 8, 8), 7.0))


@pytest.mark.parametrize(("sd", "expected"), [(SD, 3.0), (0.2, None)])
def test_noise_brings_the_ratio_to_a_third_and_at_most_to_the_limit(sd: float, expected: float | None) -> None:
    volume, labels = tissue(sd)
    where = flat_tissue(volume.data)
    before = signal_to_noise(volume.data, where)
    worse, same = degrade("noise", volume, labels, seed=3)
    after = signal_to_noise(worse.data, where)
    wanted = degrade_module.LARGEST_RATIO if expected is None else before.ratio / expected
    assert np.isclose(after.ratio, wanted, rtol=0.03)
    assert same is labels


def test_noise_grows_with_brightness() -> None:
    volume, labels = tissue()
    added = np.asarray(degrade("noise", volume, labels).volume.data) - np.asarray(volume.data)
    assert added[labels > 0].std() > 1.3 * added[labels == 0].std()


@pytest.mark.parametrize("name", degrade_module.DEGRADATIONS)
def test_the_same_seed_gives_the_same_stack_and_the_original_stays(name: str) -> None:
    volume, labels = tissue()
    original = np.array(volume.data)
    one, two = (np.asarray(degrade(name, volume, labels, seed=5).volume.data) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(np.asarray(volume.data), original)
    assert one.dtype == original.dtype


@pytest.mark.parametrize("name", ["noise", "gradient"])
def test_another_seed_gives_another_stack(name: str) -> None:
    volume, labels = tissue()
    one, two = (np.asarray(degrade(name, volume, labels, seed=seed).volume.data) for seed in (0, 1))
    assert not np.array_equal(one, two)


def test_blur_spreads_a_point_by_its_sigma() -> None:
    image = np.zeros((21, 21, 21), np.float32)
    image[10, 10, 10] = 1000
    blurred = np.asarray(degrade("blur", Volume(image), image.astype(np.uint16)).volume.data, np.float64)
    place = np.arange(21) - 10
    for axis in range(3):
        along = blurred.sum(axis=tuple({0, 1, 2} - {axis}))
        assert np.isclose((along * place**2).sum() / along.sum(), degrade_module.BLUR**2, rtol=0.02)


@pytest.mark.parametrize("size", [None, VoxelSize(0.5, 0.2, 0.1)])
def test_half_z_drops_every_second_slice_of_both(size: VoxelSize | None) -> None:
    image = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    worse, labels = degrade("half_z", Volume(image, size), image.astype(np.uint16))
    np.testing.assert_array_equal(worse.data, image[[0, 2, 4]])
    np.testing.assert_array_equal(labels, image[[0, 2, 4]])
    assert worse.voxel_size_um == (None if size is None else VoxelSize(1.0, 0.2, 0.1))


def test_gradient_ends_at_a_quarter_above_the_dark_level() -> None:
    image = np.full((3, 41, 41), 500.0, np.float32)
    image[0] = 100.0  # a third of the voxels is dark
    worse = np.asarray(degrade("gradient", Volume(image), np.zeros(image.shape, np.uint16)).volume.data)
    np.testing.assert_array_equal(worse[0], image[0])
    np.testing.assert_array_equal(worse[1], worse[2])
    assert np.isclose(worse[1].max(), 500) and np.isclose(worse[1].min(), 100 + 400 * degrade_module.DARKEST)


def test_integers_stay_in_their_range() -> None:
    volume, labels = tissue()
    image = np.clip(2 * np.asarray(volume.data), 0, 255).astype(np.uint8)
    worse = np.asarray(degrade("noise", Volume(image), labels).volume.data)
    assert worse.dtype == np.uint8 and (worse == 255).any()


def test_unknown_name_and_other_grid_are_refused() -> None:
    volume, labels = tissue()
    with pytest.raises(ValueError, match="one of noise, blur, half_z, gradient, not 'rain'"):
        degrade("rain", volume, labels)
    with pytest.raises(ValueError, match="shape"):
        degrade("blur", volume, labels[1:])
