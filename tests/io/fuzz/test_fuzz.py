"""Damaged files of every format are opened or refused with a message; and the fuzzer notices when they are not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import child
import pytest
from mutate import mutate
from run import Case, fuzz, main
from samples import make_samples

from napari_scutoid.errors import ScutoidError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    make_samples(folder)
    return folder


@pytest.mark.timeout(3600)
def test_two_thousand_damaged_files_are_opened_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], samples: Path
) -> None:
    status = main(["--cases", "2000", "--json", str(tmp_path / "counts.json")])
    shown = capsys.readouterr()
    assert status == 0, shown.err
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts["cases"] == 2000
    assert set(counts["files"]) == {sample.name for sample in samples.iterdir()}
    # Where nothing were refused, or nothing opened, nothing would have been tried.
    for name, outcomes in counts["files"].items():
        assert outcomes.get("refused"), name
        assert outcomes.get("opened", 0) + outcomes.get("converted", 0), name


def test_undamaged_samples_are_converted(tmp_path: Path, samples: Path) -> None:
    for number, sample in enumerate(sorted(samples.iterdir())):
        assert child.one_case(sample, tmp_path / str(number), ".h5") == ("converted", ""), sample.name


def test_the_same_seed_damages_alike_and_another_does_not(tmp_path: Path, samples: Path) -> None:
    contents = set()
    for number, seed in enumerate(("1/7", "1/7", "2/7", "3/7")):
        target = tmp_path / f"{number}.h5"
        mutate(samples / "own.h5", target, seed)
        contents.add(target.read_bytes())
    assert len(contents) == 3
    assert (samples / "own.h5").read_bytes() not in contents


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (ZeroDivisionError(), "traceback"),
        (MemoryError(), "memory"),
        (ScutoidError("a", "b", "c"), "opened"),
        (ScutoidError("a", "b\nc", "d"), "message"),
    ],
)
def test_what_goes_wrong_is_noticed(
    tmp_path: Path, samples: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, outcome: str
) -> None:
    def fail(*_: object) -> Iterator[None]:
        raise failure
        yield

    monkeypatch.setattr(child, "convert", fail)
    assert child.one_case(samples / "own.h5", tmp_path / "out", ".h5")[0] == outcome


def test_a_file_left_behind_is_noticed(tmp_path: Path, samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path, target: Path) -> Iterator[None]:
        target.write_text("half")
        raise ScutoidError("a", "b", "c")
        yield

    monkeypatch.setattr(child, "convert", fail)
    assert child.one_case(samples / "own.h5", tmp_path / "out", ".h5") == ("partial", "left behind: ['out.h5']")


FAKE = """
import json, os, sys, time, faulthandler
first, last = map(int, sys.argv[4:6])
trusting = os.environ.get("SCUTOID_PROBE") == "off"
for case in range(first, last):
    about = {"case": case, "sample": "a.h5", "done": "flip"}
    print(json.dumps(about), flush=True)
    if case == 1 and trusting or case == 3:
        faulthandler.enable()
        os.abort()
    if case == 2 and trusting:
        faulthandler.dump_traceback_later(0.1, exit=True)
        time.sleep(60)
    print(json.dumps(about | {"outcome": "refused", "detail": ""}), flush=True)
"""


def test_a_conversion_without_end_is_cancelled(tmp_path: Path, samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(_: Path, target: Path) -> Iterator[None]:
        target.write_text("half")
        try:
            while True:
                yield
        finally:
            target.unlink()

    calls: list[int] = []
    monkeypatch.setattr(child, "convert", endless)
    monkeypatch.setattr(child, "SECONDS", 0.1)
    assert child.one_case(samples / "own.h5", tmp_path / "out", ".h5", lambda: calls.append(1)) == ("opened", "")
    assert calls


def test_a_child_that_dies_is_replaced_and_its_file_tried_again(tmp_path: Path) -> None:
    (tmp_path / "fake.py").write_text(FAKE)
    (tmp_path / "work").mkdir()
    found: list[Case] = list(fuzz(tmp_path, tmp_path / "work", 0, range(5), tmp_path / "fake.py"))
    assert [case.outcome for case in found] == ["refused", "crash told", "hang told", "crash", "refused"]
    assert "Aborted" in found[1].detail and "Timeout" in found[2].detail


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system counts by the clock only")
@pytest.mark.parametrize(("work", "status"), [("while True: pass", -signal.SIGPROF), ("time.sleep(60)", 1)])
def test_work_without_end_and_waiting_without_end_are_ended(work: str, status: int) -> None:
    code = f"""
import sys, time
sys.path.insert(0, {str(Path(child.__file__).parent)!r})
import child
child.SECONDS = 0.2
child.watch()
{work}
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == status
    assert "most recent call first" in ended.stderr
    assert ("Timeout (" in ended.stderr) == (status == 1)


def test_a_child_that_fails_by_itself_is_no_finding(tmp_path: Path) -> None:
    (tmp_path / "fake.py").write_text("1 / 0")
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        list(fuzz(tmp_path, tmp_path, 0, range(5), tmp_path / "fake.py"))


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the system limits no process's memory")
def test_memory_is_limited() -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(child.__file__).parent)!r})
import child, numpy
child.limit_memory()
numpy.empty({child.MEMORY + 2**28}, "u1")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MemoryError" in ended.stderr
