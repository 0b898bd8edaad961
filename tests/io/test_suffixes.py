"""What is said of file names is what the writers and readers do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_scutoid.cli import app
from napari_scutoid.io import suffixes
from napari_scutoid.io.save import result_suffixes

ROOT = Path(__file__).resolve().parents[2]


def test_all_that_is_written_is_named() -> None:
    assert tuple(suffix for many in suffixes.WRITTEN.values() for suffix in many) == result_suffixes()
    assert suffixes.USUAL == ".h5, .mat, .tif, .zarr"
    assert list(suffixes.save_filters().values()) == suffixes.USUAL.split(", ")
    assert suffixes.open_filter().startswith("Stacks (*.mat *.h5 *.hdf5 *.hdf *.tif *.tiff *.lsm *.zip);;")


@pytest.mark.parametrize("suffix", result_suffixes())
def test_a_name_keeps_an_ending_that_is_written(suffix: str) -> None:
    assert suffixes.with_suffix(f"gland{suffix}", ".h5") == f"gland{suffix}"
    assert suffixes.with_suffix(f"gland{suffix}.old", ".mat") == f"gland{suffix}.old.mat"


@pytest.mark.parametrize("command", ["info", "segment", "evaluate", "convert", "synth"])
def test_the_help_of_each_command_names_all_formats(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], terminal_width=200)
    assert suffixes.USUAL in re.sub(r"\s+", " ", shown.output)


@pytest.mark.parametrize("page", ["README.md", "docs/formats.md", "docs/convert.md"])
def test_the_pages_name_all_formats(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert [one for one in suffixes.USUAL.split(", ") if f"`{one}`" not in text] == []


def test_naming_formats_loads_no_library() -> None:
    code = "import sys, napari_scutoid.io.suffixes; print({'numpy', 'h5py', 'zarr', 'tifffile'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
