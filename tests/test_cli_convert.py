"""`scutoid convert`, and axes named on the command line: what is passed on, and what is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from napari_scutoid import cli
from napari_scutoid.io.open import open_volume

if TYPE_CHECKING:
    from pathlib import Path

STACK = np.random.default_rng(8).integers(0, 200, (9, 10, 11)).astype(np.uint8)


def scutoid(*arguments: object) -> int:
    """Run a command and return its exit status."""
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


def h5(path: Path, **arrays: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def test_info_says_how_to_name_axes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scutoid("info", h5(tmp_path / "a.h5", raw=np.zeros((40, 40, 9), np.uint8), mask=np.zeros((40, 40, 9)))) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "`raw`: if its last axis is z, say --axes XYZ"


def test_convert_writes_what_was_chosen_and_says_what_it_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = np.stack([STACK, STACK + 50]).astype("f8")
    source, output = h5(tmp_path / "a.h5", raw=raw, label=STACK > 9, foreground=raw), tmp_path / "b.mat"
    chosen = ("--channel", 1, "--axes", "CXYZ", "--voxel-size", 1, 0.5, 0.25)
    assert scutoid("convert", source, "-o", output, "--dataset", "raw", *chosen) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "`raw` is image `raw`, 11 x 10 x 9 uint8; axes CXYZ given by hand; channel 1 of 2" in shown.err
    assert shown.err.splitlines()[-1].endswith(f"MiB in {output}")
    volume = open_volume(output)
    np.testing.assert_array_equal(volume.data[...], (STACK + 50).transpose())
    assert volume.voxel_size_um == (1.0, 0.5, 0.25)

    assert scutoid("convert", source, "-o", tmp_path / "c.h5", "--as", "labels", "--channel", 0) == 0
    assert "Left out, as nobody named them: `foreground`, `raw`" in capsys.readouterr().err
    assert scutoid("convert", source, "-o", source) == 2
    assert "never overwritten" in capsys.readouterr().err


def test_convert_keeps_or_rounds_a_type(tmp_path: Path) -> None:
    whole, fractions = h5(tmp_path / "a.h5", raw=STACK.astype("f8")), h5(tmp_path / "b.h5", raw=STACK / 7)
    for source, option, dtype in ((whole, "--keep-type", "f8"), (fractions, "--single", "f4")):
        assert scutoid("convert", source, "-o", tmp_path / "out.h5", option) == 0
        with h5py.File(tmp_path / "out.h5") as file:
            assert file["raw"].dtype == dtype


def test_evaluate_takes_labels_in_any_order_of_axes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = np.arange(9 * 10 * 11).reshape(9, 10, 11) // 99 + 1
    insides = cells % 2
    truth = h5(tmp_path / "truth.h5", label=cells.transpose(), semantic_target=insides.transpose())
    found = h5(tmp_path / "found.h5", label=cells.swapaxes(1, 2))
    assert scutoid("evaluate", found, truth) == 2
    assert scutoid("evaluate", found, truth, "--pred-axes", "ZXY", "--truth-axes", "XYZ") == 0
    shown = capsys.readouterr().out
    assert dict(line.rsplit(maxsplit=1) for line in shown.splitlines())["ap50"] == "1.0000"
    assert "semantic_iou of TRUTH" in shown
