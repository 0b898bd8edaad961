"""Probabilities to cells: seeds, both implementations, borders, anisotropy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.metrics import adapted_rand_error

from napari_scutoid.progress import Progress, drain
from napari_scutoid.recipe import Cleanup, Watershed
from napari_scutoid.steps.boundaries import find_boundaries
from napari_scutoid.steps.watershed import (
    cells_from_probabilities,
    height_map,
    relative_spacing,
    wall_distance,
    without_specks,
)

SHAPE = (40, 56, 56)


def voronoi(shape=SHAPE, n=24, seed=0, spacing=(1.0, 1.0, 1.0)):
    """Return relaxed Voronoi cells, about 17 voxels across."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.arange(s) * e for s, e in zip(shape, spacing, strict=True)), indexing="ij"), -1)
    points = rng.uniform(0, np.multiply(shape, spacing), (n, 3))
    for _ in range(4):
        nearest = ((grid[..., None, :] - points) ** 2).sum(-1).argmin(-1)
        points = np.stack([grid[nearest == i].mean(0) for i in range(n)])
    return (nearest + 1).astype(np.uint32)


def probabilities(labels, seed=0, noise=0.15):
    """Return foreground and boundary as a network would see them: blurred and noisy."""
    rng = np.random.default_rng(seed)
    boundary = gaussian_filter(find_boundaries(labels, mode="thick", connectivity=1).astype(np.float32), 0.7)
    boundary += gaussian_filter(rng.standard_normal(labels.shape).astype(np.float32), 0.7) * noise
    foreground = gaussian_filter((labels > 0).astype(np.float32), 0.5)
    return np.clip(foreground, 0, 1), np.clip(boundary, 0, 1)


def cells(foreground, boundary, spacing=(1.0, 1.0, 1.0), *, min_size=50, **settings):
    return drain(
        cells_from_probabilities(foreground, boundary, Watershed(**settings), Cleanup(min_size=min_size), spacing)
    )


def two_rooms(depth=12):
    """Return probabilities of two rooms with a wall one voxel thick between them, open to the stack's border."""
    boundary = np.zeros((depth, 16, 33), np.float32)
    boundary[:, :, 16] = 1.0
    return np.ones_like(boundary), boundary


@pytest.fixture(scope="module")
def tissue():
    labels = voronoi()
    labels[:, :8] = 0  # outside
    return labels


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_backends_agree_on_noisy_cells(tissue, seed):
    maps = probabilities(tissue, seed, noise=0.3)
    fast = cells(*maps)
    reference = cells(*maps, backend="scikit-image")
    assert adapted_rand_error(reference, fast)[0] < 0.01
    assert np.array_equal(fast > 0, reference > 0)


@pytest.mark.parametrize("backend", ["bioimage-cpp", "scikit-image"])
def test_recovers_the_cells(tissue, backend):
    found = cells(*probabilities(tissue), backend=backend, seed_sigma=1.5)
    assert found.dtype == np.uint32
    assert adapted_rand_error(tissue, found)[0] < 0.05
    assert abs(int(found.max()) - (np.unique(tissue).size - 1)) <= 1
    assert np.array_equal(np.unique(found), np.arange(found.max() + 1))


def test_same_input_same_result(tissue):
    maps = probabilities(tissue)
    assert np.array_equal(cells(*maps), cells(*maps))


def test_no_cell_outside_the_foreground(tissue):
    foreground, boundary = probabilities(tissue)
    assert not cells(foreground, boundary)[foreground < 0.5].any()


def test_inputs_are_not_changed(tissue):
    maps = probabilities(tissue)
    copies = [m.copy() for m in maps]
    cells(*maps)
    assert all(np.array_equal(m, c) for m, c in zip(maps, copies, strict=True))


def test_half_precision_maps(tissue):
    maps = [m.astype(np.float16) for m in probabilities(tissue)]
    assert adapted_rand_error(tissue, cells(*maps, seed_sigma=1.5))[0] < 0.05


def test_one_cell_on_each_side_of_a_wall():
    found = cells(*two_rooms())
    assert found.max() == 2
    assert len(np.unique(found[:, :, :16])) == len(np.unique(found[:, :, 17:])) == 1
    assert np.all(found > 0)  # the wall is tissue: cells meet inside it


def test_a_gap_in_a_wall_does_not_merge_cells():
    foreground, boundary = two_rooms()
    boundary[4:8, 6:10, 16] = 0.0
    found = cells(foreground, boundary, seed_sigma=2.0)
    assert found[6, 8, 4] != found[6, 8, 28]
    components = cells(foreground, boundary, method="components")
    assert components.max() == 1


def test_components_leave_walls_empty():
    foreground, boundary = two_rooms()
    found = cells(foreground, boundary, method="components")
    assert found.max() == 2
    assert np.array_equal(found == 0, boundary > 0.5)


def test_components_do_not_meet_at_corners():
    foreground = np.zeros((4, 4, 4), np.float32)
    foreground[:2, :2, :2] = foreground[2:, 2:, 2:] = 1
    assert cells(foreground, np.zeros_like(foreground), method="components", min_size=0).max() == 2


def test_the_stack_border_is_no_wall():
    foreground, boundary = two_rooms(depth=2)  # a slice of two cells: nowhere 2 voxels from the border
    assert cells(foreground, boundary).max() == 2


def test_no_tissue_gives_no_cells():
    empty = np.zeros((4, 5, 6), np.float32)
    assert not cells(empty, empty).any()


def test_tissue_without_any_wall_is_one_cell():
    full = np.ones((4, 5, 6), np.float32)
    assert np.array_equal(np.unique(cells(full, full * 0)), [1])


def test_specks_split_no_cell():
    foreground, boundary = two_rooms(depth=16)
    boundary[7:9, 7:9, 7:9] = 1.0
    foreground[8, 8, 25] = 0.0
    assert cells(foreground, boundary, smallest_wall=0, seed_sigma=0.5).max() > 2
    assert cells(foreground, boundary).max() == 2


def test_a_speck_of_background_takes_no_cell_away():
    foreground, boundary = two_rooms(depth=15)
    foreground[7, 7:9, 8] = 0.0  # in the middle of the left room, where its seed lies
    holes = drain(cells_from_probabilities(foreground, boundary, Watershed(), Cleanup(fill_holes=False)))
    assert holes.max() == 2
    assert np.array_equal(holes == 0, foreground == 0)
    assert np.all(cells(foreground, boundary) > 0)


def test_only_small_pieces_of_wall_are_specks():
    interior = np.ones((4, 6, 12), bool)
    interior[1, 1, 1] = interior[2, 2, 2] = False  # two voxels that meet at a corner
    interior[:, :, 8] = False
    assert np.array_equal(without_specks(interior, 2), interior)
    expected = np.ones_like(interior)
    expected[:, :, 8] = False
    assert np.array_equal(without_specks(interior, 3), expected)
    assert without_specks(interior, 25).all()
    assert not without_specks(np.zeros((3, 3, 3), bool), 27).any()


def test_distance_honours_spacing_along_each_axis():
    interior = np.random.default_rng(0).random((6, 7, 8)) > 0.05
    unit = (2.0, 1.0, 0.5)
    expected = distance_transform_edt(interior, sampling=unit)
    np.testing.assert_allclose(wall_distance(interior, unit), expected, rtol=1e-5)


def test_only_the_ratio_of_spacing_matters(tissue):
    maps = probabilities(tissue)
    assert np.array_equal(cells(*maps, (2, 1, 1)), cells(*maps, (0.4, 0.2, 0.2)))
    assert relative_spacing((8, 1, 1)) == pytest.approx((4, 0.5, 0.5))


def test_flat_voxels_need_their_spacing():
    labels = voronoi((14, 56, 56), spacing=(4.0, 1.0, 1.0))
    maps = probabilities(labels)
    errors = {z: adapted_rand_error(labels, cells(*maps, (z, 1, 1), seed_distance=1.0))[0] for z in (1, 4)}
    assert errors[4] < 0.1
    assert errors[4] < errors[1]


def test_height_lies_between_zero_and_one_and_grows_with_boundary():
    _, boundary = two_rooms()
    height = height_map(boundary, wall_distance(boundary < 0.5, (1, 1, 1)))
    assert height.min() >= -1e-6
    assert height.max() == pytest.approx(1.0)
    assert height[0, 0, 16] > height[0, 0, 15] > height[0, 0, 0]


def test_progress_names_every_stage():
    steps = list(cells_from_probabilities(*two_rooms(), Watershed(), Cleanup()))
    assert len(steps) >= 5
    assert all(isinstance(p, Progress) and 0 <= p.done <= p.total for p in steps)


@pytest.mark.parametrize(
    ("foreground", "boundary", "spacing", "message"),
    [
        (np.zeros((2, 3, 4)), np.zeros((2, 3, 5)), (1, 1, 1), r"\(2, 3, 4\), boundary \(2, 3, 5\)"),
        (np.zeros((3, 4)), np.zeros((3, 4)), (1, 1, 1), r"three axes.*\(3, 4\)"),
        (np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 4)), (1, 1, 1), "foreground must be floating point.*uint8"),
        (np.zeros((2, 3, 4)), np.full((2, 3, 4), 255.0), (1, 1, 1), "boundary must lie between 0 and 1.*255"),
        (np.zeros((2, 3, 4)), np.full((2, 3, 4), np.nan), (1, 1, 1), "boundary must lie between 0 and 1"),
        (np.zeros((2, 3, 4)), np.zeros((2, 3, 4)), (1, 0, 1), "spacing must be three positive numbers"),
    ],
)
def test_refuses(foreground, boundary, spacing, message):
    with pytest.raises(ValueError, match=message):
        cells(foreground, boundary, spacing)
