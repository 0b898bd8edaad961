from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_scutoid.progress import Progress, drain
from napari_scutoid.recipe import Normalise
from napari_scutoid.steps.normalise import RELATIVE_RESOLUTION, IntensityStatistics, normalising, statistics
from napari_scutoid.steps.slabs import LARGEST, slabs, z_slabs
from napari_scutoid.volume import Origin, Volume

METHODS = ("zscore", "minmax", "percentile")
STABILISERS = ("none", "sqrt", "log")


def measure(data: Any, slab_bytes: int = 2**24, **options: Any) -> IntensityStatistics:
    return drain(statistics(data, Normalise(**options), slab_bytes=slab_bytes))


def numbers(result: IntensityStatistics) -> dict[str, float]:
    return {name: value for name, value in asdict(result).items() if name != "stabilise"}


def directly(data: np.ndarray, options: Normalise) -> np.ndarray:
    """What NumPy says with the whole stack in memory."""
    x = data.astype(np.float64)
    if options.stabilise != "none":
        above = x - x.min()
        x = np.sqrt(above) if options.stabilise == "sqrt" else np.log1p(above / above.mean())
    if options.method == "zscore":
        return (x - x.mean()) / x.std()
    if options.method == "minmax":
        return (x - x.min()) / (x.max() - x.min())
    low, high = np.percentile(x, [options.low_percentile, options.high_percentile])
    return (x - low) / (high - low)


def tissue(seed: int = 0, shape: tuple[int, int, int] = (12, 30, 40)) -> np.ndarray:
    """Background, membranes, and a few voxels 20 times brighter."""
    rng = np.random.default_rng(seed)
    image = rng.gamma(2.0, 10.0, shape)
    image[rng.random(shape) < 0.2] += 200
    image[1, :2] = 4000
    return image


@pytest.mark.parametrize("stabilise", STABILISERS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_equals_numpy_on_the_whole_stack(method: str, stabilise: str, dtype: str) -> None:
    image = np.clip(tissue(), 0, 255 if dtype == "uint8" else 32000).astype(dtype)
    options = Normalise(method=method, stabilise=stabilise)
    normalised = measure(image, **options.model_dump()).apply(image)
    assert normalised.dtype == np.float32
    tolerance = 1e-5 if np.dtype(dtype).itemsize <= 2 else RELATIVE_RESOLUTION
    np.testing.assert_allclose(normalised, directly(image, options), rtol=tolerance, atol=tolerance)


@given(
    arrays(np.int16, array_shapes(min_dims=3, max_dims=3, max_side=6)),
    st.sampled_from(METHODS),
    st.sampled_from(STABILISERS),
    st.integers(1, 200),
)
@settings(deadline=None, max_examples=60)
def test_exact_for_any_small_integers(image: np.ndarray, method: str, stabilise: str, slab_bytes: int) -> None:
    options = Normalise(method=method, stabilise=stabilise)
    try:
        result = measure(image, slab_bytes, **options.model_dump())
    except ValueError as error:
        assert "no contrast" in str(error)
        return
    np.testing.assert_allclose(result.apply(image), directly(image, options), rtol=1e-4, atol=1e-4)


@given(st.sampled_from([np.float32, np.int32, np.uint8]), st.integers(1, 20_000), st.sampled_from(STABILISERS))
@settings(deadline=None, max_examples=30)
def test_does_not_depend_on_how_the_stack_is_cut(dtype: type, slab_bytes: int, stabilise: str) -> None:
    image = np.clip(tissue(3, (5, 9, 11)), 0, 255).astype(dtype)
    whole = measure(image, method="percentile", stabilise=stabilise)
    cut = measure(image, slab_bytes, method="percentile", stabilise=stabilise)
    assert numbers(cut) == pytest.approx(numbers(whole), rel=1e-12)


@given(
    gain=st.floats(1e-3, 1e3),
    offset=st.floats(-1e4, 1e4),
    method=st.sampled_from(METHODS),
    stabilise=st.sampled_from(STABILISERS),
)
@settings(deadline=None, max_examples=60)
def test_gain_and_background_of_the_camera_do_not_matter(
    gain: float, offset: float, method: str, stabilise: str
) -> None:
    image = tissue(1, (4, 12, 12))
    other = gain * image + offset
    expected = measure(image, method=method, stabilise=stabilise).apply(image)
    found = measure(other, method=method, stabilise=stabilise).apply(other)
    np.testing.assert_allclose(found, expected, rtol=3 * RELATIVE_RESOLUTION, atol=3 * RELATIVE_RESOLUTION)


@pytest.mark.parametrize("stabilise", STABILISERS)
def test_resolution_of_percentiles_over_many_magnitudes(stabilise: str) -> None:
    rng = np.random.default_rng(0)
    image = np.exp(rng.normal(0, 4, (10, 50, 50))).astype(np.float32)
    image[0, 0, 0] = 0
    for percent in (0.1, 5.0, 40.0):
        result = measure(image, low_percentile=percent, high_percentile=99.0, stabilise="none")
        assert result.offset == pytest.approx(np.percentile(image, percent), rel=2 * RELATIVE_RESOLUTION)


def test_dim_signal_on_a_large_background_keeps_its_contrast() -> None:
    image = 1e6 + np.random.default_rng(0).random((4, 20, 20))
    low, high = np.percentile(image, [1, 99.5])
    result = measure(image)
    assert result.offset == pytest.approx(low, abs=1e-3)
    assert result.scale == pytest.approx(high - low, abs=2e-3)
    assert result.apply(image).std() == pytest.approx(((image - low) / (high - low)).std(), rel=1e-3)


def test_variance_is_stable_far_from_zero() -> None:
    image = 1e9 + np.random.default_rng(0).normal(size=(6, 20, 20))
    assert measure(image, 8000, method="zscore").scale == pytest.approx(image.std(), rel=1e-6)


def test_tiles_fit_together_without_seams() -> None:
    image = tissue().astype(np.float32)
    result = measure(image, stabilise="log")
    tiled = np.concatenate([result.apply(image[:, :, :17]), result.apply(image[:, :, 17:])], axis=2)
    np.testing.assert_array_equal(tiled, result.apply(image))


def test_input_is_not_changed() -> None:
    image = tissue().astype(np.float32)
    before = image.copy()
    measure(image, stabilise="sqrt").apply(image)
    np.testing.assert_array_equal(image, before)


def test_survives_provenance() -> None:
    result = measure(tissue(), stabilise="log")
    assert IntensityStatistics(**json.loads(json.dumps(asdict(result)))) == result


def test_lazy_data_is_read_once_and_reports_progress(tmp_path: Any) -> None:
    image = tissue(shape=(13, 16, 16)).astype(np.float32)
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        dataset = file.create_dataset("raw", data=image, chunks=(4, 8, 16), compression="gzip")
        steps = statistics(dataset, Normalise(), slab_bytes=5000)
        reports: list[Progress] = []
        lazy = drain(steps, reports.append)
    assert numbers(lazy) == pytest.approx(numbers(measure(image)), rel=1e-9)
    assert reports[-1].fraction == 1
    assert len(reports) > 3


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.full((2, 3, 4), 7, np.uint8), "every voxel has the intensity 7"),
        (np.full((2, 3, 4), 0.1, np.float32), "no contrast"),
        (np.array([[[1.0, np.nan]]]), "NaN"),
        (np.array([[[1.0, -np.inf]]]), "infinite"),
        (np.array([[[1.0, 1e39]]]), r"beyond 1e\+18 \(in slices 0 to 0\)"),
        (np.array([[[1.0, -3.3e38]]], np.float32), "beyond"),
        (np.zeros((2, 3), np.uint8), r"\(2, 3\)"),
        (np.zeros((2, 0, 3), np.uint8), r"\(2, 0, 3\)"),
        (np.zeros((1, 2, 3), complex), "complex"),
    ],
)
def test_refuses(image: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        measure(image)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_intensities_stay_finite(dtype: type) -> None:
    image = np.linspace(-LARGEST, LARGEST, 4000).reshape(10, 20, 20).astype(dtype)
    for method in METHODS:
        for stabilise in STABILISERS:
            normalised = measure(image, method=method, stabilise=stabilise).apply(image)
            assert np.isfinite(normalised).all()
            assert np.ptp(normalised) > 0.5


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_refuses_percentiles_without_contrast(dtype: type) -> None:
    image = np.full((10, 20, 20), 0.1 if dtype is np.float32 else 3, dtype)
    image[0, 0, :3] = 200
    with pytest.raises(ValueError, match="further apart"):
        measure(image)


@given(
    shape=st.tuples(*[st.integers(1, 20)] * 3),
    chunks=st.none() | st.tuples(*[st.integers(1, 20)] * 3),
    max_bytes=st.integers(1, 5000),
)
def test_slabs_cover_every_voxel_once_along_chunks(
    shape: tuple[int, int, int], chunks: tuple[int, int, int] | None, max_bytes: int
) -> None:
    class Stack:
        dtype = np.dtype(np.uint16)

        def __getitem__(self, key: Any) -> Any:
            raise AssertionError

    stack = Stack()
    stack.shape, stack.chunks = shape, chunks  # type: ignore[attr-defined]
    seen = np.zeros(shape, int)
    for z, y in slabs(stack, max_bytes):  # type: ignore[arg-type]
        seen[z, y] += 1
        if chunks is not None:
            assert z.start % min(chunks[0], shape[0]) == 0
            assert y.start % min(chunks[1], shape[1]) == 0
        else:
            assert seen[z, y].size * 2 <= max(max_bytes, 2 * shape[2])
    assert (seen == 1).all()
    assert sum(z.stop - z.start for z in z_slabs(stack, max_bytes)) == shape[0]  # type: ignore[arg-type]


@pytest.mark.parametrize("stabilise", STABILISERS)
def test_intensity_is_the_inverse_of_apply(stabilise: Any) -> None:
    data = np.random.default_rng(3).gamma(2.0, 30.0, (4, 8, 8))
    found = measure(data, method="minmax", stabilise=stabilise)
    for intensity in (data.min(), float(np.median(data)), data.max()):
        assert found.intensity(float(found.apply(np.float64(intensity)))) == pytest.approx(intensity, rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_whole_stack_is_normalised_as_its_blocks_are(method: Any) -> None:
    volume = Volume(np.random.default_rng(4).integers(0, 255, (5, 8, 8)).astype(np.uint8), origin_um=Origin(1, 2, 3))
    done = drain(normalising(volume, Normalise(method=method)))
    np.testing.assert_array_equal(done.data, measure(volume.data, method=method).apply(volume.data))
    assert done.dtype == np.float32
    assert done.origin_um == volume.origin_um
    assert done.history[0].startswith(f"normalised ({method}): ")
