"""Names win, then headers, then a look at a few voxels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_scutoid.io.format import StoredArray, name_axes
from napari_scutoid.io.guess import guess
from napari_scutoid.io.open import inspect

if TYPE_CHECKING:
    from pathlib import Path


def guessed(name: str, data: np.ndarray, *, cheap: bool = True) -> str:
    order = tuple(range(data.ndim))
    array = StoredArray(name, data.shape, order, name_axes(data.shape), data.dtype, cheap_to_sample=cheap)
    return guess(array, lambda: data)[0]


def cells(shape: tuple[int, int, int] = (6, 60, 60), side: int = 10) -> np.ndarray:
    """Boxes of `side` voxels, each with a number of its own."""
    z, y, x = np.indices(shape) // side
    return (1 + x + 10 * y + 100 * z).astype(np.uint16)


def noise(dtype: str, shape: tuple[int, ...] = (6, 60, 60)) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 100, shape).astype(dtype)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("imageSequenceInterpolated", "image"),
        ("labelledImage3D", "labels"),
        ("labelledImage", "labels"),
        ("lumenImage", "mask"),
        ("raw", "image"),
        ("volumes/Image", "image"),
        ("label", "labels"),
        ("labels", "labels"),
        ("label{2}", "labels"),
        ("semantic_target", "other"),
        ("foreground", "other"),
        ("not_segmented_target", "other"),
        ("CLabels", "labels"),
        ("gland_mask", "mask"),
    ],
)
@pytest.mark.parametrize("data", [noise("uint8"), noise("float64"), cells()], ids=["noise", "double", "cells"])
def test_names_win(name: str, kind: str, data: np.ndarray) -> None:
    assert guessed(name, data) == kind


def test_names_win_for_tiny_arrays_too() -> None:
    assert guessed("labelledImage3D", cells()[:2, :3, :4]) == "labels"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("image", noise("uint8")),
        ("image", noise("float32") / 7),
        ("image", noise("float64")),
        ("image", np.abs(np.indices((6, 60, 60)) - 3).sum(axis=0)),
        ("image", noise("int16") - 50),
        ("labels", cells()),
        ("labels", cells().astype("float64")),
        ("labels", cells(side=5)),
        ("labels", cells()[0]),
        ("mask", noise("uint8") > 50),
        ("mask", (cells() % 2) * np.uint8(255)),
        ("other", np.zeros((6, 60, 60), np.uint8)),
        ("other", noise("complex64")),
        ("other", noise("uint8", (89, 3))),
        ("other", noise("uint8", (2, 2, 2, 2, 20, 20))),
        ("image", noise("uint8", (2, 6, 60, 60))),
        ("image", noise("uint8", (9, 60, 60, 3))),
    ],
)
def test_headers_and_voxels_decide_for_other_names(kind: str, data: np.ndarray) -> None:
    assert guessed("a", data) == kind


def test_a_reason_is_for_any_laboratory() -> None:
    for name, what in (("imageSequenceInterpolated", "an image"), ("label", "labels"), ("lumenImage", "a mask")):
        array = StoredArray(name, (6, 60, 60), (0, 1, 2), "ZYX", np.dtype("uint8"))
        assert guess(array, cells)[1] == f"its name is usual for {what}"


def test_what_is_dear_to_sample_is_not_read() -> None:
    assert guessed("a", cells(), cheap=False) == "image"


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((5, 6), "YX"),
        ((4, 5, 6), "ZYX"),
        ((1, 5, 6), "ZYX"),
        ((3, 16, 512, 512), "CZYX"),
        ((1, 128, 128, 58), "CZYX"),
        ((27, 1, 128, 128), "ZCYX"),
        ((8, 3, 199, 206), "ZCYX"),
        ((16, 512, 512, 3), "ZYXC"),
        ((50, 16, 512, 512), "TZYX"),
        ((6, 5, 4, 2, 3), "TCZYX"),
        ((6, 27, 1, 128, 128), "TZCYX"),
        ((7, 6, 5, 4, 2, 3), "QTCZYX"),
    ],
)
def test_axes_are_named_by_number_and_length(shape: tuple[int, ...], axes: str) -> None:
    assert name_axes(shape) == axes


def test_shared_stacks_are_guessed_right(shared_data: Path) -> None:
    expected = {
        "glands/salivary_WT_2017-12-04_1a.h5": {"raw": "image", "label": "labels", "semantic_target": "other"},
        "plants/ovule_plantseg_sample.h5": {"raw": "image", "label": "labels"},
        "geometry/meristem_p194_labels.h5": {"label": "labels"},
        "mat/epitools_v73_SegResults_8bit.mat": {
            "CLabels": "labels",
            "ILabels": "labels",
            "ColIms": "image",
            "RegIm": "image",
        },
        "mat/cellsegm_v5_surfstain_and_manual_3D.mat": {"minima": "other", "minimacell": "other", "imsegm": "image"},
        "mat/mri_MathWorks_v5.mat": {"D": "image", "map": "other"},
    }
    for name, kinds in expected.items():
        assert {d.path: d.guess for d in inspect(shared_data / name).datasets} == kinds


def test_real_voxels_tell_without_a_name(shared_data: Path) -> None:
    import h5py

    for name in ("glands/salivary_WT_2017-12-04_1a.h5", "plants/ovule_plantseg_sample.h5"):
        with h5py.File(shared_data / name) as file:
            assert guessed("a", file["raw"][()]) == "image"
            assert guessed("a", file["label"][()]) == "labels"
