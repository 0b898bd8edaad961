from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManifest

import napari_scutoid
from napari_scutoid.synth.tissue import synthesise
from napari_scutoid.ui import samples


@pytest.fixture
def manifest():
    return PluginManifest.from_file(Path(napari_scutoid.__file__).with_name("napari.yaml"))


def test_the_manifest_is_valid_and_its_targets_exist(manifest):
    manifest.validate_imports()
    assert manifest.name == "napari-scutoid"
    names = ["Open stack", "Prepare", "Segment", "Correct", "Train", "Batch"]
    assert [widget.display_name for widget in manifest.contributions.widgets] == names
    in_menu = [item.command for item in manifest.contributions.menus["scutoid"]]
    assert in_menu == [widget.command for widget in manifest.contributions.widgets]


def test_all_files_that_are_read_and_written_are_offered(manifest):
    from napari_scutoid.io.suffixes import READ_FILES, WRITTEN

    (reader,) = manifest.contributions.readers
    # Any archive is a .zip: those are opened in the window, where a person says that it is a stack.
    assert {pattern.removeprefix("*") for pattern in reader.filename_patterns} == {*READ_FILES, ".zarr"} - {".zip"}
    written = {suffix for suffixes in WRITTEN.values() for suffix in suffixes}
    for writer in manifest.contributions.writers:
        assert set(writer.filename_extensions) == written


def test_the_icon_is_in_the_package(manifest):
    package, name = manifest.icon.split(":")
    assert (Path(sys.modules[package].__file__).with_name(name)).read_text(encoding="utf-8").startswith("<svg")


def test_opening_the_menu_loads_nothing_heavy(manifest):
    targets = [command.python_name for command in manifest.contributions.commands]
    code = f"""
import sys
from importlib import import_module
for target in {targets!r}:
    module, name = target.split(":")
    getattr(import_module(module), name)
print(*[name for name in ("torch", "napari", "skimage", "h5py", "scipy") if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_the_sample_is_a_stack_with_its_true_cells(tmp_path, monkeypatch):
    from napari_scutoid.io.mat_write import write_mat73

    tissue = synthesise("gland", (8, 24, 24), 1, cell_diameter=8)
    size = tissue.image.voxel_size_um
    arrays = {"imageSequenceInterpolated": np.asarray(tissue.image.data), "labelledImage3D": tissue.labels.data}
    write_mat73(tmp_path / samples.GLAND, arrays, {"pixelScale": size.x, "zScale": size.z / size.x})
    monkeypatch.setattr("napari_scutoid.resources.sample_data_dir", lambda: tmp_path)
    (image, image_options, image_type), (labels, labels_options, labels_type) = samples.gland()
    assert (image_type, labels_type) == ("image", "labels")
    np.testing.assert_array_equal(image, tissue.image.data)
    np.testing.assert_array_equal(labels, tissue.labels.data)
    for options in (image_options, labels_options):
        assert options["scale"] == pytest.approx(size)
        assert options["units"] == ("um",) * 3
    assert labels_options["visible"] is False
