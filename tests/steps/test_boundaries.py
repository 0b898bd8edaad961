"""find_boundaries agrees with scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.segmentation import find_boundaries as reference

from napari_scutoid.progress import drain
from napari_scutoid.steps.boundaries import find_boundaries, finding_boundaries

modes = st.sampled_from(["inner", "outer", "thick"])


@given(
    labels=arrays(np.uint32, array_shapes(min_dims=3, max_dims=3, max_side=6), elements=st.integers(0, 3)),
    mode=modes,
    connectivity=st.integers(1, 3),
)
def test_equals_scikit_image(labels, mode, connectivity):
    expected = reference(labels, mode=mode, connectivity=connectivity, background=0)
    assert np.array_equal(find_boundaries(labels, mode=mode, connectivity=connectivity), expected)


def test_defaults_are_the_laboratorys():
    labels = np.random.default_rng(0).integers(0, 4, (4, 5, 6))
    assert np.array_equal(find_boundaries(labels), reference(labels, connectivity=3, mode="outer"))


def test_outer_separates_touching_cells():
    labels = np.zeros((3, 3, 8), np.uint32)
    labels[..., 1:4], labels[..., 4:7] = 1, 2
    marked = find_boundaries(labels, mode="outer")[1, 1]
    assert marked.tolist() == [True, False, False, True, True, False, False, True]


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.zeros((2, 2, 2)), {}, "labels must be integer"),
        (np.zeros((2, 2, 2), int), {"mode": "subpixel"}, "mode must be"),
        (np.zeros((2, 2), int), {"connectivity": 3}, "connectivity must be 1 to 2"),
        (np.zeros((2, 2, 2), int), {"connectivity": 0}, "connectivity must be 1 to 3"),
    ],
)
def test_refuses(labels, options, message):
    with pytest.raises(ValueError, match=message):
        find_boundaries(labels, **options)


@pytest.mark.parametrize("mode", ["inner", "outer", "thick"])
def test_slabs_have_no_seams(mode):
    labels = np.kron(np.random.default_rng(0).integers(0, 4, (7, 4, 4)), np.ones((3, 3, 3))).astype(np.uint32)
    assert labels.shape[0] > 16
    whole = find_boundaries(labels, mode=mode)
    np.testing.assert_array_equal(drain(finding_boundaries(labels, mode=mode)), whole)
