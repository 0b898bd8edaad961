from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from napari_scutoid.progress import Progress, drain
from napari_scutoid.steps.cell_size import (
    SYSTEMATIC_UNCERTAINTY,
    CellSize,
    _most_certain,
    diameter_of,
    estimate_cell_size,
    estimating_cell_size,
    extent_of,
)
from napari_scutoid.steps.slabs import z_slabs

if TYPE_CHECKING:
    from pathlib import Path

TOLERANCE = 0.35
"""Relative error of the diameter that the resampling of a stack can live with."""


def voronoi(shape: tuple[int, int, int], diameter: float, z_step: float, seed: int) -> np.ndarray:
    """Label relaxed random Voronoi cells; ``diameter`` in equivalent voxels, voxels ``z_step`` times longer along z."""
    rng = np.random.default_rng(seed)
    edges = np.array([z_step ** (2 / 3), z_step ** (-1 / 3), z_step ** (-1 / 3)])
    count = max(2, round(np.prod(shape) / (np.pi / 6 * diameter**3)))
    points = (np.indices(shape).reshape(3, -1).T + 0.5) * edges
    sample = rng.random((20 * count, 3)) * shape * edges
    seeds = sample[:count]
    for _ in range(3):
        owner = cKDTree(seeds).query(sample)[1]
        seeds = np.array([sample[owner == i].mean(axis=0) if (owner == i).any() else seeds[i] for i in range(count)])
    return (cKDTree(seeds).query(points)[1] + 1).reshape(shape).astype(np.uint32)


def membranes(labels: np.ndarray, noise: float, seed: int, *, apical: np.ndarray | None = None) -> np.ndarray:
    """Blurred bright walls over dim cytoplasm, with photon and camera noise and light lost in depth."""
    rng = np.random.default_rng(seed)
    walls = np.zeros(labels.shape)
    for axis in range(3):
        step = np.diff(labels.astype(np.int64), axis=axis) != 0
        near = tuple(slice(None, -1) if i == axis else slice(None) for i in range(3))
        far = tuple(slice(1, None) if i == axis else slice(None) for i in range(3))
        walls[near] += step
        walls[far] += step
    photons = 100 * gaussian_filter(np.minimum(walls, 1), (0.8, 0.7, 0.7)) + 6 * (labels > 0) + 4
    if apical is not None:
        photons += 2000 * gaussian_filter(apical.astype(float), 1)
    photons *= np.exp(-0.5 * np.arange(len(labels)) / len(labels))[:, None, None]
    return (rng.poisson(photons / noise) * noise + rng.normal(0, 2, labels.shape)).astype(np.float32)


def true_diameter(labels: np.ndarray) -> float:
    sizes = np.bincount(labels.ravel())[1:]
    return float(np.cbrt(6 / np.pi * np.median(sizes[sizes > 0])))


@pytest.mark.parametrize(
    ("diameter", "z_step", "noise"),
    [(8, 1, 0.5), (12, 0.5, 2), (12, 3, 2), (18, 1, 5), (18, 5, 1), (24, 2, 5), (30, 1, 2)],
)
def test_packed_cells_of_many_sizes(diameter: float, z_step: float, noise: float) -> None:
    shape = (28, 90, 90) if z_step > 1 else (48, 72, 72)
    labels = voronoi(shape, diameter, z_step, seed=1)
    found = estimate_cell_size(membranes(labels, noise, seed=2))
    assert found.diameter == pytest.approx(true_diameter(labels), rel=TOLERANCE)
    # Blur takes part in the height of small flat cells, so anisotropy is known less well than size.
    assert 0.5 < found.anisotropy / z_step < 1.6
    assert SYSTEMATIC_UNCERTAINTY <= found.uncertainty < 0.5


@pytest.mark.parametrize("noise", [1, 6])
def test_tube_in_empty_surroundings_with_a_bright_apical_line(noise: float) -> None:
    shape = (40, 84, 84)
    labels = voronoi(shape, 12, 1, seed=3)
    z, y, _ = np.indices(shape)
    radius = np.hypot(z - 20, y - 40)
    labels[(radius > 17) | (radius < 3)] = 0
    _, labels = np.unique(labels, return_inverse=True)
    image = membranes(labels.reshape(shape), noise, seed=4, apical=radius < 2)
    found = estimate_cell_size(image)
    assert found.diameter == pytest.approx(true_diameter(labels), rel=TOLERANCE)


def test_gain_and_background_do_not_matter() -> None:
    image = membranes(voronoi((24, 48, 48), 12, 1, seed=1), 1, seed=2)
    first = estimate_cell_size(image)
    for other in (20 * image + 300, image * np.float32(1e15)):
        assert estimate_cell_size(other).diameter == pytest.approx(first.diameter, rel=0.02)


def test_large_lazy_stacks_are_looked_at_coarsely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import napari_scutoid.steps.cell_size as module

    monkeypatch.setattr(module, "_VOXELS", 60_000)
    labels = voronoi((24, 100, 104), 14, 1, seed=1)
    image = membranes(labels, 1, seed=2)
    reports: list[Progress] = []
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        dataset = file.create_dataset("raw", data=image, chunks=(5, 32, 32), compression="gzip")
        found = drain(estimating_cell_size(dataset), reports.append)
    assert found.diameter == pytest.approx(true_diameter(labels), rel=TOLERANCE)
    assert reports[-1].fraction == 1
    assert reports[-1].total == 3 * 5
    # Cancel answers while the stack is read, too.
    assert reports[0].done == 0


def test_binning_averages_along_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import napari_scutoid.steps.cell_size as module
    from napari_scutoid.steps.cell_size import _binned_shape, _binning

    monkeypatch.setattr(module, "z_slabs", lambda data: z_slabs(data, 1))  # one chunk at a time
    image = np.random.default_rng(0).random((11, 9, 13))
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        dataset = file.create_dataset("raw", data=image, chunks=(3, 9, 13))
        box = (slice(2, 11), slice(0, 9), slice(3, 12))
        expected = image[2:10, :8, 3:12].reshape(4, 2, 2, 4, 3, 3).mean(axis=(1, 3, 5))
        means = np.zeros(_binned_shape((2, 4, 3), box), np.float32)
        assert len(list(_binning(dataset, (2, 4, 3), box, means))) == 4
        np.testing.assert_allclose(means, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 5), np.uint8), r"\(4, 5\)"),
        (np.full((8, 9, 10), 3, np.uint8), "contrast"),
        (np.full((8, 9, 10), np.nan, np.float32), "NaN"),
        (np.arange(720.0).reshape(8, 9, 10) * 1e300, r"beyond 1e\+18"),
        (np.arange(3000.0).reshape(10, 15, 20), "enclosed"),
    ],
)
def test_refuses(image: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        estimate_cell_size(image)


@pytest.mark.parametrize("shape", [(1, 60, 60), (3, 40, 50)])
def test_thin_stacks(shape: tuple[int, int, int]) -> None:
    image = membranes(voronoi(shape, 10, 1, seed=1), 1, seed=2)
    assert isinstance(estimate_cell_size(image), CellSize)


@pytest.mark.parametrize("name", ["glands/salivary_WT_2018-04-10_2a.h5", "plants/ovule_plantseg_sample.h5"])
def test_real_stacks(shared_data: Path, name: str) -> None:
    with h5py.File(shared_data / name) as file:
        found = estimate_cell_size(file["raw"])
        assert found.diameter == pytest.approx(true_diameter(file["label"][:]), rel=TOLERANCE)


def test_a_handful_of_regions_is_believed_only_where_no_grid_shows_more():
    few, many = (CellSize(200.0, 1.0, 0.2), 8.0), (CellSize(15.0, 1.0, 0.3), 40.0)
    assert _most_certain([few, many]) is many[0]
    assert _most_certain([few, (CellSize(90.0, 1.0, 0.5), 4.0)]) is few[0]
    assert _most_certain([many, (CellSize(16.0, 1.0, 0.15), 60.0)]).diameter == 16.0


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.5, 0.5), (0.3, 0.2, 0.1)])
def test_a_ball_in_the_tissue_is_an_ellipsoid_of_voxels_of_the_same_number(spacing: tuple[float, ...]) -> None:
    extent = extent_of(20.0, spacing)
    assert np.prod(extent) == pytest.approx(20.0**3)
    np.testing.assert_allclose(np.multiply(extent, spacing), extent[0] * spacing[0])
    assert diameter_of(np.pi / 4 * extent[1] * extent[2], spacing) == pytest.approx(20.0)
