"""What every test may rely on: the real stacks where they are, and a machine that the tests leave as it was."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parent.parent

# A busy machine must not fail a test, so nothing of hypothesis' is timed; CI draws the same examples every time: half
# of hypothesis' own number, to keep all tests under ten minutes. `--hypothesis-profile thorough` takes a night.
settings.register_profile(
    "project",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=50,
)
settings.register_profile("thorough", settings.get_profile("project"), max_examples=2000)
settings.load_profile("project")


def pytest_configure(config: pytest.Config) -> None:
    """Give the run its own user folders, before anything reads them at import.

    napari, npe2 and the program itself keep settings and caches there: a developer's own would change the tests'
    outcome, and the tests would change them.
    """
    folder = tempfile.TemporaryDirectory(prefix="scutoid-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(folder.cleanup)
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    for variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        patch.setenv(variable, str(Path(folder.name) / variable.lower()))
    patch.setenv("NAPARI_CONFIG", str(Path(folder.name) / "napari.yaml"))
    # Trying each file in a process of its own first would double the time of the run; test_probe turns it on again.
    patch.setenv("SCUTOID_PROBE", "off")
    # Tiny arrays gain nothing from a workstation's many threads and lose a lot to starting them.
    if "OMP_NUM_THREADS" not in os.environ:
        patch.setenv("OMP_NUM_THREADS", "1" if hasattr(config, "workerinput") else "2")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real stacks, named by ``SCUTOID_DATA``; the test is skipped where there is none."""
    folder = Path(os.environ.get("SCUTOID_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"needs the real stacks, and there is no folder {folder} (set SCUTOID_DATA to where they are)")
    return folder


@pytest.fixture(autouse=True)
def _no_leaked_widgets() -> Iterator[None]:
    """Fail a test that leaves a window behind: the next test would meet it."""
    before = _top_level_widgets()
    yield
    # What Qt or Python has only not come round to deleting is no leak; Qt's turn first, as a collection takes long.
    if _new_widgets(before):
        _delete_what_waits()
    if _new_widgets(before):
        gc.collect()
        _delete_what_waits()
        assert not (leaked := _new_widgets(before)), f"windows left open: {leaked}"


def _new_widgets(before: list[object]) -> list[object]:
    return [widget for widget in _top_level_widgets() if widget not in before]


def _top_level_widgets() -> list[object]:
    """Return Qt's windows, without loading Qt in a test that does not use it."""
    widgets = sys.modules.get("qtpy.QtWidgets")
    return list(widgets.QApplication.topLevelWidgets()) if widgets else []


def _delete_what_waits() -> None:
    from qtpy.QtCore import QCoreApplication, QEvent

    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QCoreApplication.processEvents()
