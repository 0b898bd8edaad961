"""What a person may ask for, and the message they get when it cannot be had."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.open import inspect, open_labels, open_volume

if TYPE_CHECKING:
    from pathlib import Path

STACK = np.random.default_rng(4).integers(0, 200, (9, 10, 11)).astype(np.uint8)
LABELS = (np.indices((9, 10, 11)).sum(axis=0) // 8).astype(np.uint16)


def h5(path: Path, **arrays: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def test_the_only_image_and_the_only_labels_are_taken(tmp_path: Path) -> None:
    path = h5(tmp_path / "a.h5", raw=STACK, label=LABELS, foreground=STACK)
    volume, labels = open_volume(path), open_labels(str(path))
    np.testing.assert_array_equal(volume.data[...], STACK)
    np.testing.assert_array_equal(labels.data, LABELS)
    assert labels.data.dtype == np.uint32
    assert str(volume.source) == f"{path}:raw"
    assert (volume.voxel_size_um, volume.axes, volume.history) == (None, "ZYX", ())


def test_several_images_are_listed_and_one_may_be_named(tmp_path: Path) -> None:
    path = h5(tmp_path / "a.h5", membrane=STACK, nuclei=STACK[::-1], label=LABELS)
    with pytest.raises(ScutoidError) as caught:
        open_volume(path)
    message = str(caught.value)
    assert "2 data sets look like an image" in message
    assert "`membrane`" in message and "`nuclei`" in message and "`label`" not in message
    assert "--dataset" in message
    np.testing.assert_array_equal(open_volume(path, "nuclei").data[...], STACK[::-1])


def test_the_laboratorys_name_wins_over_other_images(tmp_path: Path) -> None:
    path = h5(tmp_path / "a.h5", imageSequenceInterpolated=STACK, other=STACK[::-1])
    np.testing.assert_array_equal(open_volume(path).data[...], STACK)


def test_a_file_without_an_image_says_what_it_holds(tmp_path: Path) -> None:
    path = h5(tmp_path / "a.h5", label=LABELS)
    with pytest.raises(ScutoidError, match=r"no data set looks like an image \(`label` \(9, 10, 11\): labels\)"):
        open_volume(path)
    with pytest.raises(ScutoidError, match="check that it is the right file, or name the data set with --dataset"):
        open_volume(path)
    with pytest.raises(ScutoidError, match="--pred-dataset or --truth-dataset"):
        open_labels(h5(tmp_path / "c.h5", raw=STACK))
    with pytest.raises(ScutoidError, match="it holds no arrays"):
        open_volume(h5(tmp_path / "b.h5"))


def test_a_wrong_name_lists_the_right_ones(tmp_path: Path) -> None:
    path = h5(tmp_path / "a.h5", raw=STACK, label=LABELS)
    with pytest.raises(ScutoidError, match=r"has no data set `image`.*name one of these data sets: `label`, `raw`"):
        open_volume(path, "image")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 9, 10, 11), r"`raw` has 4 axes \(3, 9, 10, 11\).*choose the channel with --channel, 0 to 2"),
        ((9, 3, 10, 11), r"`raw` has 4 axes \(9, 3, 10, 11\).*choose the channel with --channel, 0 to 2"),
        ((7, 9, 10, 11), r"`raw` has 4 axes \(7, 9, 10, 11\).*choose the time point with --time, 0 to 6"),
        ((2, 3, 9, 10, 11), r"`raw` has 5 axes .*choose the time point with --time, 0 to 1"),
        ((2, 2, 2, 9, 10, 11), r"`raw` has 6 axes .*save one channel of one time point"),
    ],
)
def test_more_than_three_axes_have_to_be_chosen_from(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ScutoidError, match=message):
        open_volume(h5(tmp_path / "a.h5", raw=np.zeros(shape)), "raw")


def test_a_channel_of_a_time_point_is_opened(tmp_path: Path) -> None:
    data = np.random.default_rng(5).integers(0, 200, (6, 2, 4, 10, 11))
    volume = open_volume(h5(tmp_path / "a.h5", raw=data), channel=1, time=5)
    np.testing.assert_array_equal(volume.data[...], data[5, 1])
    assert volume.history == ("time point 5 of 6", "channel 1 of 2")


def test_a_guessed_axis_answers_to_either_option(tmp_path: Path) -> None:
    data = np.random.default_rng(5).integers(0, 200, (3, 4, 10, 11))
    path = h5(tmp_path / "a.h5", raw=data)
    for choice in ({"channel": 2}, {"time": 2}):
        np.testing.assert_array_equal(open_volume(path, **choice).data[...], data[2])


@pytest.mark.parametrize(
    ("shape", "choice", "message"),
    [
        ((3, 9, 10, 11), {"channel": 3}, "`raw` has no channel 3: it has 3, counted from 0.*--channel 0 to 2"),
        ((3, 9, 10, 11), {"channel": -1}, "has no channel -1"),
        ((9, 10, 11), {"channel": 1}, r"has no channel 1: its axes are ZYX \(9, 10, 11\).*leave out --channel"),
        ((9, 10, 11), {"time": 1}, "has no time point 1"),
    ],
)
def test_a_choice_that_is_not_there_is_a_message(
    tmp_path: Path, shape: tuple[int, ...], choice: dict[str, int], message: str
) -> None:
    with pytest.raises(ScutoidError, match=message):
        open_volume(h5(tmp_path / "a.h5", raw=np.zeros(shape)), "raw", **choice)


def test_one_picture_is_a_stack_of_one_slice(tmp_path: Path) -> None:
    volume = open_volume(h5(tmp_path / "a.h5", raw=STACK[0]))
    assert volume.shape == (1, 10, 11)
    assert volume.history == ("one picture, taken as a stack of one slice",)


def test_a_voxel_size_by_hand_wins(tmp_path: Path) -> None:
    path = h5(tmp_path / "a.h5", raw=STACK)
    with h5py.File(path, "a") as file:
        file["raw"].attrs["element_size_um"] = (1.0, 1.0, 1.0)
    volume = open_volume(path, voxel_size_um=(0.5, 0.2, 0.2))
    assert volume.voxel_size_um == (0.5, 0.2, 0.2)
    assert volume.history == ("voxel size 0.5 x 0.2 x 0.2 µm given by hand",)


@pytest.mark.parametrize("size", [(0, 1, 1), (1, -1, 1), (1, 1), (1, float("nan"), 1)])
def test_an_impossible_voxel_size_is_a_message(tmp_path: Path, size: tuple[float, ...]) -> None:
    with pytest.raises(ScutoidError, match="three lengths in micrometres"):
        open_volume(h5(tmp_path / "a.h5", raw=STACK), voxel_size_um=size)


@pytest.mark.parametrize("value", [0.5, -1, 2.0**32, np.nan])
def test_numbers_that_are_no_labels_are_a_message(tmp_path: Path, value: float) -> None:
    data = LABELS.astype(float)
    data[4, 4, 4] = value
    with pytest.raises(ScutoidError, match="`label`"):
        open_labels(h5(tmp_path / "a.h5", label=data))


def test_labels_are_read_slab_by_slab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_scutoid.io.output.BLOCK_BYTES", 3 * 10 * 11 * 8)
    data = LABELS.astype(float)
    data[8] = 70_000
    np.testing.assert_array_equal(open_labels(h5(tmp_path / "a.h5", label=data)).data, data)


def test_what_is_no_stack_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "empty.h5").touch()
    (tmp_path / "note.mat").write_text("a laboratory's notes " * 100)
    (tmp_path / "stack.tif").write_bytes(b"II*\0" + bytes(100))
    for name, why in (
        ("missing.h5", "there is no such file"),
        (".", "it is a folder"),
        ("empty.h5", "it is empty"),
        ("note.mat", "its content is of no known format"),
        ("stack.tif", "its content is damaged or incomplete"),
    ):
        with pytest.raises(ScutoidError, match=f"could not be opened: {why}"):
            inspect(tmp_path / name)


# `exists` raises where the file lies in a folder that may not be entered.
@pytest.mark.parametrize("call", ["open", "exists"])
def test_a_file_that_may_not_be_read_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = h5(tmp_path / "a.h5", raw=STACK)
    monkeypatch.setattr(f"pathlib.Path.{call}", refuse)
    with pytest.raises(ScutoidError, match=r"Permission denied.*check that you may read the file"):
        inspect(path)


def test_one_unreadable_array_does_not_hide_the_others(tmp_path: Path) -> None:
    data = np.full((9, 10, 11), np.nan)
    infos = {d.path: d for d in inspect(h5(tmp_path / "a.h5", broken=data, raw=STACK)).datasets}
    assert (infos["broken"].guess, infos["broken"].reason) == ("other", "some voxels are NaN or infinite")
    assert infos["raw"].guess == "image"


def test_info_as_json_has_the_agreed_keys(tmp_path: Path) -> None:
    path = h5(tmp_path / "a.h5", raw=STACK, label=LABELS)
    with h5py.File(path, "a") as file:
        file["raw"].attrs["element_size_um"] = (0.5, 0.2, 0.2)
    info = json.loads(json.dumps(inspect(path).as_dict()))
    assert set(info) == {"file", "format", "datasets"}
    assert info["file"] == str(path)
    label, raw = info["datasets"]
    assert set(raw) == {"path", "shape", "axes", "dtype", "voxel_size_um", "guess", "reason"}
    assert raw["shape"] == [9, 10, 11]
    assert raw["voxel_size_um"] == [0.5, 0.2, 0.2]
    assert label["voxel_size_um"] is None


def test_opening_hdf5_needs_no_scipy() -> None:
    code = (
        "import sys, napari_scutoid.io.open; print(sorted({'scipy', 'torch', 'skimage', 'napari'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
