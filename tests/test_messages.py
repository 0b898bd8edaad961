"""The commonest mistakes and unusable files: one message in a biologist's words, exit 2, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile

from napari_scutoid.io.save import result_suffixes, save_stack
from napari_scutoid.volume import Labels, Volume
from told import assert_is_message, scutoid

if TYPE_CHECKING:
    from collections.abc import Iterator

STACK = np.random.default_rng(8).integers(0, 200, (9, 10, 11)).astype(np.uint8)
LABELS = (np.indices((9, 10, 11)).sum(axis=0) // 8).astype(np.uint16)
CONVERT = ("-o", "out.h5")


def h5(path: Path, **arrays: Any) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files as people have them, most of them wrong in one way."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "folder").mkdir()
    h5(folder / "stack.h5", raw=STACK, label=LABELS)
    h5(folder / "image.h5", raw=STACK)
    h5(folder / "labels.h5", label=LABELS)
    h5(folder / "film.h5", label=np.stack([LABELS] * 7))
    h5(folder / "shorter.h5", label=LABELS[1:])
    h5(folder / "fractions.h5", label=LABELS + 0.5)
    h5(folder / "channels.h5", raw=np.zeros((3, 16, 512, 512), np.uint8))
    h5(folder / "nothing.h5")
    h5(folder / "infinite.h5", raw=np.where(STACK > 100, np.inf, STACK))
    h5(folder / "nan.h5", raw=np.where(STACK > 100, np.nan, STACK))
    h5(folder / "constant.h5", raw=np.full((9, 40, 40), 7, np.uint8))
    h5(folder / "no_slices.h5", raw=np.zeros((0, 10, 11)))
    h5(folder / "complex.h5", raw=STACK + 1j * STACK)
    h5(folder / "text.h5", raw=np.full((9, 10, 11), b"abc"))
    h5(folder / "column.h5", raw=np.zeros((1, 500, 1)))
    h5(folder / "link.h5", raw=h5py.ExternalLink("stack.h5", "/raw"))
    with h5py.File(folder / "terabytes.h5", "w") as file:
        file.create_dataset("raw", (2**15, 2**15, 2**15), "f4")
    scipy.io.savemat(folder / "complex.mat", {"raw": STACK + 1j * STACK})
    scipy.io.savemat(folder / "text.mat", {"raw": "text"})
    scipy.io.savemat(folder / "empty.mat", {"raw": np.zeros((0, 4, 5))})
    tifffile.imwrite(folder / "photo.tif", np.dstack([STACK[0]] * 3), photometric="rgb")
    (folder / "empty.tif").touch()
    (folder / "letter.mat").write_text("Dear colleagues, " * 100)
    for suffix in (".h5", ".mat", ".tif"):
        whole = folder / f"whole{suffix}"
        save_stack(whole, Volume(STACK), Labels(LABELS))
        (folder / f"half{suffix}").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return folder


# What is typed, and what the message has to say: what is wrong, with the numbers, and what to do.
MISTAKES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a wrong path": (
        ("convert", "stak.h5", *CONVERT),
        ("stak.h5 could not be opened", "no such file", "check the path"),
    ),
    "a folder": (("convert", "folder", *CONVERT), ("it is a folder", "give a file")),
    "a wrong data set": (
        ("convert", "stack.h5", "--dataset", "membrane", *CONVERT),
        ("has no data set `membrane`", "name one of these data sets: `label`, `raw`"),
    ),
    "channels": (
        ("convert", "channels.h5", *CONVERT),
        ("`raw` has 4 axes (3, 16, 512, 512)", "choose the channel with --channel, 0 to 2"),
    ),
    "a channel too many": (
        ("convert", "channels.h5", "--channel", "3", *CONVERT),
        ("`raw` has no channel 3", "it has 3, counted from 0", "give --channel 0 to 2"),
    ),
    "a file with nothing in it": (("segment", "nothing.h5", *CONVERT), ("it holds no arrays", "the right file")),
    "a file without image": (
        ("segment", "labels.h5", *CONVERT),
        ("no data set looks like an image", "`label` (9, 10, 11): labels", "--dataset"),
    ),
    "a photograph": (
        ("segment", "photo.tif", *CONVERT),
        ("has 3 axes (3, 10, 11)", "C in CYX, has 3 entries", "choose the channel with --channel, 0 to 2"),
    ),
    "a line of numbers": (("convert", "column.h5", *CONVERT), ("its shape is (1, 500, 1): no picture",)),
    "voxels of no size": (
        ("convert", "stack.h5", "--voxel-size", "0", "1", "1", *CONVERT),
        ("The voxel size cannot be used", "(0.0, 1.0, 1.0)", "three lengths in micrometres"),
    ),
    "voxels of negative size": (
        ("segment", "stack.h5", "--voxel-size", "1", "-1", "1", *CONVERT),
        ("The voxel size cannot be used", "(1.0, -1.0, 1.0)", "three lengths in micrometres"),
    ),
    "a folder that is not there": (
        ("convert", "stack.h5", "-o", "nowhere/out.h5"),
        ("there is no folder", "make the folder, or give another"),
    ),
    "an ending that is no format": (
        ("convert", "stack.h5", "-o", "out.png"),
        ("files that end in .png cannot be written", "let the name end in one of: .h5"),
    ),
    "no ending": (("convert", "stack.h5", "-o", "out"), ("its name has no ending such as .h5",)),
    "its own file": (("convert", "stack.h5", "-o", "stack.h5"), ("never overwritten", "give another name")),
    "another's file": (("convert", "stack.h5", "-o", "image.h5"), ("this program did not make it", "another name")),
    "an image to be scored": (
        ("evaluate", "image.h5", "labels.h5"),
        ("no data set looks like labels", "`raw` (9, 10, 11): image", "--pred-dataset or --truth-dataset"),
    ),
    "labels over time to be scored": (
        ("evaluate", "film.h5", "labels.h5"),
        ("`label` has 4 axes (7, 9, 10, 11)", "choose the time point with `scutoid convert --time`, 0 to 6"),
    ),
    "labels with fractions": (
        ("evaluate", "fractions.h5", "labels.h5"),
        ("`label` holds no labels", "whole numbers", "one whole number per cell"),
    ),
    "shapes that differ": (
        ("evaluate", "shorter.h5", "labels.h5"),
        ("their shapes are (8, 10, 11) and (9, 10, 11)", "give labels on the same grid"),
    ),
    "half an HDF5": (("convert", "half.h5", *CONVERT), ("damaged or incomplete", "copy it again from its source")),
    "half a MATLAB 7.3": (
        ("convert", "half.mat", *CONVERT),
        ("damaged or incomplete", "copy it again from its source"),
    ),
    "half a TIFF": (("convert", "half.tif", *CONVERT), ("damaged or incomplete", "copy it again from its source")),
    "an empty file": (("info", "empty.tif"), ("it is empty", "give a file of one of these formats")),
    "no stack at all": (("info", "letter.mat"), ("no known format", "give a file of one of these formats: MATLAB 7.3")),
    "NaN": (
        ("convert", "nan.h5", *CONVERT),
        ("`raw` could not be used", "some voxels are NaN or infinite", "isfinite"),
    ),
    "infinity": (("convert", "infinite.h5", *CONVERT), ("some voxels are NaN or infinite", "give them a number")),
    "a constant image": (
        ("segment", "constant.h5", "--dataset", "raw", *CONVERT),
        ("cannot be segmented", "nearly all voxels have the same intensity", "the right data set and channel"),
    ),
    "no slices": (("convert", "no_slices.h5", *CONVERT), ("`raw`: it is empty", "check that it is the right file")),
    "no rows": (("convert", "empty.mat", *CONVERT), ("`raw`: it is empty, its shape is (0, 4, 5)", "the right file")),
    "complex numbers": (
        ("convert", "complex.h5", "--dataset", "raw", *CONVERT),
        ("`raw` could not be opened", "it holds complex numbers", "save their magnitude instead"),
    ),
    "complex numbers not named": (
        ("segment", "complex.h5", *CONVERT),
        ("`raw` (9, 10, 11): other, it holds complex numbers",),
    ),
    "complex numbers of MATLAB 5": (("convert", "complex.mat", *CONVERT), ("it holds complex numbers", "abs(A)")),
    "text": (("convert", "text.h5", *CONVERT), ("`raw`: it holds text", "check that it is the right file")),
    "text of MATLAB 5": (
        ("segment", "text.mat", *CONVERT),
        ("`raw`: it holds text", "check that it is the right file"),
    ),
    "a link out of the file": (
        ("convert", "link.h5", *CONVERT),
        ("`raw`: it is a link to another file (stack.h5)", "such links are not followed"),
    ),
    "terabytes": (
        ("convert", "terabytes.h5", *CONVERT),
        ("its header claims 128.0 TiB", "terabytes.h5 has 1.4 KiB", "damaged or was never filled"),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_one_message_says_what_why_and_what_to_try(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mistake: str
) -> None:
    command, words = MISTAKES[mistake]
    monkeypatch.chdir(files)
    before = {path: path.stat().st_mtime_ns for path in files.rglob("*")}
    assert scutoid(*command) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert_is_message(shown.err, *words)
    assert {path: path.stat().st_mtime_ns for path in files.rglob("*")} == before


def test_an_axis_of_one_is_named_and_opened(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not every odd file is a mistake: what was chosen is told."""
    h5(tmp_path / "one.h5", raw=STACK[np.newaxis])
    assert scutoid("convert", tmp_path / "one.h5", "-o", tmp_path / "out.h5") == 0
    assert "channel 0 of 1" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="a folder's mode forbids nothing there")
@pytest.mark.parametrize("suffix", sorted(result_suffixes()))
def test_a_read_only_folder_is_told(capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    # Not under tmp_path: its parents are closed to the user that root becomes here.
    with tempfile.TemporaryDirectory() as name:
        h5(Path(name, "stack.h5"), raw=STACK)
        Path(name).chmod(0o555)
        with without_privileges():
            assert scutoid("convert", Path(name, "stack.h5"), "-o", Path(name, f"out{suffix}")) == 2
        assert_is_message(capsys.readouterr().err, "could not be written: Permission denied", "may be written to")
        Path(name).chmod(0o755)
        assert os.listdir(name) == ["stack.h5"]


@pytest.mark.skipif(sys.platform == "win32", reason="the system limits no file's length")
@pytest.mark.parametrize("suffix", sorted(result_suffixes()))
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    """A limit on a file's length fails a write as a full disk does, also where the tests may not mount a small one."""
    h5(tmp_path / "stack.h5", raw=np.random.default_rng(1).integers(0, 255, (40, 150, 150)).astype(np.uint8))
    (tmp_path / "out").mkdir()
    code = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
from napari_scutoid.cli import main
main(["convert", sys.argv[1], "-o", sys.argv[2]])
"""
    target = tmp_path / "out" / f"a{suffix}"
    command = [sys.executable, "-c", code, str(tmp_path / "stack.h5"), str(target)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert_is_message(ended.stderr, f"{target} could not be written: File too large", "its disk has space left")
    assert list(target.parent.iterdir()) == []


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Become a user without rights where we are root, who may write to any folder."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)
