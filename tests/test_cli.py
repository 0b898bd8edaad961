"""The command line: what it prints where, with which exit status, and that it passes on what was asked for."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, get_args

import h5py
import numpy as np
import pytest

from napari_scutoid import cli
from napari_scutoid.cli_settings import Device
from napari_scutoid.errors import ScutoidError
from napari_scutoid.pipeline import ResultOnDisk
from napari_scutoid.progress import Progress
from napari_scutoid.steps.cell_table import cell_table
from napari_scutoid.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_scutoid.recipe import Recipe

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


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    return h5(tmp_path / "stack.h5", raw=STACK)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Volume, Recipe, str]]:
    """Stand for the pipeline, and remember what it was given."""
    seen = []

    def run(volume: Volume, recipe: Recipe, model: str) -> Iterator[Progress]:
        seen.append((volume, recipe, model))
        yield Progress("Predicting", 1, 2)
        yield Progress("Predicting", 2, 2)
        data = np.zeros(volume.shape, np.uint8)
        data[0, 0, :2] = 1, 2
        maps = {name: Volume(np.full((2, 3, 4), 0.5, np.float32)) for name in ("foreground", "boundary")}
        facts = {"device": "cpu", "precision": "bf16", "tiles": 4, "tiles_skipped": 1}
        told = {
            "warnings": ["the voxel size is unknown"],
            "cell_size": {"diameter": 15.96, "anisotropy": 0.5, "uncertainty": 0.1},
            "typical_cell": {"diameter_voxels": 15.0, "diameter_um": None},
            "cells": {"n": 2, "touch_border": [1, 2]},
            "working_shape": [2, 3, 4],
            "prediction": facts,
        }
        return ResultOnDisk(Volume(data, volume.voxel_size_um), maps, told, cell_table(data))

    monkeypatch.setattr("napari_scutoid.pipeline.run_on_disk", run)
    return seen


def test_help_of_each_command_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert scutoid("--help") == 0
    commands = ("info", "segment", "evaluate", "tune", "convert", "synth", "demo")
    shown = capsys.readouterr().out
    assert all(command in shown for command in commands)
    for command in commands:
        assert scutoid(command, "--help") == 0
    assert scutoid("--version") == 0
    assert capsys.readouterr().out.splitlines()[-1].count(".") >= 2


def test_help_loads_nothing_heavy() -> None:
    heavy = {"torch", "napari", "skimage", "scipy", "h5py", "pandas", "numpy", "napari_scutoid.recipe"}
    code = f"""
import sys
from napari_scutoid.cli import main
try:
    main(["segment", "--help"])
except SystemExit:
    print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stderr.strip() == "[]"


def test_info_shows_every_data_set(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scutoid("info", stack) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0] == f"{stack}: HDF5"
    assert shown.out.splitlines()[2].split()[:8] == ["raw", "9", "x", "10", "x", "11", "ZYX", "uint8"]
    assert shown.err == ""


def test_info_as_json_is_one_object(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scutoid("info", stack, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["format"] == "HDF5"
    assert shown["datasets"][0]["shape"] == [9, 10, 11]


def test_info_of_a_file_without_arrays_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scutoid("info", h5(tmp_path / "a.h5")) == 0
    assert "no data set" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "missing.h5"),
        ("info", "."),
        ("segment", "missing.h5", "-o", "out.h5"),
        ("segment", "missing.h5", "-o", "out.png"),
        ("segment", "missing.h5", "-o", "nowhere/out.h5"),
        ("evaluate", "missing.h5", "missing.h5"),
        ("convert", "missing.h5", "-o", "out.h5"),
        ("convert", "missing.h5", "-o", "out"),
        ("synth", "out.png"),
        ("synth", "out.h5", "--shape", "2", "2", "2"),
        ("synth", "out.h5", "--shape", "8", "8", "8", "--kind", "cyst", "--cell-diameter", "300"),
        ("synth", "out.h5", "--shape", "90000", "90000", "90000"),
        ("synth", "out.h5", "--cell-diameter", "1"),
        ("synth", "out.h5", "--z-step", "0"),
    ],
)
def test_the_users_mistakes_exit_2_with_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert scutoid(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert shown.err.startswith("Error: ") and "What to try: " in shown.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("explode",),
        ("segment", "a.h5"),
        ("segment", "a.h5", "-o", "b.h5", "--device", "abacus"),
        ("segment", "a.h5", "-o", "b.h5", "--voxel-size", "1", "1"),
        ("segment", "a.h5", "-o", "b.h5", "--channel", "red"),
        ("convert", "a.h5"),
        ("convert", "a.h5", "-o", "b.h5", "--as", "cells"),
        ("synth", "a.h5", "--kind", "bone"),
        ("synth", "a.h5", "--seed", "-1"),
    ],
)
def test_wrong_usage_exits_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert scutoid(*arguments) == 2
    assert capsys.readouterr().out == ""


def test_a_bug_shows_its_traceback_and_exits_1(stack: Path) -> None:
    code = f"""
import napari_scutoid.io.open as door
from napari_scutoid.cli import main
door.inspect = lambda file: 1 / 0
main(["info", {os.fspath(stack)!r}])
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert shown.returncode == 1
    assert "Traceback" in shown.stderr and "ZeroDivisionError" in shown.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError("Unable to allocate 9 GiB"), "too little memory"),
        (PermissionError(13, "Permission denied", "x.h5"), "Permission denied: 'x.h5'"),
    ],
)
def test_what_the_computer_refuses_is_a_message(
    stack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, words: str
) -> None:
    def refuse(_: Path) -> None:
        raise error

    monkeypatch.setattr("napari_scutoid.io.open.inspect", refuse)
    assert scutoid("info", stack) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("Error: ") and words in shown and "What to try: " in shown


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is no signal there")
def test_ctrl_c_exits_130_and_leaves_nothing(stack: Path, tmp_path: Path) -> None:
    # A job that a shell started in the background ignores Ctrl-C, and so would this child of it.
    code = f"""
import signal
import time
import napari_scutoid.pipeline as pipeline
from napari_scutoid.cli import main
from napari_scutoid.progress import Progress

signal.signal(signal.SIGINT, signal.default_int_handler)

def run(*arguments):
    try:
        while True:
            yield Progress("Predicting")
            time.sleep(0.01)
    finally:
        print("closed", flush=True)

pipeline.run_on_disk = run
main(["segment", {os.fspath(stack)!r}, "-o", {os.fspath(tmp_path / "out.h5")!r}])
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stderr is not None
        assert child.stderr.readline() == "Predicting\n"
        time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=300)
    assert child.returncode == 130
    assert (out, err) == ("closed\n", "Cancelled.\n")
    assert list(tmp_path.iterdir()) == [stack]


def test_segment_writes_labels_and_warns(
    stack: Path, tmp_path: Path, runs: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert scutoid("segment", stack, "-o", tmp_path / "out.h5") == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "Predicting",
        "Estimated cell diameter: 16.0 voxels (give or take 10%), z step 0.50 times the xy step.",
        "Predicted on 2 x 3 x 4 voxels, cpu in bf16; 1 of 4 tiles held no tissue.",
        "A typical cell is 15.0 voxels across on that grid, by its walls.",
        "2 cells, 2 of them cut by the stack's border.",
        "Warning: the voxel size is unknown",
        f"Written: {tmp_path / 'out.h5'}",
    ]
    volume, recipe, model = runs[0]
    np.testing.assert_array_equal(volume.data[...], STACK)
    assert (volume.voxel_size_um, model) == (None, "builtin")
    assert recipe.model_fields_set == set()
    with h5py.File(tmp_path / "out.h5") as file:
        assert set(file) == {"label"}
        assert "element_size_um" not in file["label"].attrs
        assert json.loads(file.attrs["provenance"])["warnings"]


def test_segment_passes_everything_on(tmp_path: Path, runs: list[Any]) -> None:
    path = h5(tmp_path / "a.h5", one=np.stack([[STACK, STACK + 1]] * 6), two=STACK)
    (tmp_path / "r.yaml").write_text("predict: {gate: false}\nwatershed: {seed_sigma: 0.2}\n")
    command = ["segment", path, "-o", tmp_path / "out.h5", "--dataset", "one", "--channel", 1, "--time", 5]
    command += ["--voxel-size", 1.5, 0.3, 0.2, "--recipe", tmp_path / "r.yaml", "--model", "mine", "--device", "cpu"]
    assert scutoid(*command, "--save-probabilities") == 0
    volume, recipe, model = runs[0]
    np.testing.assert_array_equal(volume.data[...], STACK + 1)
    assert volume.voxel_size_um == (1.5, 0.3, 0.2)
    assert model == "mine"
    # Only what the user set counts as set: the rest is the model's to say.
    assert recipe.model_dump(exclude_unset=True) == {
        "predict": {"gate": "off", "device": "cpu"},
        "watershed": {"seed_sigma": 0.2},
    }
    with h5py.File(tmp_path / "out.h5") as file:
        assert set(file) == {"label", "foreground", "boundary"}
        np.testing.assert_array_equal(file["label"].attrs["element_size_um"], [1.5, 0.3, 0.2])


def test_segment_says_which_axis_to_choose_from(
    tmp_path: Path, runs: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    path = h5(tmp_path / "a.h5", raw=np.zeros((3, 16, 512, 512), np.uint8))
    assert scutoid("segment", path, "-o", tmp_path / "out.h5") == 2
    shown = capsys.readouterr().err
    assert "`raw` has 4 axes (3, 16, 512, 512)" in shown and "choose the channel with --channel" in shown
    assert runs == []


@pytest.mark.parametrize("how", ["same", "roundabout", "symbolic", "hard"])
def test_segment_never_overwrites_its_stack(
    stack: Path, tmp_path: Path, runs: list[Any], capsys: pytest.CaptureFixture[str], how: str
) -> None:
    target = stack
    if how == "roundabout":
        target = tmp_path / ".." / tmp_path.name / "stack.h5"
    elif how != "same":
        target = tmp_path / "out.h5"
        target.symlink_to(stack) if how == "symbolic" else target.hardlink_to(stack)
    before = stack.read_bytes()
    assert scutoid("segment", stack, "-o", target) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert stack.read_bytes() == before
    assert runs == []


def test_segment_runs_the_real_chain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from napari_scutoid.network.checkpoint import save_model
    from napari_scutoid.network.config import Architecture, ModelConfig
    from napari_scutoid.network.unet import build

    architecture = Architecture(plan=((4, 4), (4, 8)), norm="none")
    save_model(tmp_path / "model", build(architecture, 2), ModelConfig(name="tiny", architecture=architecture))
    assert scutoid("synth", tmp_path / "a.mat", "--shape", 16, 32, 32, "--kind", "packed", "--seed", 1) == 0
    (tmp_path / "r.yaml").write_text("rescale: {mode: none}\n")
    command = ["segment", tmp_path / "a.mat", "-o", tmp_path / "out.h5", "--model", tmp_path / "model"]
    assert scutoid(*command, "--recipe", tmp_path / "r.yaml", "--device", "cpu", "--save-probabilities") == 0
    capsys.readouterr()
    assert scutoid("evaluate", tmp_path / "out.h5", tmp_path / "a.mat", "--json") == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["n_true"] > 1
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["label"].shape == (16, 32, 32)
        assert file["label"].dtype.kind == "u"
        provenance = json.loads(file.attrs["provenance"])
        assert provenance["recipe"]["predict"]["device"] == "cpu"
        assert provenance["source"]["dataset"] == "imageSequenceInterpolated"


def test_evaluate_prints_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = np.zeros((4, 8, 8), np.uint16)
    truth[:, 1:4, 1:7], truth[:, 4:7, 1:7] = 1, 2
    path = h5(tmp_path / "truth.h5", label=truth, labels=truth * 0, semantic_target=(truth > 0).astype(np.uint8))
    merged = h5(tmp_path / "merged.h5", cells=(truth > 0).astype(np.uint8), unlike=truth[1:])
    assert scutoid("evaluate", path, path, "--json") == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    scores = json.loads(shown.out)
    assert (scores["arand"], scores["ap50"], scores["n_true"], scores["cell_count_error"]) == (0.0, 1.0, 2, 0)
    assert 0 < scores["semantic_iou"] < 1
    assert scutoid("evaluate", merged, path, "--pred-dataset", "cells", "--truth-dataset", "label") == 0
    lines = dict(line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert (lines["n_pred"], lines["n_true"], lines["foreground_iou"]) == ("1", "2", "1.0000")
    assert "semantic_iou of TRUTH" in lines
    assert scutoid("evaluate", merged, path, "--pred-dataset", "unlike") == 2
    assert "their shapes are (3, 8, 8) and (4, 8, 8)" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".h5", ".mat"])
def test_synth_writes_the_same_tissue_for_the_same_seed(tmp_path: Path, suffix: str) -> None:
    from napari_scutoid.io.open import open_labels, open_volume

    files = [tmp_path / f"{name}{suffix}" for name in "abc"]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        assert scutoid("synth", file, "--kind", "packed", "--shape", 16, 32, 24, "--seed", seed) == 0
    first, again, other = (open_volume(file).data[...] for file in files)
    assert first.shape == (16, 32, 24)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert open_labels(files[0]).data.max() > 1


def test_synth_passes_cell_diameter_and_z_step_on(tmp_path: Path) -> None:
    from napari_scutoid.io.open import open_labels, open_volume
    from napari_scutoid.synth.tissue import synthesise

    file = tmp_path / "a.h5"
    command = ["synth", file, "--kind", "packed", "--shape", 12, 32, 24, "--seed", 3]
    assert scutoid(*command, "--cell-diameter", 9.5, "--z-step", 2.5) == 0
    expected = synthesise("packed", (12, 32, 24), 3, cell_diameter=9.5, z_step=2.5)
    np.testing.assert_array_equal(open_labels(file).data, expected.labels.data)
    assert open_volume(file).voxel_size_um == pytest.approx(expected.image.voxel_size_um)
    with h5py.File(file) as written:
        made = json.loads(written.attrs["provenance"])["synth"]
    assert (made["cell_diameter"], made["z_step"]) == (9.5, 2.5)


def test_kinds_are_those_that_can_be_made() -> None:
    from napari_scutoid.synth.geometry import KINDS

    assert {kind.value for kind in cli.TissueKind} == set(KINDS)


def test_devices_are_those_of_a_recipe() -> None:
    from napari_scutoid.recipe import Predict

    assert {device.value for device in Device} == set(get_args(Predict.model_fields["device"].annotation))


def test_demo_names_what_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from napari_scutoid.demo import Demo

    def run_demo(folder: Path) -> Iterator[Progress]:
        yield Progress("Drawing")
        return Demo({"picture": folder / "gland.png"}, {"ap50": 0.5, "semantic_iou": None}, 8, 3)

    monkeypatch.setattr("napari_scutoid.demo.run_demo", run_demo)
    assert scutoid("demo", "-o", tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:2]] == [["ap50", "0.5000"], ["semantic_iou", "-"]]
    assert lines[2:] == ["3 of 8 tiles held no tissue and were skipped", f"picture: {tmp_path / 'gland.png'}"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_bars_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    def job() -> Iterator[Progress]:
        yield Progress("Reading", 1, 2)
        yield Progress("Predicting")
        yield Progress("Predicting", 3, 3)
        return 42

    assert cli._follow(job()) == 42
    assert "Reading" in terminal.getvalue() and "Predicting" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_a_failing_job_is_closed_and_its_error_passed_on() -> None:
    closed = []

    def job() -> Iterator[Progress]:
        try:
            yield Progress("Reading")
            raise ScutoidError("a", "b", "c")
        finally:
            closed.append(True)

    with pytest.raises(ScutoidError):
        cli._follow(job())
    assert closed == [True]
