"""Compiled loops work wherever the package lies, and are kept where that is possible."""

from __future__ import annotations

import sys

import numba
import pytest

from napari_scutoid.steps.compiled import compiled

SOURCE = """
from numba import types
from napari_scutoid.steps.compiled import compiled

@compiled(types.int64(types.int64))
def twice(n):
    return 2 * n
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return what loads a module from a folder where nothing can be kept beside it, with a user's folder for caches."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    package = tmp_path / "package"
    package.mkdir()
    (package / "loops.py").write_text(SOURCE)
    (package / "__pycache__").write_text("no folder: nothing can be written here, not even by root")
    monkeypatch.syspath_prepend(package)

    def load(user_folder):
        for variable in ("XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"):
            monkeypatch.setenv(variable, str(user_folder))
        import loops

        return loops

    yield load
    sys.modules.pop("loops", None)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not ask the environment where a user's caches are")
def test_beside_a_package_that_may_not_be_written_the_users_folder_keeps_what_was_compiled(module, tmp_path):
    folder = tmp_path / "user"
    assert module(folder).twice(4) == 8
    assert list(folder.rglob("*.nbi"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not ask the environment where a user's caches are")
def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(module, tmp_path):
    nowhere = tmp_path / "nowhere"
    nowhere.write_text("a file, and no folder")
    assert module(nowhere / "below").twice(4) == 8


def test_a_full_disk_is_no_error(monkeypatch):
    def full(*_args):
        raise OSError("No space left on device")

    monkeypatch.setattr("numba.core.caching.CompileResultCacheImpl.reduce", full)
    assert compiled("int64(int64)")(lambda n: n + 1)(4) == 5
