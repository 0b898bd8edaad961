from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_scutoid.progress import Progress, drain
from napari_scutoid.recipe import Rescale
from napari_scutoid.steps.cell_size import CellSize
from napari_scutoid.steps.resampling import AlongZ, apply_along, coverage_matrix, interpolation_matrix, nearest_indices
from napari_scutoid.steps.rescale import (
    crop,
    distortion_warning,
    labels_to_shape,
    rescale_labels,
    rescale_to_shape,
    rescale_volume,
    rescaling,
    rescaling_labels,
    target_factors,
)
from napari_scutoid.volume import Labels, Origin, Volume, VoxelSize

SIZE = VoxelSize(0.5, 0.2, 0.3)
ORIGIN = Origin(10.0, -4.0, 2.5)


def blob(shape: tuple[int, int, int], centre: tuple[float, float, float], radius: float) -> np.ndarray:
    grid = np.indices(shape).astype(float)
    distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)))
    return np.exp(-0.5 * (distance / radius) ** 2)


def ball(shape: tuple[int, int, int], centre: tuple[float, float, float], radius: float) -> np.ndarray:
    grid = np.indices(shape).astype(float)
    return (sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) < radius**2).astype(np.uint32)


def centroid_um(grid: Volume | Labels) -> np.ndarray:
    centre = np.array(ndimage.center_of_mass(np.asarray(grid.data).astype(float)))
    assert grid.voxel_size_um is not None
    return np.array(grid.origin_um) + centre * np.array(grid.voxel_size_um)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("factors", [(0.25, 0.125, 0.125), (0.5, 0.37, 0.61), (2, 1, 1.5), (0.5, 2, 0.9)])
def test_centroid_stays_through_crop_rescale_and_inverse(order: int, factors: tuple[float, float, float]) -> None:
    whole = Volume(blob((48, 96, 96), (25.3, 47.1, 50.4), 5), SIZE, ORIGIN)
    cropped = crop(whole, (slice(3, None), slice(6, 91), slice(5, 95)))
    small = rescale_volume(cropped, factors, order=order)
    back = rescale_to_shape(small, cropped.shape, order=order)
    for step in (cropped, small, back):
        assert np.all(np.abs(centroid_um(step) - centroid_um(whole)) < 0.1 * np.array(SIZE))
    assert back.shape == cropped.shape
    assert back.voxel_size_um == pytest.approx(cropped.voxel_size_um)
    assert back.origin_um == pytest.approx(cropped.origin_um)
    assert small.dtype == np.float32


@pytest.mark.parametrize("method", ["nearest", "voting"])
@pytest.mark.parametrize("factors", [(0.5, 0.25, 0.25), (0.4, 0.37, 0.61), (2, 1, 1.5)])
def test_label_centroid_stays_through_rescale_and_inverse(method: Any, factors: tuple[float, float, float]) -> None:
    labels = Labels(ball((60, 90, 90), (30.2, 44.6, 46.1), 19), SIZE, ORIGIN)
    small = rescale_labels(labels, factors, method=method)
    back = labels_to_shape(small, labels.shape, method=method)
    for step in (small, back):
        # A mask has no parts of voxels: its centroid is only as good as the outline on the coarser grid.
        coarser = np.maximum(SIZE, small.voxel_size_um)  # type: ignore[arg-type]
        assert np.all(np.abs(centroid_um(step) - centroid_um(labels)) < 0.1 * coarser)
    assert back.shape == labels.shape
    assert back.origin_um == pytest.approx(labels.origin_um)


@given(
    shape=st.tuples(*[st.integers(1, 30)] * 3),
    factors=st.tuples(*[st.floats(0.05, 5)] * 3),
    known=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_extent_is_kept_and_the_inverse_returns_the_grid(
    shape: tuple[int, int, int], factors: tuple[float, float, float], known: bool
) -> None:
    volume = Volume(np.zeros(shape, np.uint8), SIZE if known else None, ORIGIN)
    small = rescale_volume(volume, factors)
    assert small.shape == tuple(max(1, round(n * f)) for n, f in zip(shape, factors, strict=True))
    assert (small.voxel_size_um is None) == (not known)
    if known:
        assert np.multiply(small.shape, small.voxel_size_um) == pytest.approx(np.multiply(shape, SIZE))
        first_face = np.subtract(small.origin_um, np.divide(small.voxel_size_um, 2))
        assert first_face == pytest.approx(np.subtract(ORIGIN, np.divide(SIZE, 2)))
    back = rescale_to_shape(small, shape)
    assert back.shape == shape
    assert back.origin_um == pytest.approx(ORIGIN)


@given(n=st.integers(1, 60), m=st.integers(1, 60), order=st.integers(1, 3), anti_alias=st.booleans())
@settings(deadline=None)
def test_constant_images_stay_constant(n: int, m: int, order: int, anti_alias: bool) -> None:
    np.testing.assert_allclose(interpolation_matrix(n, m, order, anti_alias=anti_alias) @ np.ones(n), 1, rtol=1e-5)
    np.testing.assert_allclose(coverage_matrix(n, m) @ np.ones(n), 1, rtol=1e-5)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("shape", [(20, 30, 41), (7, 12, 9), (13, 30, 60)])
def test_equals_scipy(order: int, shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).random((13, 20, 24))
    factors = np.divide(shape, image.shape)
    smoothed = ndimage.gaussian_filter(image, np.maximum(1 / factors - 1, 0) / 2, mode="reflect")
    expected = ndimage.zoom(smoothed, factors, order=order, grid_mode=True, mode="reflect")
    found = rescale_to_shape(Volume(image), shape, order=order)
    np.testing.assert_allclose(found.data, expected, atol=2e-4)


def test_thin_membranes_fade_instead_of_vanishing() -> None:
    image = np.zeros((4, 4, 64), np.float32)
    image[:, :, 5::8] = 1
    shape = (4, 4, 8)
    smoothed = rescale_to_shape(Volume(image), shape).data
    assert smoothed.min() > 0.1
    assert rescale_to_shape(Volume(image), shape, anti_alias=False).data.max() == 0


@given(
    n=st.integers(1, 40),
    m=st.integers(1, 60),
    order=st.integers(1, 3),
    thickness=st.integers(1, 9),
    anti_alias=st.booleans(),
)
@example(n=40, m=7, order=1, thickness=1, anti_alias=False)  # some slices are needed by none
@settings(deadline=None, max_examples=40)
def test_slices_that_come_one_after_another_make_the_same_ones(
    n: int, m: int, order: Any, thickness: int, anti_alias: bool
) -> None:
    image = np.random.default_rng(0).random((n, 3, 4), np.float32)
    matrix = interpolation_matrix(n, m, order, anti_alias=anti_alias)
    made = np.full((m, 3, 4), np.nan, np.float32)
    along_z = AlongZ(matrix, made)
    for z in range(0, n, thickness):
        along_z.add(image[z : z + thickness])
    np.testing.assert_allclose(made, apply_along(matrix, image, 0), rtol=1e-5, atol=1e-5)


def test_few_slices_are_held_and_the_result_goes_where_it_is_wanted() -> None:
    image = np.random.default_rng(0).random((60, 3, 4), np.float32)
    along_z = AlongZ(interpolation_matrix(60, 30), np.zeros((30, 3, 4), np.float32))
    held = []
    for plane in image:
        along_z.add(plane[None])
        held.append(len(along_z._held))
    assert max(held) < 10
    out = np.zeros((30, 6, 2))
    assert rescale_to_shape(Volume(image), out.shape).data is not out
    assert drain(rescaling(Volume(image), out.shape, out=out)).data is out
    np.testing.assert_array_equal(out, rescale_to_shape(Volume(image), out.shape).data)


def test_same_shape_returns_the_volume_itself() -> None:
    volume = Volume(np.zeros((3, 4, 5), np.uint8), SIZE)
    assert rescale_volume(volume, (1, 1.01, 1)) is volume
    labels = Labels(np.zeros((3, 4, 5), np.uint32))
    assert rescale_labels(labels, (1, 1, 1)) is labels


def test_lazy_data_slab_by_slab_with_progress(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import napari_scutoid.steps.rescale as module

    image = np.random.default_rng(0).integers(0, 60000, (20, 16, 18), dtype=np.uint16)
    monkeypatch.setattr(module, "z_slabs", lambda data: [slice(z, z + 4) for z in range(0, 20, 4)])
    monkeypatch.setattr("napari_scutoid.steps.resampling.SLAB_BYTES", 500)
    reports: list[Progress] = []
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        dataset = file.create_dataset("raw", data=image, chunks=(4, 8, 8))
        lazy = drain(rescaling(Volume(dataset), (9, 8, 30)), reports.append)
    monkeypatch.undo()
    np.testing.assert_allclose(lazy.data, rescale_to_shape(Volume(image), (9, 8, 30)).data, rtol=1e-5)
    assert [report.done for report in reports if report.step == "Rescaling"] == [4, 8, 12, 16, 20]
    assert lazy.history == ("rescaled from (20, 16, 18) to (9, 8, 30) voxels (order 1, smoothed)",)


@given(
    seed=st.integers(0, 100),
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    target=st.tuples(*[st.integers(1, 20)] * 3),
    method=st.sampled_from(["nearest", "voting"]),
)
@settings(deadline=None, max_examples=60)
def test_labels_are_never_invented(
    seed: int, shape: tuple[int, int, int], target: tuple[int, int, int], method: Any
) -> None:
    data = np.random.default_rng(seed).choice(np.array([0, 3, 2**32 - 1, 70_000], np.uint32), shape)
    found = labels_to_shape(Labels(data), target, method=method)
    assert found.shape == target
    assert found.data.dtype == np.uint32
    assert np.isin(found.data, data).all()


def test_voting_takes_the_cell_that_fills_most() -> None:
    data = np.array([[[5, 7, 7, 0, 0, 0, 9, 9, 9]]], np.uint32)
    np.testing.assert_array_equal(labels_to_shape(Labels(data), (1, 1, 3), method="voting").data, [[[7, 0, 9]]])


def test_voting_in_bands_equals_voting_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import napari_scutoid.steps.rescale as module

    rng = np.random.default_rng(1)
    labels = Labels(np.kron(rng.integers(0, 6, (4, 4, 5)), np.ones((4, 3, 3), int)))
    expected = labels_to_shape(labels, (11, 7, 31), method="voting").data
    monkeypatch.setattr(module, "SLAB_BYTES", 1)
    reports: list[Progress] = []
    np.testing.assert_array_equal(
        drain(rescaling_labels(labels, (11, 7, 31), method="voting"), reports.append).data, expected
    )
    assert [report.done for report in reports] == list(range(11))


def test_voting_reads_a_fine_stack_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    import napari_scutoid.steps.rescale as module

    data = np.kron(np.arange(64, dtype=np.uint32).reshape(4, 4, 4), np.ones((16, 16, 16), np.uint32))
    sizes: list[int] = []

    def vote(labels: np.ndarray, operators: Any) -> np.ndarray:
        sizes.append(labels.nbytes)
        return np.zeros([operator.shape[0] for operator in operators], np.uint32)

    monkeypatch.setattr(module, "_vote", vote)
    monkeypatch.setattr(module, "SLAB_BYTES", data.nbytes // 8)
    rescale_labels(Labels(data), (0.25, 0.125, 0.125), method="voting")
    assert sum(sizes) == data.nbytes
    assert max(sizes) <= module.SLAB_BYTES


def test_voting_is_smoother_than_nearest_when_growing() -> None:
    shape = (40, 40, 40)
    truth = ball(shape, (20, 20, 20), 12)
    small = rescale_labels(Labels(truth), (0.25, 0.25, 0.25), method="voting")
    errors = {
        method: int((labels_to_shape(small, shape, method=method).data != truth).sum())  # type: ignore[arg-type]
        for method in ("nearest", "voting")
    }
    assert errors["voting"] < errors["nearest"]


def test_lumen_travels_with_the_labels() -> None:
    lumen = ball((20, 20, 20), (10, 10, 10), 5).astype(bool)
    for method in ("nearest", "voting"):
        small = rescale_labels(Labels(lumen.astype(np.uint32), lumen=lumen), (0.5, 0.5, 0.5), method=method)  # type: ignore[arg-type]
        assert small.lumen is not None
        assert small.lumen.dtype == bool
        np.testing.assert_array_equal(small.lumen, small.data.astype(bool))


@given(n=st.integers(1, 200), m=st.integers(1, 200))
def test_nearest_indices(n: int, m: int) -> None:
    index = nearest_indices(n, m)
    exact = (np.arange(m) + 0.5) * n / m - 0.5
    assert index.min() >= 0
    assert index.max() < n
    assert np.all(np.abs(index - exact) <= 0.5 + 1e-9)
    assert np.all(np.diff(index) >= 0)


def test_crop_moves_the_origin() -> None:
    volume = Volume(np.arange(60).reshape(3, 4, 5), SIZE, ORIGIN)
    part = crop(volume, (slice(1, 3), slice(None), slice(-2, None)))
    np.testing.assert_array_equal(part.data, volume.data[1:3, :, 3:5])
    assert part.origin_um == pytest.approx((10.5, -4.0, 3.4))
    assert crop(Volume(volume.data), (slice(2, 3), slice(1, 2), slice(0, 1))).origin_um == (2, 1, 0)


def test_refusals() -> None:
    volume = Volume(np.zeros((3, 4, 5), np.uint8))
    labels = Labels(np.zeros((3, 4, 5), np.uint32))
    with pytest.raises(ValueError, match="positive numbers"):
        rescale_volume(volume, (1, 0, 1))
    with pytest.raises(ValueError, match="whole positive"):
        rescale_to_shape(volume, (1, 2, 0))
    with pytest.raises(ValueError, match="order must be"):
        rescale_volume(volume, (0.5, 0.5, 0.5), order=0)
    with pytest.raises(ValueError, match="method must be"):
        rescale_labels(labels, (0.5, 0.5, 0.5), method="cubic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="hold no voxel"):
        crop(volume, (slice(2, 2), slice(None), slice(None)))
    with pytest.raises(ValueError, match="without a step"):
        crop(volume, (slice(None, None, 2), slice(None), slice(None)))


def cell(diameter: float, anisotropy: float = 1.0, uncertainty: float = 0.1) -> CellSize:
    return CellSize(diameter, anisotropy, uncertainty)


def test_target_factors_stated_by_the_user() -> None:
    assert target_factors(Rescale(mode="none")) == (1, 1, 1)
    assert target_factors(Rescale(mode="factors", factors=(0.25, 0.125, 0.125))) == (0.25, 0.125, 0.125)
    by_size = Rescale(mode="voxel_size", voxel_size_um=(1, 0.4, 0.3))
    assert target_factors(by_size, SIZE) == pytest.approx((0.5, 0.5, 1))
    with pytest.raises(ValueError, match="unknown"):
        target_factors(by_size)
    with pytest.raises(ValueError, match="cell_size"):
        target_factors(Rescale())


SQUEEZED = 28 / 56 / 2 ** (1 / 3)
"""Factor for cells of 56 voxels once their z step is halved, which makes their voxels twice as many."""


@pytest.mark.parametrize(
    ("voxel_size", "estimate", "expected"),
    [
        (None, cell(12), (1, 1, 1)),
        (None, cell(28), (1, 1, 1)),
        (None, cell(56), (0.5, 0.5, 0.5)),
        (None, cell(56, uncertainty=0.5), (0.5, 0.5, 0.5)),
        (None, cell(5), (2, 2, 2)),
        (None, cell(16, anisotropy=8), (2, 1, 1)),
        (None, cell(16, anisotropy=0.2), (0.5, 1, 1)),
        (VoxelSize(8, 1, 1), cell(16, anisotropy=1), (2, 1, 1)),
        (VoxelSize(3, 1, 1), cell(16, anisotropy=9), (1, 1, 1)),
        (None, cell(56, anisotropy=8), (2 * SQUEEZED, SQUEEZED, SQUEEZED)),
    ],
)
def test_target_factors_by_cell_size(
    voxel_size: VoxelSize | None, estimate: CellSize, expected: tuple[float, float, float]
) -> None:
    assert target_factors(Rescale(), voxel_size, estimate) == pytest.approx(expected)


def test_cell_diameter_of_the_user_wins() -> None:
    assert target_factors(Rescale(cell_diameter=56), None, cell(16, uncertainty=9)) == pytest.approx((0.5, 0.5, 0.5))


@given(st.floats(2, 200))
def test_cells_that_hardly_differ_get_grids_that_hardly_differ(diameter: float) -> None:
    here, there = (target_factors(Rescale(), None, cell(each))[0] for each in (diameter, 1.01 * diameter))
    assert 1 / 1.011 <= there / here <= 1.011


def test_distortion_warning() -> None:
    assert distortion_warning((0.25, 0.125, 0.125)) is None
    text = distortion_warning((1, 0.25, 0.25), VoxelSize(0.5, 0.5, 0.5))
    assert text is not None
    for number in ("4x", "1 x 0.25 x 0.25", "0.5 x 2 x 2", "becomes 0.25"):
        assert number in text
    assert distortion_warning((0.25, 1, 1)) is not None
