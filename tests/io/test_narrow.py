"""The smallest type changes no number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_scutoid.io import output
from napari_scutoid.io.narrow import Numbers, label_type, smallest_type, survey
from napari_scutoid.progress import drain


def surveyed(*values: float, dtype: str = "float64") -> Numbers:
    return drain(survey(np.array(values, dtype).reshape(1, 1, -1), "Looking"))


def narrowed(*values: float, dtype: str = "float64") -> str:
    return smallest_type(np.dtype(dtype), surveyed(*values, dtype=dtype)).name


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ((0, 255), "float64", "uint8"),
        ((0, 256), "float64", "uint16"),
        ((0, 65535), "float64", "uint16"),
        ((0, 65536), "float64", "uint32"),
        ((-1, 127), "float64", "int8"),
        ((-1, 128), "float64", "int16"),
        ((-(2**31), 2**31 - 1), "float64", "int32"),
        ((0, 2**32), "float64", "float64"),
        ((0, 255), "float32", "uint8"),
        ((0, 0.5), "float32", "float32"),
        ((0, 0.5), "float64", "float32"),
        ((0, 0.1), "float64", "float64"),
        ((0.5, 1e300), "float64", "float64"),
        ((0, 200), "int64", "uint8"),
        ((0, 2**63), "uint64", "uint64"),
        ((0, 1), "bool", "uint8"),
        ((0, 200), "uint16", "uint16"),
        ((0, 100), "int8", "int8"),
    ],
)
def test_smallest_type(values: tuple[float, ...], dtype: str, expected: str) -> None:
    assert narrowed(*values, dtype=dtype) == expected


numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**33), 2**33).map(float),
    st.floats(-9, 9, width=32),
)


@given(data=arrays("float64", (3, 2, 2), elements=numbers), budget=st.integers(8, 100))
def test_no_number_changes(data: np.ndarray[Any, Any], budget: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "BLOCK_BYTES", budget)
        found = drain(survey(data, "Looking"))
    assert (found.lowest, found.highest) == (data.min(), data.max())
    np.testing.assert_array_equal(data.astype(smallest_type(data.dtype, found)), data)


def test_a_large_whole_number_in_another_block_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "BLOCK_BYTES", 8)
    assert narrowed(1e300, 0.5) == "float64"


@pytest.mark.parametrize(
    ("highest", "dtype"), [(0, "uint8"), (255, "uint8"), (256, "uint16"), (65536, "uint32"), (2**32 - 1, "uint32")]
)
def test_labels_are_unsigned(highest: int, dtype: str) -> None:
    assert label_type(surveyed(0, highest)) == np.dtype(dtype)


@pytest.mark.parametrize(("values", "why"), [((0, 0.5), "fractions"), ((-1, 3), "-1 to 3"), ((0, 2**32), "4294967296")])
def test_what_is_no_label_is_refused(values: tuple[float, ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        label_type(surveyed(*values))
