"""Imports run one way, heavy libraries are loaded where they are used, and files stay small.

The rules are functions of a folder, so that each is also shown a folder that breaks it.
"""

from __future__ import annotations

import ast
import functools
import itertools
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "src" / "napari_scutoid"
NAME = PACKAGE.name

# Lowest level first. A room (a module or a folder right under the package) imports rooms of lower levels only.
LEVELS = (
    {"errors", "progress"},
    {"box", "pace", "recipe", "volume", "resources", "cli_progress"},
    {"steps", "metrics", "io", "synth", "picture", "command_line", "cli_settings"},
    {"network", "proofread", "measure"},
    {"result"},
    {"pipeline", "tune"},
    {"training", "batch", "preview", "estimate", "opinions"},
    {"demo", "cli_scores", "cli_train", "cli_tune", "cli_models", "cli_batch", "cli_replay"},
    {"ui", "cli"},
)
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}

GUI_LIBRARIES = {"napari", "qtpy", "magicgui", "superqt"}
TORCH_FILES = {"synth/optics.py"}
THREAD_FILE = "ui/jobs.py"
THREAD_MODULES = {"threading", "_thread", "concurrent", "multiprocessing"}
THREAD_NAMES = {"QThread", "QThreadPool", "QRunnable", "thread_worker", "create_worker"}
MAX_LINES = 450


@pytest.fixture(scope="module", autouse=True)
def _trees_are_forgotten() -> Iterator[None]:
    yield
    parsed.cache_clear()


@functools.cache
def parsed(text: str, name: str) -> ast.Module:
    """Return the syntax tree of a file, which every rule looks at."""
    return ast.parse(text, name)


def sources(package: Path) -> Iterator[tuple[str, ast.Module]]:
    """Yield each Python file as (path inside the package, syntax tree)."""
    for file in sorted(package.rglob("*.py")):
        yield file.relative_to(package).as_posix(), parsed(file.read_text(encoding="utf-8"), str(file))


def imports(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute dotted name) of all that is imported, in functions and for type checkers too."""
    folder = [NAME, *Path(path).parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(folder[: len(folder) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            if called in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def room_of(path: str) -> str:
    """Name the room that a file belongs to; empty for the package's own ``__init__``."""
    return Path(path).parts[0].removesuffix(".py").replace("__init__", "")


def wrong_directions(package: Path) -> list[str]:
    """Imports inside the package that do not go to a lower level or to the same room."""
    rooms = {room_of(path) for path, _ in sources(package)}
    found = []
    for path, tree in sources(package):
        room = room_of(path)
        for line, name in imports(path, tree):
            parts = name.split(".")
            if parts[0] != NAME or len(parts) < 2 or parts[1] not in rooms:
                continue
            if parts[1] != room and LEVEL_OF.get(parts[1], -1) >= LEVEL_OF.get(room, -1):
                found.append(f"{path}:{line} imports {name}")
    return found


def unplaced_rooms(package: Path) -> list[str]:
    """Rooms that hold code and have no level yet."""
    code = {room_of(path) for path, tree in sources(package) if any(not is_docstring(node) for node in tree.body)}
    return sorted(code - LEVEL_OF.keys() - {""})


def is_docstring(node: ast.stmt) -> bool:
    """Tell whether a statement is a string alone."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def misplaced_libraries(package: Path) -> list[str]:
    """GUI libraries outside ``ui/`` and torch outside ``network/``."""
    found = []
    for path, tree in sources(package):
        room = room_of(path)
        for line, name in imports(path, tree):
            library = name.split(".")[0]
            if (library in GUI_LIBRARIES and room != "ui") or (
                library == "torch" and room != "network" and path not in TORCH_FILES
            ):
                found.append(f"{path}:{line} imports {name}")
    return found


def stray_threads(package: Path) -> list[str]:
    """Places in ``ui/`` that start threads, other than the one file whose job it is."""
    found = []
    for path, tree in sources(package):
        if room_of(path) != "ui" or path == THREAD_FILE:
            continue
        for line, name in imports(path, tree):
            if name.split(".")[0] in THREAD_MODULES or name.split(".")[-1] in THREAD_NAMES:
                found.append(f"{path}:{line} imports {name}")
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in THREAD_NAMES:
                found.append(f"{path}:{node.lineno} uses {node.attr}")
    return found


def module_asserts(package: Path) -> list[str]:
    """``assert`` statements that run at import."""
    return [
        f"{path}:{node.lineno}" for path, tree in sources(package) for node in tree.body if isinstance(node, ast.Assert)
    ]


def long_files(*folders: Path) -> list[str]:
    """Files that have grown past the size at which they usually hold two things."""
    found = []
    for file in sorted(file for folder in folders for file in folder.rglob("*.py")):
        lines = len(file.read_text(encoding="utf-8").splitlines())
        if lines > MAX_LINES:
            found.append(f"{file.name}: {lines} lines")
    return found


def undeclared_imports(package: Path) -> list[str]:
    """Imports of other projects that pyproject.toml does not name, and so work only by luck."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = (
        project["optional-dependencies"][extra] for extra in ("gui", "openvino", "ome-zarr", "bioimageio", "cluster")
    )
    declared = {
        canonical(re.split(r"[^\w.-]", requirement)[0])
        for requirement in itertools.chain(project["dependencies"], *extras)
    }
    distributions = metadata.packages_distributions()
    found = []
    for path, tree in sources(package):
        for line, name in imports(path, tree):
            library = name.split(".")[0]
            if library == NAME or library in sys.stdlib_module_names:
                continue
            if not declared & {canonical(name) for name in distributions.get(library, ())}:
                found.append(f"{path}:{line} imports {name}")
    return found


def canonical(distribution: str) -> str:
    """Return a distribution's name in the one spelling that compares."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


RULES = (wrong_directions, unplaced_rooms, misplaced_libraries, stray_threads, module_asserts, undeclared_imports)


@pytest.mark.parametrize("rule", RULES)
def test_package_keeps(rule) -> None:
    assert rule(PACKAGE) == []


def test_files_are_small() -> None:
    assert long_files(PACKAGE, *(REPOSITORY / folder for folder in ("tests", "benchmarks", "scripts"))) == []


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A tiny package that keeps every rule."""
    files = {
        "__init__.py": "",
        "errors.py": "",
        "volume.py": "from napari_scutoid import errors\nimport numpy",
        "steps/__init__.py": '"""Steps."""',
        "steps/a.py": "from . import b\nfrom .b import c\nfrom ..volume import Volume",
        "steps/b.py": "def run():\n    assert True",
        "io/mat.py": "from napari_scutoid.errors import ScutoidError",
        "network/unet.py": "import torch",
        "synth/optics.py": "def blur():\n    import torch.nn",
        "cli.py": "def main():\n    from napari_scutoid.steps.a import run",
        "ui/jobs.py": "import threading",
        "ui/dock.py": "from napari.layers import Image\nfrom napari_scutoid.ui.jobs import start",
        "models/__init__.py": '"""Data only."""',
    }
    for path, text in files.items():
        write(tmp_path / NAME / path, text)
    return tmp_path / NAME


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("rule", RULES)
def test_rule_accepts_what_is_right(rule, package: Path) -> None:
    assert rule(package) == []


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (wrong_directions, "errors.py", "import napari_scutoid.volume"),
        (wrong_directions, "volume.py", "def f():\n    from napari_scutoid.steps import a"),
        (wrong_directions, "steps/a.py", "from napari_scutoid import io"),
        (wrong_directions, "steps/a.py", "from ..io.mat import read"),
        (wrong_directions, "steps/a.py", "from .. import network"),
        (wrong_directions, "steps/__init__.py", "from ..cli import main"),
        (wrong_directions, "steps/a.py", "if TYPE_CHECKING:\n    from napari_scutoid.ui.dock import Dock"),
        (wrong_directions, "steps/a.py", "importlib.import_module('napari_scutoid.cli')"),
        (wrong_directions, "ui/dock.py", "from napari_scutoid.cli import main"),
        (wrong_directions, "__init__.py", "from napari_scutoid.errors import ScutoidError"),
        (unplaced_rooms, "helpers.py", "x = 1"),
        (misplaced_libraries, "cli.py", "def f():\n    import napari"),
        (misplaced_libraries, "io/mat.py", "from qtpy.QtWidgets import QWidget"),
        (misplaced_libraries, "steps/a.py", "if TYPE_CHECKING:\n    from torch import Tensor"),
        (misplaced_libraries, "ui/dock.py", "from torch.nn import Module"),
        (stray_threads, "ui/dock.py", "from napari.qt.threading import thread_worker"),
        (stray_threads, "ui/dock.py", "from concurrent.futures import ThreadPoolExecutor"),
        (stray_threads, "ui/dock.py", "QtCore.QThreadPool.globalInstance()"),
        (module_asserts, "steps/b.py", "assert True"),
        (undeclared_imports, "io/mat.py", "def f():\n    import hatchling.build"),
    ],
)
def test_rule_finds_what_is_wrong(rule, path: str, text: str, package: Path) -> None:
    write(package / path, text)
    assert len(rule(package)) == 1


def test_long_file_is_found(tmp_path: Path) -> None:
    write(tmp_path / "right.py", "x = 1\n" * MAX_LINES)
    assert long_files(tmp_path) == []
    write(tmp_path / "wrong.py", "x = 1\n" * (MAX_LINES + 1))
    assert long_files(tmp_path) == [f"wrong.py: {MAX_LINES + 1} lines"]


HEAVY = ("torch", "napari", "skimage")


def loaded_by(code: str) -> list[str]:
    """Run `code` in a fresh interpreter and return which heavy libraries it has loaded."""
    code += f"\nimport sys; print('loaded:', *[name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()[-1].split()[1:]


def manifest_targets(manifest: object) -> list[str]:
    """All ``python_name`` entries of a manifest, at any depth."""
    if isinstance(manifest, dict):
        own = [manifest["python_name"]] if "python_name" in manifest else []
        return own + [target for value in manifest.values() for target in manifest_targets(value)]
    if isinstance(manifest, list):
        return [target for value in manifest for target in manifest_targets(value)]
    return []


def test_importing_the_package_is_light() -> None:
    assert loaded_by(f"import {NAME}") == []


def test_manifest_targets_are_light() -> None:
    targets = manifest_targets(yaml.safe_load((PACKAGE / "napari.yaml").read_text(encoding="utf-8")))
    lines = ["import importlib"]
    for target in targets:
        module, attribute = target.split(":")
        lines.append(f"importlib.import_module({module!r}).{attribute}")
    assert loaded_by("\n".join(lines)) == []


def test_help_is_light() -> None:
    code = f"""
import contextlib, io, sys
from {NAME}.cli import main
sys.argv = ["scutoid", "--help"]
with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
    main()
if "segment" not in printed.getvalue():
    sys.exit("--help does not name the command segment")
"""
    assert loaded_by(code) == []


def test_heavy_import_is_noticed() -> None:
    assert loaded_by("import skimage") == ["skimage"]
