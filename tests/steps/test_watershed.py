"""Probabilities to cells: seeds, both implementations, borders, anisotropy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.metrics import adapted_rand_error

from napari_scutoid.progress import Progress, drain
from napari_scutoid.recipe import Watershed
from napari_scutoid.steps.boundaries import find_boundaries
from napari_scutoid.steps.tissue import STAGES
from napari_scutoid.steps.walls import (
    ball_volume,
    height_map,
    relative_spacing,
    typical_diameter,
    wall_distance,
    without_specks,
)
from napari_scutoid.steps.watershed import bounded_regions

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


def regions(foreground, boundary, spacing=(1.0, 1.0, 1.0), seeds=None, **settings):
    return drain(bounded_regions(foreground, boundary, Watershed(**settings), spacing, seeds)).labels


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
    fast = regions(*maps)
    reference = regions(*maps, backend="scikit-image")
    assert adapted_rand_error(reference, fast)[0] < 0.01
    assert np.array_equal(fast > 0, reference > 0)


@pytest.mark.parametrize("backend", ["compiled", "bioimage-cpp", "scikit-image"])
def test_recovers_the_cells(tissue, backend):
    found = regions(*probabilities(tissue), backend=backend)
    assert found.dtype == np.uint32
    assert adapted_rand_error(tissue, found)[0] < 0.05
    assert abs(int(found.max()) - (np.unique(tissue).size - 1)) <= 1


def test_same_input_same_result(tissue):
    maps = probabilities(tissue)
    assert np.array_equal(regions(*maps), regions(*maps))


def test_no_cell_outside_the_foreground(tissue):
    foreground, boundary = probabilities(tissue)
    assert not regions(foreground, boundary)[foreground < 0.5].any()


def test_inputs_are_not_changed(tissue):
    maps = probabilities(tissue)
    copies = [m.copy() for m in maps]
    regions(*maps)
    assert all(np.array_equal(m, c) for m, c in zip(maps, copies, strict=True))


def test_half_precision_maps(tissue):
    maps = [m.astype(np.float16) for m in probabilities(tissue)]
    assert adapted_rand_error(tissue, regions(*maps))[0] < 0.05


def test_one_cell_on_each_side_of_a_wall():
    found = regions(*two_rooms())
    assert found.max() == 2
    assert len(np.unique(found[:, :, :16])) == len(np.unique(found[:, :, 17:])) == 1
    assert np.all(found > 0)  # the wall is tissue: cells meet inside it


def test_a_gap_in_a_wall_does_not_merge_cells():
    foreground, boundary = two_rooms()
    boundary[4:8, 6:10, 16] = 0.0
    found = regions(foreground, boundary)
    assert found[6, 8, 4] != found[6, 8, 28]
    components = regions(foreground, boundary, method="components")
    assert components.max() == 1


def test_components_leave_walls_empty():
    foreground, boundary = two_rooms()
    found = regions(foreground, boundary, method="components")
    assert found.max() == 2
    assert np.array_equal(found == 0, boundary > 0.5)


def test_components_do_not_meet_at_corners():
    foreground = np.zeros((4, 4, 4), np.float32)
    foreground[:2, :2, :2] = foreground[2:, 2:, 2:] = 1
    assert regions(foreground, np.zeros_like(foreground), method="components").max() == 2


def test_the_stack_border_is_no_wall():
    foreground, boundary = two_rooms(depth=2)  # a slice of two cells: nowhere 2 voxels from the border
    assert regions(foreground, boundary).max() == 2


def test_no_tissue_gives_no_cells():
    empty = np.zeros((4, 5, 6), np.float32)
    assert not regions(empty, empty).any()


def test_tissue_without_any_wall_is_one_cell():
    full = np.ones((4, 5, 6), np.float32)
    assert np.array_equal(np.unique(regions(full, full * 0)), [1])


def test_specks_split_no_cell():
    foreground, boundary = two_rooms(depth=16)
    boundary[7:9, 7:9, 7:9] = 1.0
    foreground[8, 8, 25] = 0.0
    assert regions(foreground, boundary, smallest_wall=0, seed_sigma=0.02).max() > 2
    assert regions(foreground, boundary).max() == 2


def test_a_speck_of_background_takes_no_cell_away():
    foreground, boundary = two_rooms(depth=15)
    foreground[7, 7:9, 8] = 0.0  # in the middle of the left room, where its seed lies
    holes = regions(foreground, boundary, closing=1)
    assert holes.max() == 2
    assert np.array_equal(holes == 0, foreground == 0)
    assert np.all(regions(foreground, boundary) > 0)


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
    assert np.array_equal(regions(*maps, (2, 1, 1)), regions(*maps, (0.4, 0.2, 0.2)))
    assert relative_spacing((8, 1, 1)) == pytest.approx((4, 0.5, 0.5))


def test_flat_voxels_need_their_spacing():
    labels = voronoi((14, 56, 56), spacing=(4.0, 1.0, 1.0))
    maps = probabilities(labels)
    found = drain(bounded_regions(*maps, Watershed(), (4, 1, 1)))
    assert adapted_rand_error(labels, found.labels)[0] < 0.1
    assert found.diameter == pytest.approx(np.cbrt(6 / np.pi * labels.size / 24), rel=0.4)


def test_height_lies_between_zero_and_one_and_grows_with_boundary():
    _, boundary = two_rooms()
    height = height_map(boundary, wall_distance(boundary < 0.5, (1, 1, 1)))
    assert height.min() >= -1e-6
    assert height.max() == pytest.approx(1.0)
    assert height[0, 0, 16] > height[0, 0, 15] > height[0, 0, 0]


def test_progress_names_every_stage():
    steps = list(bounded_regions(*two_rooms(), Watershed()))
    assert steps == [Progress(stage, i, len(STAGES)) for i, stage in enumerate(STAGES)]


def dark_rooms():
    """Return three rooms in a row: two cells, the first with a dark middle, and a lumen whose rim looks like tissue."""
    boundary = np.zeros((14, 16, 50), np.float32)
    boundary[:, :, [16, 33]] = 1.0
    foreground = np.ones_like(boundary)
    foreground[3:11, 4:12, 4:12] = 0.1
    foreground[:, :, 36:] = 0.0
    return foreground, boundary


def test_walls_close_the_dark_middle_of_a_cell_but_no_lumen():
    foreground, boundary = dark_rooms()
    found = regions(foreground, boundary)
    assert np.all(found[:, :, :16] == found[0, 0, 0]) and found[0, 0, 0] > 0
    assert not found[:, :, 36:].any()
    assert (regions(foreground, boundary, closing=1) == 0)[3:11, 4:12, 4:12].all()


@pytest.mark.parametrize("width", [3, 4, 7])
def test_a_thin_lumen_between_walls_is_closed_by_no_cell(width):
    boundary = np.zeros((29, 29, 29 + width), np.float32)
    boundary[[0, 14, 28]] = boundary[:, [0, 14, 28]] = 0.95
    boundary[:, :, [0, 14, 15 + width, -1]] = 0.95
    foreground = np.ones_like(boundary)
    lumen = np.s_[15:28, 15:28, 15 : 15 + width]
    foreground[lumen] = 0.0
    assert not regions(foreground, boundary)[lumen].any()


def test_a_slice_holds_a_slice_of_a_cell():
    assert ball_volume(20.0, (64, 64, 64), (1, 1, 1)) == pytest.approx(np.pi / 6 * 20**3)
    assert ball_volume(20.0, (1, 64, 64), (1, 1, 1)) == pytest.approx(np.pi / 6 * 20**2)
    assert ball_volume(20.0, (4, 64, 64), (2.0, 0.5, 0.5)) == pytest.approx(np.pi / 6 * 8 * 20**2)


def test_kinds_of_seeds_keep_more_or_fewer_maxima():
    foreground, boundary = probabilities(voronoi(seed=3), noise=0.5)

    def count(kind, **more):
        return int(drain(bounded_regions(foreground, boundary, Watershed(seeds=kind, **more))).labels.max())

    assert count("maxima") > count("prominent") >= count("prominent", seed_prominence=0.5)
    assert count("maxima") >= count("h-maxima", seed_height=0.01) > count("h-maxima", seed_height=0.4)


def test_predicted_seeds_replace_all_others():
    foreground, boundary = two_rooms()
    predicted = np.zeros_like(boundary)
    for place in ((6, 4, 8), (6, 12, 8), (6, 8, 25)):
        predicted[place] = 0.9
    found = regions(foreground, boundary, seeds=predicted)
    assert found.max() == 3
    assert found[6, 4, 8] != found[6, 12, 8]
    assert not regions(foreground, boundary, seeds=np.zeros_like(predicted)).any()


@pytest.mark.parametrize("across", [6, 12, 30, 48])
def test_one_set_of_settings_serves_small_and_large_cells(across):
    edge = 3 * across
    place = np.indices((edge, edge, edge)) // across
    labels = (1 + place[0] + 3 * place[1] + 9 * place[2]).astype(np.uint32)
    wall = find_boundaries(labels, mode="inner" if across == 6 else "thick", connectivity=1)
    found = regions(np.ones(labels.shape, np.float32), wall.astype(np.float32))
    assert found.max() == 27
    assert adapted_rand_error(np.where(wall, 0, labels), found, ignore_labels=[0])[0] < 1e-6


def test_the_diameter_of_a_ball_is_found():
    place = np.indices((41, 41, 41)) - 20
    ball = (place**2).sum(0) <= 15**2
    assert typical_diameter(wall_distance(ball, (1, 1, 1))) == pytest.approx(30, rel=0.1)
    assert typical_diameter(np.zeros((2, 2, 2), np.float32)) == 0.0


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
        regions(foreground, boundary, spacing)
