"""The sample stacks are found, and their absence is told in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_scutoid import resources
from napari_scutoid.errors import ScutoidError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package folder in an empty repository, in the place of the real one."""
    folder = tmp_path / "src" / "napari_scutoid"
    folder.mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", folder)
    return folder


def test_sample_data_of_the_wheel_comes_before_the_repository(package: Path, tmp_path: Path) -> None:
    (tmp_path / "sample_data").mkdir()
    assert resources.sample_data_dir() == tmp_path / "sample_data"
    (package / "sample_data").mkdir()
    assert resources.sample_data_dir() == package / "sample_data"


def test_missing_sample_data_is_a_message(package: Path) -> None:
    with pytest.raises(ScutoidError, match="install the package again"):
        resources.sample_data_dir()


def test_pages_of_the_wheel_come_before_the_repository(package: Path, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    assert resources.docs_dir() == tmp_path / "docs"
    (package / "docs").mkdir()
    assert resources.docs_dir() == package / "docs"


def test_missing_pages_are_a_message(package: Path) -> None:
    with pytest.raises(ScutoidError, match="documentation could not be found"):
        resources.docs_dir()
