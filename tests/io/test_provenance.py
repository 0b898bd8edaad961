"""What a stranger's file says of how it was made is carried along as plain data, or left out with a word."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.io.convert import convert
from napari_scutoid.io.open import inspect
from napari_scutoid.io.provenance import LONGEST, checked_provenance
from napari_scutoid.io.save import result_suffixes, save_result
from napari_scutoid.progress import drain
from napari_scutoid.volume import Labels

if TYPE_CHECKING:
    from pathlib import Path

CELLS = np.arange(990, dtype=np.uint16).reshape(9, 10, 11) // 100
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=9,
)


@given(stated=st.dictionaries(st.text(), PLAIN))
def test_plain_json_passes_as_text_as_bytes_and_as_itself(stated: dict[str, Any]) -> None:
    text = json.dumps(stated)
    for form in (text, text.encode(), stated):
        assert checked_provenance(form) == stated


@pytest.mark.parametrize(
    "stated",
    [None, "", "no JSON", "[1, 2]", "7", b"\xff\xfe", 7, np.arange(3), ["a"], {1, 2}, "[" * 10**5, "1" * 10**4, "{"],
)
def test_what_is_no_object_of_json_is_nothing(stated: object) -> None:
    assert checked_provenance(stated) == {}


def test_numbers_that_json_has_not_become_texts() -> None:
    stated = checked_provenance('{"a": NaN, "b": -Infinity, "c": 1e400, "d": 1e-400, "e": 1.5}')
    assert stated == {"a": "NaN", "b": "-Infinity", "c": "1e400", "d": 0.0, "e": 1.5}


def test_too_much_is_left_out_and_said() -> None:
    assert checked_provenance({"a": "x" * LONGEST}) == {
        "left_out": f"it has {LONGEST + 9} characters, more than {LONGEST}"
    }
    deep: dict[str, Any] = {}
    for _ in range(40):
        deep = {"source_provenance": deep}
    assert checked_provenance(deep) == {"left_out": "it is nested more than 32 times"}


TEXTS = {
    "a surrogate that stands alone": '{"a": "\\ud800"}',
    "control characters": '{"a": "\\u0000\\u0001", "\\u0007": 1}',
    "a long text": json.dumps({"a": "y" * 200_000}),
    "a name of the next": '{"source_provenance": {"source_provenance": {}}}',
}


def stranger(path: Path, text: str) -> Path:
    """Write a file that says how it was made, by other means than this program's."""
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["label"], file["provenance"] = CELLS, text
    elif path.suffix == ".mat":
        scipy.io.savemat(path, {"label": np.moveaxis(CELLS, 0, 2), "provenance": text})
    elif path.suffix == ".tif":
        about = {"axes": "ZYX", "Info": json.dumps({"dataset": "label", "provenance": json.loads(text)})}
        tifffile.imwrite(path, CELLS, imagej=True, metadata=about, software="napari-scutoid")
    else:
        group = zarr.open_group(path, mode="w", zarr_format=2)
        group.create_array("label", data=CELLS)
        group.attrs["provenance"] = json.loads(text)
    return path


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("first", [".h5", ".mat", ".tif", ".zarr"])
def test_odd_texts_reach_every_format(tmp_path: Path, first: str, kind: str) -> None:
    stated = json.loads(TEXTS[kind])
    source = stranger(tmp_path / f"a{first}", TEXTS[kind])
    assert inspect(source).provenance == stated
    for suffix in sorted(result_suffixes()):
        drain(convert(source, tmp_path / f"b{suffix}"))
        assert inspect(tmp_path / f"b{suffix}").provenance["source_provenance"] == stated


def test_what_is_no_text_is_left_alone(tmp_path: Path) -> None:
    for number, value in enumerate((np.arange(5), np.zeros((3, 3)), [b"{}", b"{}"], 7)):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["label"], file["provenance"] = CELLS, value
        assert inspect(tmp_path / f"{number}.h5").provenance == {}
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["label"], file["provenance"] = CELLS, h5py.ExternalLink("0.h5", "/label")
    assert inspect(tmp_path / "link.h5").provenance == {}
    with h5py.File(tmp_path / "group.h5", "w") as file:
        file["label"] = CELLS
        file.create_group("provenance")
    assert inspect(tmp_path / "group.h5").provenance == {}


def test_a_result_that_was_converted_often_still_converts(tmp_path: Path) -> None:
    file = tmp_path / "0.h5"
    save_result(file, Labels(CELLS), {}, {"recipe": 1})
    for number in range(1, 40):
        before, file = file, tmp_path / f"{number}.h5"
        drain(convert(before, file))
    assert inspect(file).provenance["convert"]["source"] == str(before)
