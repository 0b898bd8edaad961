"""Another segmentation of a stack under correction: which settings, from what, and where the walls are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kept_samples import SIZE, kept_cells
from napari_scutoid.opinions import HowFound, around_accepted, covers_the_same, how_found, kept_of_maps
from napari_scutoid.progress import drain
from napari_scutoid.proofread.resegment import kept_accepted
from napari_scutoid.recipe import Recipe
from napari_scutoid.volume import Labels, Origin, Source, Volume, VoxelSize

NO_RECIPE = Recipe()


@pytest.fixture(scope="module")
def kept():
    return kept_cells()


def accepting(kept):
    """Return labels with a cell that reaches across a wall, as a person drew it, and the id of that cell."""
    drawn = kept.labels.data.copy()
    first, second = (int(drawn[7, 4, x]) for x in (4, 12))
    assert first != second
    drawn[drawn == second] = first
    return Labels(drawn, SIZE, kept.origin_um), first


def test_accepted_cells_are_left_open_and_others_found_around_them(kept):
    labels, cell = accepting(kept)
    made = drain(around_accepted(kept, labels, [cell], NO_RECIPE))
    found = made.labels.data
    mine = labels.data == cell
    assert not found[mine].any() and made.provenance["around_accepted_cells"] == 1
    # The others are as they were: walls stand where the accepted cell is.
    for other in set(np.unique(labels.data).tolist()) - {0, cell}:
        (new,) = np.unique(found[(labels.data == other) & (found > 0)])
        assert np.mean((found == new) == (labels.data == other)) > 0.99
    assert made.kept.probabilities is kept.probabilities
    again = drain(kept_accepted(found, labels.data, [cell], 100))
    np.testing.assert_array_equal(again == cell, mine)


def test_other_settings_give_other_cells(kept):
    labels, cell = accepting(kept)
    recipe = Recipe.model_validate({"cleanup": {"min_size": 900.0, "min_size_unit": "voxels"}})
    made = drain(around_accepted(kept, labels, [cell], recipe))
    few = np.unique(made.labels.data).size
    assert few < np.unique(drain(around_accepted(kept, labels, [cell], NO_RECIPE)).labels.data).size
    assert made.kept.recipe.cleanup.min_size == 900.0


def test_labels_on_a_finer_grid_get_cells_on_theirs(kept):
    labels, cell = accepting(kept)
    fine = labels.data.repeat(2, axis=1).repeat(2, axis=2)
    grid = Labels(fine, VoxelSize(2.0, 0.5, 0.5))
    made = drain(around_accepted(kept, grid, [cell], NO_RECIPE)).labels
    assert made.shape == fine.shape and made.voxel_size_um == grid.voxel_size_um
    assert not made.data[fine == cell].any()


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_maps_are_enough_without_a_network(kept, dtype):
    labels, cell = accepting(kept)
    scale = 255 if dtype is np.uint8 else 1
    wall, tissue = (
        Volume((kept.probabilities[name].data * scale).astype(dtype), SIZE, kept.origin_um, Source("maps.h5", name))
        for name in ("boundary", "foreground")
    )
    with_both = drain(kept_of_maps(labels, wall, tissue))
    np.testing.assert_allclose(with_both.probabilities["boundary"].data, kept.probabilities["boundary"].data, atol=4e-3)
    made = drain(around_accepted(with_both, labels, [cell], NO_RECIPE))
    assert not made.labels.data[labels.data == cell].any() and made.labels.data.any()
    outside = Labels(np.where(labels.data == labels.data.max(), np.uint32(0), labels.data), SIZE)
    without = drain(kept_of_maps(outside, wall))
    np.testing.assert_array_equal(without.probabilities["foreground"].data > 0, outside.data > 0)


def test_maps_of_two_shapes_are_refused(kept):
    with pytest.raises(ValueError, match="foreground has shape"):
        drain(kept_of_maps(kept.labels, kept.probabilities["boundary"], Volume(np.ones((2, 2, 2), np.float32))))


def test_a_file_says_how_its_cells_were_found():
    recipe = Recipe.model_validate({"predict": {"device": "cuda", "memory_gb": 2.0}, "watershed": {"seeds": "maxima"}})
    made = {"recipe": recipe.model_dump(mode="json"), "model": {"name": "mine", "weights_sha256": "ab"}}
    for provenance in (made, {"corrections": {}, "source_provenance": {"source_provenance": made}}):
        how = how_found(provenance)
        assert (how.model, how.weights_sha256, how.recipe.watershed.seeds) == ("mine", "ab", "maxima")
        # It was another computer, perhaps.
        assert (how.recipe.predict.device, how.recipe.predict.memory_gb) == ("auto", None)


@pytest.mark.parametrize(
    "provenance",
    [
        {},
        {"recipe": {}},
        {"recipe": {"no": 1}, "model": {"name": "builtin"}},
        {"recipe": {}, "model": {"name": ""}},
        {"recipe": [], "model": "builtin", "source_provenance": "text"},
    ],
)
def test_a_file_that_does_not_say_it_says_nothing(provenance):
    assert how_found(provenance) is None


def test_the_network_need_not_run_for_what_follows_it(kept):
    kept = replace(kept, facts=kept.facts | {"model": {"name": "builtin", "weights_sha256": "ab"}})
    assert HowFound(Recipe.model_validate({"watershed": {"seeds": "maxima"}}), "builtin", "ab").is_of(kept)
    assert HowFound(Recipe.model_validate({"predict": {"device": "cuda"}}), "builtin", "ab").is_of(kept)
    assert not HowFound(Recipe.model_validate({"rescale": {"cell_diameter": 9.0}}), "builtin", "ab").is_of(kept)
    assert not HowFound(NO_RECIPE, "builtin", "cd").is_of(kept)
    assert not HowFound(NO_RECIPE).is_of(replace(kept, facts={}))


def test_maps_and_cells_cover_the_same_space_on_any_grid():
    cells = Labels(np.zeros((4, 8, 8), np.uint32), VoxelSize(1.0, 1.0, 1.0))
    coarse = Volume(np.zeros((4, 4, 4)), VoxelSize(1.0, 2.0, 2.0), Origin(0.0, 0.5, 0.5))
    assert covers_the_same(coarse, cells)
    assert covers_the_same(Volume(np.zeros((2, 2, 2))), cells)
    assert not covers_the_same(replace(coarse, origin_um=Origin(0.0, 4.5, 0.5)), cells)
    assert not covers_the_same(replace(coarse, data=np.zeros((2, 4, 4))), cells)
