"""A file that crashes the HDF5 library is refused, and only the process that tried it dies."""

from __future__ import annotations

import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io import probe
from napari_scutoid.io.open import inspect, open_volume
from told import assert_is_message, scutoid

if TYPE_CHECKING:
    from pathlib import Path

STACK = np.random.default_rng(4).integers(0, 200, (9, 10, 11)).astype(np.uint8)


@pytest.fixture(autouse=True)
def _switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(probe.SWITCH)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = STACK
        file["raw"].dims[0].label = "z"
    return tmp_path / "a.h5"


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> list[str]:
    """Let `code` run instead of the probe, and remember the files that it was given."""
    tried: list[str] = []

    def command(path: str) -> list[str]:
        tried.append(path)
        return [sys.executable, "-c", code]

    monkeypatch.setattr(probe, "_command", command)
    return tried


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import os; os.abort()", "its content is damaged: reading it crashes the HDF5 library"),
        ("while True: pass", "its content is damaged: reading it never ends"),
        ("import sys; sys.exit(3)", "its content is damaged: reading its headers takes more than 2 GiB of memory"),
    ],
)
def test_what_becomes_of_the_process_is_told(stack: Path, monkeypatch: pytest.MonkeyPatch, code: str, why: str) -> None:
    if "while" in code:
        # A busy machine needs longer to start the others.
        monkeypatch.setattr(probe, "MOST_CPU_SECONDS", 0.2)
    stand_in(monkeypatch, code)
    for call in (inspect, open_volume):
        with pytest.raises(ScutoidError, match=f"a.h5 could not be opened: {why}. What to try: copy it again"):
            call(stack)


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot limit itself there")
def test_it_ends_itself_when_one_step_never_ends() -> None:
    code = "from napari_scutoid.io import probe\nprobe._limit_time(1)\nwhile True: pass"
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert probe._judge(ended.returncode) == "reading it never ends"


def test_a_file_of_many_arrays_may_take_its_time(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(1500):
            file[f"{number // 100}/{number}"] = STACK[0]
    command = [*probe._command(str(tmp_path / "a.h5"))[:-1], "1"]
    assert subprocess.run(command, check=False).returncode == 0


def test_a_crash_in_windows_words_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    access_violation = 0xC0000005
    assert probe._judge(access_violation) == "reading it crashes the HDF5 library"


@pytest.mark.parametrize("code", ["", "1 / 0", "raise SystemExit(2)"])
def test_other_ends_leave_it_to_opening(stack: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    tried = stand_in(monkeypatch, code)
    assert inspect(stack).datasets[0].path == "raw"
    assert tried == [str(stack)]


def test_where_no_process_can_be_started_the_file_is_opened(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_command", lambda path: [str(stack.parent / "no program")])
    assert inspect(stack).datasets[0].path == "raw"


def test_a_file_is_tried_once_until_it_changes(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = stand_in(monkeypatch, "")
    for _ in range(3):
        inspect(stack)
    assert len(tried) == 1
    with h5py.File(stack, "a") as file:
        file["more"] = STACK
    inspect(stack)
    assert len(tried) == 2


def test_it_can_be_switched_off(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(probe.SWITCH, "off")
    tried = stand_in(monkeypatch, "")
    inspect(stack)
    assert tried == []


def test_other_formats_are_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import scipy.io

    tried = stand_in(monkeypatch, "")
    scipy.io.savemat(tmp_path / "a.mat", {"raw": STACK})
    inspect(tmp_path / "a.mat")
    assert tried == []


@pytest.mark.parametrize("suffix", [".h5", ".mat"])
def test_the_probe_reads_good_files_and_damaged_ones_quietly(tmp_path: Path, suffix: str) -> None:
    from napari_scutoid.io.save import save_stack
    from napari_scutoid.volume import Labels, Volume

    path = tmp_path / f"a{suffix}"
    save_stack(path, Volume(STACK), Labels(STACK))
    good = path.read_bytes()
    for content in (good, good[:700], good[: len(good) // 2]):
        path.write_bytes(content)
        ended = subprocess.run(probe._command(str(path)), capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_heap_that_hdf5_walks_for_ever_is_a_message_of_the_command(
    stack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """HDF5 2.0 steps through the texts of a file by their lengths, and a free space of length 0 keeps it there."""
    content = bytearray(stack.read_bytes())
    place = content.index(b"GCOL") + 16
    while (number := struct.unpack_from("<H", content, place)[0]) != 0:
        place += 16 + -(-struct.unpack_from("<Q", content, place + 8)[0] // 8) * 8
    content[place + 8 : place + 16] = bytes(8)
    assert number == 0
    stack.write_bytes(content)
    monkeypatch.setattr(probe, "CPU_SECONDS", 1)
    # A later HDF5 may have learnt to refuse or to skip it.
    status = scutoid("info", stack)
    shown = capsys.readouterr()
    assert status in (0, 2)
    if status == 2:
        assert shown.out == ""
        assert_is_message(shown.err, "a.h5 could not be opened")
