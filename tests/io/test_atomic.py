"""A file appears whole or not at all, and nothing is left beside it."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.atomic import check_writable, replacing

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_replaces_the_file(tmp_path: Path) -> None:
    target = tmp_path / "a.h5"
    target.write_text("old")
    with replacing(target) as part:
        part.write_text("new")
        assert part.parent == tmp_path
        assert part.suffix == ".part"
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_failure_leaves_the_old_file_alone(tmp_path: Path, failure: type[BaseException]) -> None:
    target = tmp_path / "a.h5"
    target.write_text("old")
    with pytest.raises(failure), replacing(target) as part:
        part.write_text("half")
        raise failure
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(ScutoidError, match=r"a\.h5 could not be written: No space left.*disk has space"):
        with replacing(tmp_path / "a.h5") as part:
            part.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["folder", "missing/a.h5"])
def test_a_folder_or_a_missing_folder_is_a_message(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ScutoidError, match=r"could not be written: (it is a folder|there is no folder)"):
        check_writable(tmp_path / name)
    with pytest.raises(ScutoidError), replacing(tmp_path / name):
        pytest.fail("the block must not run")


@pytest.mark.skipif(sys.platform == "win32", reason="a folder's mode forbids nothing there")
def test_a_read_only_folder_is_a_message() -> None:
    # Not under tmp_path: its parents are closed to the user that root becomes here.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        with without_privileges(), pytest.raises(ScutoidError, match="Permission denied"):
            check_writable(folder / "a.h5")
        folder.chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="a folder's mode forbids nothing there")
def test_a_folder_that_may_not_be_entered_is_a_message() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0)
        with without_privileges(), pytest.raises(ScutoidError, match="Permission denied"):
            check_writable(Path(name) / "a.h5")
        Path(name).chmod(0o755)


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


def test_a_refused_folder_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a read-only disk; root may write to a folder whose mode forbids it, so this one is acted."""

    def refuse(path: Path, exist_ok: bool = True) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    with pytest.raises(ScutoidError, match="could not be written: Permission denied"):
        with replacing(tmp_path / "a.h5"):
            pytest.fail("the block must not run")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "a.h5"
    link.symlink_to(tmp_path / "real" / "b.h5")
    with replacing(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "real" / "b.h5").read_text() == "new"
