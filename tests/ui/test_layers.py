from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image

from napari_scutoid.progress import Progress, drain
from napari_scutoid.steps.rescale import rescale_volume
from napari_scutoid.ui import layers
from napari_scutoid.volume import Labels, Origin, Source, Volume, VoxelSize

SIZE = VoxelSize(0.5, 0.25, 0.2)


@pytest.fixture
def viewer():
    return ViewerModel()


def stack(voxel_size=SIZE, shape=(8, 12, 16), **more):
    return Volume(np.zeros(shape, np.uint8), voxel_size, source=Source("a.h5", "raw"), **more)


def test_a_volume_becomes_a_layer_with_scale_units_and_axes(viewer):
    volume = stack(origin_um=Origin(1.0, 2.0, 3.0))
    layer = layers.add_image(viewer, layers.Shown(volume, (0.0, 9.0)), "raw")
    assert tuple(layer.scale) == SIZE
    assert tuple(layer.translate) == (1.0, 2.0, 3.0)
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
    assert tuple(layer.axis_labels) == ("z", "y", "x")
    assert list(layer.contrast_limits) == [0.0, 9.0]
    assert layers.source_of(layer) == Source("a.h5", "raw")
    back = layers.volume_of(layer)
    assert back.voxel_size_um == pytest.approx(SIZE)
    assert back.origin_um == pytest.approx((1.0, 2.0, 3.0))
    assert back.source == volume.source


def test_without_a_voxel_size_a_layer_is_in_pixels(viewer):
    layer = layers.add_image(viewer, layers.Shown(stack(None), (0.0, 1.0)), "raw")
    assert tuple(layer.scale) == (1.0, 1.0, 1.0)
    assert [str(unit) for unit in layer.units] == ["pixel"] * 3
    assert layers.volume_of(layer).voxel_size_um is None


def test_labels_lie_half_transparent_over_the_image(viewer):
    labels = Labels(np.ones((8, 12, 16), np.uint32), SIZE, source=Source("a.h5", "raw"))
    layer = layers.add_labels(viewer, labels, "cells", {"recipe": 1})
    assert (layer.opacity, layer.contour) == (0.5, 0)
    assert tuple(layer.scale) == SIZE
    assert layer.metadata["scutoid"]["provenance"] == {"recipe": 1}


@pytest.mark.parametrize("voxel_size", [SIZE, None])
def test_a_coarser_map_covers_the_same_extent_as_its_stack(viewer, voxel_size):
    volume = stack(voxel_size)
    coarse = rescale_volume(volume, (0.5, 0.25, 0.25))
    image = layers.add_image(viewer, layers.Shown(volume, (0.0, 1.0)), "raw")
    layer = layers.add_probability(viewer, coarse, volume, "boundary")
    assert not layer.visible
    edges = [
        [np.asarray(it.translate) - np.asarray(it.scale) / 2, np.asarray(it.scale) * it.data.shape]
        for it in (image, layer)
    ]
    np.testing.assert_allclose(edges[0], edges[1], atol=1e-9)


def test_probabilities_of_8_bit_use_their_range(viewer):
    assert list(layers.add_probability(viewer, stack(), stack(), "p").contrast_limits) == [0, 255]


def test_a_bright_line_does_not_hide_the_membranes():
    data = np.full((4, 100, 100), 100, np.uint16)
    data[:, ::10] = 300
    data[1, 50, :50] = 60_000
    low, high = layers.contrast_limits(data)
    assert (low, high) == (100.0, 300.0)


@given(st.sampled_from([0.0, 5.0, np.nan]), st.sampled_from([np.float32, np.float64]))
def test_an_even_stack_still_has_two_limits(value, dtype):
    low, high = layers.contrast_limits(np.full((2, 3, 3), value, dtype))
    assert low < high


def test_loading_reports_every_block_and_keeps_the_numbers(monkeypatch):
    monkeypatch.setattr("napari_scutoid.io.output.BLOCK_BYTES", 4 * 3 * 8)
    data = np.arange(5 * 4 * 3, dtype=">f8").reshape(5, 4, 3)
    volume = Volume(LazyOnly(data), SIZE, source=Source("a.h5", "raw"))
    seen = []
    shown = drain(layers.load(volume), seen.append)
    assert seen == [Progress("Reading the stack", z, 5) for z in range(5)]
    np.testing.assert_array_equal(shown.volume.data, data)
    assert shown.volume.data.dtype == np.dtype("=f8")
    assert shown.volume.source == volume.source


def test_a_stack_larger_than_memory_stays_in_its_file(monkeypatch):
    monkeypatch.setattr(layers, "MEMORY_SHARE", 0.0)
    volume = Volume(LazyOnly(np.arange(60.0).reshape(5, 4, 3)))
    assert drain(layers.load(volume)).volume is volume


def test_another_voxel_size_moves_the_origin_along():
    moved = layers.with_voxel_size(stack(origin_um=Origin(1.0, 1.0, 1.0)), VoxelSize(1.0, 0.5, 0.2))
    assert moved.origin_um == pytest.approx((2.0, 2.0, 1.0))
    unknown = layers.with_voxel_size(moved, None)
    assert unknown.origin_um == pytest.approx((2.0, 4.0, 5.0))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"data": np.zeros((4, 5))}, "three axes"),
        ({"data": np.zeros((4, 5, 3)), "rgb": True}, "colour"),
        ({"data": [np.zeros((8, 8, 8)), np.zeros((4, 4, 4))], "multiscale": True}, "resolutions"),
        ({"data": np.zeros((4, 5, 6)), "rotate": (0, 0, 30)}, "rotated"),
        ({"data": np.zeros((4, 5, 6)), "scale": (1, -1, 1)}, "mirrored"),
    ],
)
def test_layers_that_are_no_stack_say_why(options, word):
    assert word in layers.problem_of(Image(**options))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (None, False)),
        ({"scale": (2, 0.5, 0.5)}, (VoxelSize(2, 0.5, 0.5), True)),
        ({"scale": (2000, 500, 500), "units": "nm"}, (VoxelSize(2, 0.5, 0.5), False)),
        ({"scale": (1, 1, 1), "units": "um"}, (VoxelSize(1, 1, 1), False)),
    ],
)
def test_voxel_sizes_of_layers(options, expected):
    size, assumed = layers.voxel_size_of(Image(np.zeros((4, 5, 6)), **options))
    assert assumed is expected[1]
    assert size == (None if expected[0] is None else pytest.approx(expected[0]))


def test_the_middle_slice_is_shown_and_2d_or_3d_kept(viewer):
    layer = layers.add_image(viewer, layers.Shown(stack(), (0.0, 1.0)), "raw")
    viewer.dims.ndisplay = 3
    viewer.dims.set_point(0, 0.0)
    layers.show_middle(viewer, layer)
    assert viewer.dims.ndisplay == 3
    assert viewer.dims.current_step[0] in (3, 4)


class LazyOnly:
    """An array that only gives slices, like a file's."""

    def __init__(self, data):
        self._data = data
        self.shape, self.dtype = data.shape, data.dtype

    def __getitem__(self, key):
        return self._data[key]
