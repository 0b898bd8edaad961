"""Cells found block by block are those of the whole stack."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import gaussian_filter

from napari_scutoid.metrics import adapted_rand_error, count_overlaps
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Cleanup, Partition, Recipe, Watershed
from napari_scutoid.steps import watershed_blocks
from napari_scutoid.steps.blocks import cut, shared
from napari_scutoid.steps.boundaries import find_boundaries
from napari_scutoid.steps.cells import cells_from_probabilities
from napari_scutoid.steps.cells_blocks import cells_in_blocks
from napari_scutoid.steps.cleanup import clean, clean_in_place
from napari_scutoid.steps.graph import region_graph, region_graph_in_slabs
from napari_scutoid.steps.partition import partition, partition_in_place
from napari_scutoid.steps.watershed import bounded_regions
from napari_scutoid.steps.watershed_blocks import REACH, halo_of, regions_in_blocks

SHAPE = (30, 48, 48)
SMALL = 1_000
"""Less than one block: cores are no larger than what is around them, and there are a dozen blocks and more."""


@cache
def maps(spacing=(1.0, 1.0, 1.0)):
    """Foreground and boundary of Voronoi cells about 11 voxels across, around an empty middle."""
    rng = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(*(np.arange(n) * e for n, e in zip(SHAPE, spacing, strict=True)), indexing="ij"), -1)
    points = rng.uniform(0, np.multiply(SHAPE, spacing), (round(90 * np.prod(spacing)), 3))
    for _ in range(2):
        nearest = ((grid[..., None, :] - points.astype(np.float32)) ** 2).sum(-1).argmin(-1)
        points = np.stack([grid[nearest == i].mean(0) for i in range(len(points))])
    labels = (nearest + 1).astype(np.uint32)
    away = np.linalg.norm((grid - grid.mean((0, 1, 2)))[..., 1:], axis=-1)
    labels[(away < 7) | (away > 23)] = 0
    boundary = gaussian_filter(find_boundaries(labels, mode="thick", connectivity=1).astype(np.float32), 0.7)
    boundary += gaussian_filter(rng.standard_normal(SHAPE).astype(np.float32), 0.7) * 0.15
    foreground = gaussian_filter((labels > 0).astype(np.float32), 0.5)
    return np.clip(foreground, 0, 1), np.clip(boundary, 0, 1)


@cache
def in_blocks(spacing=(1.0, 1.0, 1.0), method="shape"):
    recipe = Recipe.model_validate({"partition": {"method": method}})
    return drain(cells_in_blocks(*maps(spacing), recipe, spacing, most=SMALL))


def error(found, of):
    assert ((found > 0) == (of > 0)).all()
    return adapted_rand_error(count_overlaps(found, of))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
@pytest.mark.parametrize("method", ["shape", "multicut"])
def test_cells_are_those_of_the_whole_stack(spacing, method):
    recipe = Recipe.model_validate({"partition": {"method": method}})
    whole = drain(cells_from_probabilities(*maps(spacing), recipe, spacing))
    found = in_blocks(spacing, method)
    assert found.diameter == pytest.approx(whole.diameter, rel=1e-5)
    assert error(found.labels, whole.labels) < 0.005 and whole.labels.max() > 30


def test_the_same_input_gives_the_same_cells_however_many_blocks_are_worked_on_at_a_time(monkeypatch):
    monkeypatch.setattr(watershed_blocks, "shared", lambda *how: (shared(*how)[0], 4))
    recipe = Recipe.model_validate({"partition": {"method": "multicut"}})
    again = drain(cells_in_blocks(*maps(), recipe, most=SMALL)).labels
    np.testing.assert_array_equal(again, in_blocks(method="multicut").labels)


def test_no_cell_ends_at_a_blocks_face():
    """Label changes across the faces of blocks are as frequent as across the planes beside them."""
    found = in_blocks()
    blocks, _ = shared(SHAPE, halo_of(REACH * found.diameter, (1.0, 1.0, 1.0)), SMALL)
    faces, found = sorted({block.core.start[2] for block in blocks} - {0}), found.labels

    def changes(planes):
        return np.mean([(found[:, :, x - 1] != found[:, :, x]).mean() for x in planes])

    others = [x for face in faces for x in (face - 3, face + 3)]
    assert faces and changes(faces) < 1.1 * changes(others)


def test_one_block_gives_the_regions_of_the_whole_but_for_single_voxels():
    whole = drain(bounded_regions(*maps(), Watershed()))
    found = drain(regions_in_blocks(*maps(), Watershed()))
    assert found.labels.max() == whole.labels.max()
    assert (found.labels != whole.labels).mean() < 1e-3  # distances are kept with 11 bits
    np.testing.assert_allclose(found.height[:, :, :], whole.height, atol=1e-3)


def test_a_predicted_core_across_a_blocks_face_is_one_seed():
    boundary, foreground = np.zeros(SHAPE, np.float32), np.ones(SHAPE, np.float32)
    boundary[:, ::15] = 1.0
    cores = np.zeros(SHAPE, np.float32)
    cores[8:22, 6:48:15, 5:43] = 1.0
    found = drain(regions_in_blocks(foreground, boundary, Watershed(), seeds=cores, most=SMALL, reach=0.5))
    assert np.unique(found.labels[cores > 0]).tolist() == [1, 2, 3]


def test_a_cell_longer_than_a_block_sees_is_one():
    rng, height, side = np.random.default_rng(2), 64, 40
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1)
    points = rng.uniform(0, side, (25, 2))
    for _ in range(3):
        nearest = ((grid[..., None, :] - points) ** 2).sum(-1).argmin(-1)
        points = np.stack([grid[nearest == i].mean(0) for i in range(len(points))])
    along = np.arange(2 * height)[:, None, None] + rng.integers(0, height, 25)[nearest]
    true = (nearest + 1 + 25 * (along // height)).astype(np.uint32)
    boundary = gaussian_filter(find_boundaries(true, mode="thick", connectivity=1).astype(np.float32), 0.7)
    boundary += gaussian_filter(rng.standard_normal(true.shape).astype(np.float32), 0.7) * 0.15
    boundary = np.clip(boundary, 0, 1)
    recipe = Recipe.model_validate({"partition": {"method": "multicut"}})
    whole = drain(cells_from_probabilities(np.ones_like(boundary), boundary, recipe))
    found = drain(cells_in_blocks(np.ones_like(boundary), boundary, recipe, most=SMALL))
    assert height > 2 * REACH * whole.diameter
    assert error(found.labels, whole.labels) < 0.005 and whole.labels.max() > 50


def test_one_slice_is_one_cell_thick():
    foreground, boundary = (one[15:16] for one in maps())
    recipe = Recipe.model_validate({"partition": {"method": "multicut"}})
    whole = drain(cells_from_probabilities(foreground, boundary, recipe))
    found = drain(cells_in_blocks(foreground, boundary, recipe, most=SMALL))
    assert error(found.labels, whole.labels) < 0.005 and whole.labels.max() > 10


@pytest.mark.parametrize("method", ["shape", "multicut"])
def test_tissue_without_walls_is_one_cell(method):
    boundary, recipe = np.zeros((12, 20, 20), np.float32), Recipe.model_validate({"partition": {"method": method}})
    whole = drain(cells_from_probabilities(np.ones_like(boundary), boundary, recipe))
    found = drain(cells_in_blocks(np.ones_like(boundary), boundary, recipe, most=SMALL, reach=0.3))
    np.testing.assert_array_equal(found.labels, whole.labels)


def test_a_stack_without_tissue_has_no_cells():
    none = np.zeros(SHAPE, np.float32)
    assert not drain(cells_in_blocks(none, none, Recipe(), most=SMALL)).labels.any()


def test_what_is_no_watershed_is_refused():
    with pytest.raises(ValueError, match=r"settings\.method must be 'watershed'"):
        drain(regions_in_blocks(*maps(), Watershed(method="components")))
    foreground, boundary = maps()
    for seeds, other, words in ((None, foreground[1:], "foreground has shape"), (boundary[1:], boundary, "seeds have")):
        with pytest.raises(ValueError, match=words):
            drain(regions_in_blocks(other, boundary, Watershed(), seeds=seeds))
    with pytest.raises(ValueError, match="needs voxel_volume_um3"):
        drain(cells_in_blocks(*maps(), Recipe(cleanup=Cleanup(min_size_unit="um3"))))


labelled = hnp.arrays(
    np.uint32, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6), elements=st.integers(0, 4)
)


@given(labelled, st.integers(1, 7))
def test_the_graph_of_slabs_is_that_of_the_whole(labels, planes):
    boundary = np.random.default_rng(0).random(labels.shape).astype(np.float32)
    whole, found = region_graph(labels, boundary), drain(region_graph_in_slabs(labels, boundary, planes))
    np.testing.assert_array_equal(found.pairs, whole.pairs)
    np.testing.assert_allclose(found.wall, whole.wall, atol=1e-6)
    np.testing.assert_allclose(found.area, whole.area)
    assert found.n_nodes == whole.n_nodes


@pytest.mark.parametrize("method", ["shape", "multicut", "gasp", "mutex", "none"])
def test_a_partition_in_place_is_the_same(method):
    regions = drain(bounded_regions(*maps(), Watershed(seeds="maxima")))
    settings = Partition(method=method)
    whole = drain(partition(regions, maps()[1], settings))
    found = drain(partition_in_place(regions, maps()[1], settings))
    assert found is regions.labels
    np.testing.assert_array_equal(found, whole)


def test_cleaning_in_place_is_the_same():
    regions = drain(bounded_regions(*maps(), Watershed()))
    labels = regions.labels.copy()
    labels[15, 8:12, 20:24] = labels.max() + 1  # small
    middle = tuple(int(i) for i in np.argwhere(labels == labels[15, 10, 30]).mean(0))
    labels[middle] = 0  # a hole
    whole = drain(clean(labels, regions.height, Cleanup(), 40))
    blocks = cut(SHAPE, [8] * 3, 17_500)
    found = drain(clean_in_place(labels, regions.height, Cleanup(), 40, blocks))
    assert found is labels and len(blocks) > 4
    assert (found != whole).mean() < 1e-4 and found.max() == whole.max()
