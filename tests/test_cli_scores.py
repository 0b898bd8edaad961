"""`scutoid evaluate` in full: the table, the picture, classes, the tolerance, and what is refused before the work."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from napari_scutoid import cli
from napari_scutoid.metrics import BOUNDARY_TOLERANCE

if TYPE_CHECKING:
    from pathlib import Path

TRUE = np.zeros((6, 12, 16), np.uint16)
TRUE[1:5, 1:11, 1:6], TRUE[1:5, 1:11, 6:11], TRUE[1:5, 1:11, 11:15] = 1, 2, 3
FOUND = TRUE.copy()
FOUND[1:5, 1:6, 1:6] = 7  # half of cell 1
FOUND[FOUND == 3] = 0
FOUND[0] = 9
IMAGE = np.random.default_rng(8).integers(0, 200, TRUE.shape).astype(np.uint8)


def scutoid(*arguments: object) -> int:
    """Run a command and return its exit status."""
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


def h5(path: Path, **arrays: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A prediction and the truth, with its image."""
    return h5(tmp_path / "found.h5", label=FOUND), h5(tmp_path / "true.h5", label=TRUE, raw=IMAGE)


def pixels(file: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(file) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


def test_the_table_has_a_row_for_every_cell(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "cells.csv"
    assert scutoid("evaluate", *pair, "--cells", table, "--json") == 0
    shown = capsys.readouterr()
    scores = json.loads(shown.out)
    assert shown.err == f"Table of cells in {table}\n"
    kinds = ("n_true", "n_matched", "n_split", "n_merged", "n_missed", "n_invented")
    assert [scores[kind] for kind in kinds] == [3, 1, 1, 0, 1, 1]
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["side"], row["true_id"], row["pred_id"], row["verdict"]) for row in rows] == [
        ("truth", "1", "1", "split"),
        ("truth", "2", "2", "matched"),
        ("truth", "3", "", "missed"),
        ("prediction", "1", "1", "split"),
        ("prediction", "2", "2", "matched"),
        ("prediction", "1", "7", "split"),
        ("prediction", "", "9", "invented"),
    ]
    assert rows[2] == {
        "side": "truth",
        "true_id": "3",
        "pred_id": "",
        "iou": "0.0",
        "verdict": "missed",
        "true_voxels": "160",
        "pred_voxels": "0",
        "touches_border": "0",
        "z_voxel": "2.5",
        "y_voxel": "5.5",
        "x_voxel": "12.5",
    }
    assert rows[-1]["touches_border"] == "1"


def test_the_picture_shows_the_image_beside_the_truth(pair: tuple[Path, Path], tmp_path: Path) -> None:
    found, true = pair
    bare = h5(tmp_path / "bare.h5", label=TRUE)
    other = h5(tmp_path / "other.h5", one=IMAGE[1:], two=np.stack([IMAGE, IMAGE[::-1]]))
    for name, arguments in {
        "bare": (found, bare),
        "beside": (found, true),
        "named": (found, bare, "--image", true),
        "channel": (found, bare, "--image", other, "--image-dataset", "two", "--channel", 1),
    }.items():
        assert scutoid("evaluate", *arguments, "--picture", tmp_path / f"{name}.png") == 0
    drawn = {name: pixels(tmp_path / f"{name}.png") for name in ("bare", "beside", "named", "channel")}
    assert not np.array_equal(drawn["bare"], drawn["beside"])
    # But for the file's name at the top.
    assert np.array_equal(drawn["beside"][40:], drawn["named"][40:])
    assert not np.array_equal(drawn["named"], drawn["channel"])


def test_an_image_that_does_not_fit_is_told_only_where_it_was_named(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = h5(tmp_path / "small.h5", label=TRUE, raw=IMAGE[1:])
    picture = tmp_path / "a.png"
    assert scutoid("evaluate", pair[0], small, "--picture", picture) == 0
    picture.unlink()
    for chosen in (("--image", small), ("--image-dataset", "raw")):
        capsys.readouterr()
        assert scutoid("evaluate", pair[0], small, "--picture", picture, *chosen) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "its shape is (5, 12, 16), theirs is (6, 12, 16)" in shown.err
    assert not picture.exists()


def test_the_picture_knows_the_voxel_size_and_the_order_of_axes(tmp_path: Path) -> None:
    plain = h5(tmp_path / "plain.h5", label=TRUE, raw=IMAGE)
    turned = h5(tmp_path / "turned.h5", label=TRUE.transpose(), raw=IMAGE.transpose())
    sized = h5(tmp_path / "sized.h5", label=TRUE, raw=IMAGE)
    with h5py.File(sized, "a") as file:
        file["label"].attrs["element_size_um"] = (1.0, 0.25, 0.25)
    for file in (plain, sized):
        assert scutoid("evaluate", plain, file, "--picture", file.with_suffix(".png")) == 0
    axes = ("--truth-axes", "XYZ", "--picture", tmp_path / "turned.png")
    assert scutoid("evaluate", plain, turned, *axes) == 0
    drawn = {file.stem: pixels(file.with_suffix(".png")) for file in (plain, turned, sized)}
    assert np.array_equal(drawn["plain"][40:], drawn["turned"][40:])
    assert not np.array_equal(drawn["plain"], drawn["sized"])


def test_classes_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (np.zeros((3, 8, 8), np.uint8) for _ in range(2))
    a[0], b[0, :4], b[1, 0, 0] = 2, 2, 1
    files = h5(tmp_path / "found.h5", classes=b), h5(tmp_path / "true.h5", classes=a)
    command = ("evaluate", *files, "--pred-dataset", "classes", "--truth-dataset", "classes", "--classes")
    assert scutoid(*command, "--json") == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["classes"] == [0, 1, 2]
    assert scores["confusion_matrix"] == [[127, 1, 0], [0, 0, 0], [32, 0, 32]]
    assert scores["iou_per_class"] == pytest.approx({"0": 127 / 160, "1": 0.0, "2": 0.5})
    assert scores["mean_dice"] == pytest.approx((0 + 2 / 3) / 2)
    assert scutoid(*command) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["dice_per_class_2", "0.6667"] in lines
    assert lines[-4:] == [row.split() for row in ("true class 0 1 2", "0 127 1 0", "1 0 0 0", "2 32 0 32")]


def test_cells_are_not_compared_as_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = h5(tmp_path / "cells.h5", label=np.arange(400).reshape(4, 10, 10))
    assert scutoid("evaluate", cells, cells, "--classes") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "400 different numbers" in shown.err and "leave out --classes where the numbers are cells" in shown.err


def test_the_tolerance_between_boundaries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, shifted = np.zeros((2, 6, 12, 30), np.uint16)
    truth[..., 10:], shifted[..., 13:] = 1, 1
    files = h5(tmp_path / "found.h5", label=shifted), h5(tmp_path / "true.h5", label=truth)
    found = {}
    for option in ((), ("--boundary-tolerance", BOUNDARY_TOLERANCE), ("--boundary-tolerance", 3)):
        assert scutoid("evaluate", *files, "--json", *option) == 0
        found[option] = json.loads(capsys.readouterr().out)["boundary_f1"]
    assert list(found.values()) == [0.0, 0.0, 1.0]
    scutoid("evaluate", "--help")
    assert f"without it, {BOUNDARY_TOLERANCE:g}." in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--cells", "cells.xlsx"), ("cells.xlsx could not be written", "let the name end in .csv")),
        (("--cells", "nowhere/cells.csv"), ("there is no folder",)),
        (("--picture", "errors.jpg"), ("errors.jpg could not be written", "let the name end in .png")),
        (("--picture", "nowhere/errors.png"), ("there is no folder",)),
        (("--image", "image.h5"), ("The image cannot be shown", "add --picture FILE.png")),
        (("--channel", "0"), ("no picture was asked for",)),
        (("--classes", "--cells", "cells.csv"), ("--classes cannot be combined with --cells",)),
        (("--classes", "--picture", "errors.png"), ("--classes cannot be combined with --picture",)),
        (("--classes", "--boundary-tolerance", "0"), ("--classes cannot be combined with --boundary-tolerance",)),
        (("--boundary-tolerance", "-1"), ("-1 is no distance in voxels between 0 and 100",)),
        (("--boundary-tolerance", "nan"), ("nan is no distance in voxels",)),
        (("--boundary-tolerance", "1e9"), ("1e+09 is no distance in voxels",)),
    ],
)
def test_wishes_are_refused_before_anything_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    # The files are not there: that would be told if they were looked for.
    assert scutoid("evaluate", "found.h5", "true.h5", *options) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert shown.err.startswith("Error: ") and "What to try: " in shown.err
    assert [word for word in words if word not in shown.err] == [], shown.err
    assert list(tmp_path.iterdir()) == []


def test_labels_of_two_grids_leave_no_files(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = h5(tmp_path / "short.h5", label=FOUND[1:])
    wishes = ("--cells", tmp_path / "cells.csv", "--picture", tmp_path / "errors.png")
    for options in (wishes, ("--classes",)):
        assert scutoid("evaluate", short, pair[1], *options) == 2
        assert "their shapes are (5, 12, 16) and (6, 12, 16)" in capsys.readouterr().err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["found.h5", "short.h5", "true.h5"]
