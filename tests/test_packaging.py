"""The wheel carries all that an installed program opens, and napari accepts its manifest."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from npe2 import PluginManifest

import napari_scutoid

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built offline by the build backend itself."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def files_in(folder: str) -> set[str]:
    """Files of a folder of the repository, relative to that folder's parent."""
    root = REPOSITORY / folder
    files = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".part")
    files = (path for path in files if path.parent.name != "__pycache__")  # Python's and Numba's
    return {path.relative_to(root.parent).as_posix() for path in files}


def test_wheel_holds_the_whole_package(wheel: zipfile.ZipFile) -> None:
    expected = files_in("src/napari_scutoid")
    assert {"napari_scutoid/napari.yaml", "napari_scutoid/py.typed"} <= expected
    assert expected <= set(wheel.namelist())


def test_wheel_holds_the_sample_stacks(wheel: zipfile.ZipFile) -> None:
    stacks = files_in("sample_data")
    assert any(path.endswith(".mat") for path in stacks)
    assert {f"napari_scutoid/{path}" for path in stacks} <= set(wheel.namelist())


def test_wheel_holds_the_pages_for_users_and_not_those_for_developers(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    pages = {path for path in files_in("docs") if not path.startswith(("docs/decisions", "docs/progress"))}
    assert "docs/recipe.md" in pages
    assert {f"napari_scutoid/{path}" for path in pages} <= names
    for_developers = ("napari_scutoid/docs/decisions", "napari_scutoid/docs/progress")
    assert not [name for name in names if name.startswith(for_developers)]


def test_wheel_holds_every_model(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    models = {file.parent.name for file in (REPOSITORY / "src" / "napari_scutoid" / "models").glob("*/config.json")}
    assert "builtin" in models
    for model in models:
        for file in ("config.json", "weights.safetensors"):
            assert f"napari_scutoid/models/{model}/{file}" in names


def test_wheel_holds_the_licence_and_the_entry_points(wheel: zipfile.ZipFile) -> None:
    folder = f"napari_scutoid-{napari_scutoid.__version__}.dist-info"
    assert f"{folder}/licenses/LICENSE" in wheel.namelist()
    entry_points = wheel.read(f"{folder}/entry_points.txt").decode()
    assert "[napari.manifest]\nnapari-scutoid = napari_scutoid:napari.yaml" in entry_points
    assert "scutoid = napari_scutoid.cli:main" in entry_points


def test_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    assert {name.split("/")[0].split("-")[0] for name in wheel.namelist()} == {"napari_scutoid"}


def test_a_headless_install_asks_for_no_gui(wheel: zipfile.ZipFile) -> None:
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    required = [line for line in wheel.read(metadata).decode().splitlines() if line.startswith("Requires-Dist:")]
    unconditional = " ".join(line for line in required if "extra ==" not in line).lower()
    assert "torch" in unconditional
    assert not [library for library in ("napari[", "qt", "magicgui") if library in unconditional]


def test_napari_accepts_the_installed_manifest() -> None:
    manifest = PluginManifest.from_distribution("napari-scutoid")
    manifest.validate_imports()
    assert manifest.display_name == "Scutoid"
    assert manifest.contributions.widgets


def test_manifest_at_the_root_is_the_one_in_the_package() -> None:
    root, packaged = REPOSITORY / "napari.yaml", REPOSITORY / "src" / "napari_scutoid" / "napari.yaml"
    same = root.read_text(encoding="utf-8") == packaged.read_text(encoding="utf-8")
    assert same, "cp src/napari_scutoid/napari.yaml napari.yaml"
