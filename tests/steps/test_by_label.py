"""Sizes and boxes of regions against NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import find_objects

from napari_scutoid.steps import by_label
from napari_scutoid.steps.by_label import label_boxes, label_sizes, looked_up, renumber

LABELS = hnp.arrays(np.uint32, hnp.array_shapes(min_dims=3, max_dims=3, min_side=0), elements=st.integers(0, 5))


@given(LABELS, st.sampled_from([1, 10**9]), st.booleans())
def test_as_numpy_and_scipy_have_them(labels, worth_a_thread, is_turned):
    labels = labels.T if is_turned else labels
    labels.setflags(write=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_label, "_WORTH_A_THREAD", worth_a_thread)
        np.testing.assert_array_equal(label_sizes(labels), np.bincount(labels.ravel(), minlength=1))
        expected = find_objects(labels.astype(np.int32)) if labels.size else []
        assert label_boxes(labels) == {number: box for number, box in enumerate(expected, 1) if box is not None}


@given(LABELS, st.booleans())
def test_looking_up_is_indexing(labels, is_turned):
    labels = labels.T if is_turned else labels
    for table in (np.array([7, 0, 3, 3, 9, 1], np.uint32), np.array([True, False, True, True, False, True])):
        found = looked_up(table, labels)
        assert found.dtype == table.dtype
        np.testing.assert_array_equal(found, table[labels])
    labels = labels.copy(order="K")
    new = np.array([5, 4, 3, 2, 1, 0], np.uint32)
    expected = new[labels]
    renumber(labels, new)
    np.testing.assert_array_equal(labels, expected)


def test_ids_beyond_the_table_are_refused():
    with pytest.raises(IndexError, match=r"2 elements.*up to 2"):
        looked_up(np.zeros(2, np.uint32), np.full((1, 1, 1), 2, np.uint32))
