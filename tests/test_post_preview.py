"""Cells in a box of a segmented stack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kept_samples import kept_cells
from napari_scutoid.box import Box
from napari_scutoid.pipeline import relabel
from napari_scutoid.preview import Preview
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Recipe

OTHER = Recipe.model_validate({"watershed": {"boundary_threshold": 0.4}, "cleanup": {"min_size": 0.3}})


@pytest.fixture(scope="module")
def kept():
    return kept_cells()


@pytest.mark.parametrize(
    ("centre", "largest", "start", "shape"),
    [
        ((20, 50, 50), (10, 20, 30), (15, 40, 35), (10, 20, 30)),
        ((0, 99, 120), (10, 20, 30), (0, 80, 70), (10, 20, 30)),
        ((20, 50, 50), (64, 256, 256), (0, 0, 0), (40, 100, 100)),
    ],
)
def test_a_box_stays_inside_its_grid(centre, largest, start, shape):
    box = Box.around(centre, largest, (40, 100, 100))
    assert (box.start, box.shape) == (start, shape)


def test_a_box_of_the_whole_stack_shows_what_the_stack_will_have(kept):
    preview = Preview(kept, Box.around((0, 0, 0), (99, 99, 99), kept.labels.shape))
    now = drain(preview.cells(Recipe()))
    np.testing.assert_array_equal(now.labels.data, kept.labels.data)
    other = drain(preview.cells(OTHER))
    np.testing.assert_array_equal(other.labels.data, drain(relabel(kept, OTHER)).labels.data)
    assert other.sizes.n_before == kept.labels.data.max()
    assert other.sizes.n_after == other.labels.data.max()
    assert other.sizes.unit == "µm³"


def test_a_box_lies_where_it_was_cut_and_takes_sizes_from_the_stack(kept):
    box = Box((1, 0, 8), (12, 17, 24))
    done = drain(Preview(kept, box).cells(Recipe()))
    assert done.labels.shape == box.shape
    step, origin = kept.spacing, kept.origin_um
    assert done.labels.origin_um == pytest.approx((origin.z + step.z, origin.y, origin.x + 8 * step.x))
    assert done.labels.voxel_size_um == step
    # The cells in the middle of the box are those of the stack.
    inside = kept.labels.data[box.slices]
    cell = inside[6, 4, 12]
    assert cell > 0
    same = done.labels.data == done.labels.data[6, 4, 12]
    assert (same & (inside == cell)).sum() > 0.9 * (same | (inside == cell)).sum()


def test_without_labels_yet_the_box_speaks_for_itself(kept):
    done = drain(Preview(replace(kept, labels=None, diameter=None), Box((0, 0, 0), (14, 24, 24))).cells(Recipe()))
    assert done.sizes.n_after > 0
