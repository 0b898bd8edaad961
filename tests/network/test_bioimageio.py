"""Packages for other programs, held to BioImage.IO's own test, and copies of a model for other people."""

from __future__ import annotations

import builtins
import gc
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.bioimageio import export_bioimageio
from napari_scutoid.network.checkpoint import load_model, save_model
from napari_scutoid.network.config import Architecture, ModelConfig, Output, Pytorch3dunet
from napari_scutoid.network.export import copy_model, zip_model
from napari_scutoid.network.unet import activate, build
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Normalise
from napari_scutoid.steps.normalise import statistics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OURS = Architecture(plan=((2, 3), (3, 4)))
THEIRS = Architecture(
    name="pytorch3dunet.UNet3D", plan=((1, 2), (2, 4)), norm="group", options=Pytorch3dunet(order="gcr", groups=2)
)

pytestmark = [
    # The BioImage.IO library leaves its files to the garbage collector, and reads TorchScript as all do.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _files_are_closed() -> Iterator[None]:
    yield
    gc.collect()


def model(folder: Path, architecture: Architecture = OURS, **changes: Any) -> Path:
    torch.manual_seed(0)
    config = ModelConfig(name="tiny", architecture=architecture, licence="MIT", description="For a test.", **changes)
    save_model(folder, build(architecture, len(config.outputs)), config)
    return folder


@pytest.mark.parametrize(
    ("architecture", "normalise", "outputs"),
    [
        (OURS, Normalise(), ("sigmoid", "sigmoid")),
        (OURS, Normalise(method="percentile", stabilise="sqrt"), ("sigmoid", "sigmoid")),
        (OURS, Normalise(method="zscore", stabilise="log"), ("softmax", "softmax", "sigmoid")),
        (THEIRS, Normalise(method="zscore"), ("sigmoid",)),
        (THEIRS, Normalise(method="minmax"), ("softmax", "softmax")),
    ],
    ids=["percentile", "square root", "logarithm", "z-score", "min-max"],
)
def test_bioimageio_finds_the_package_valid(architecture, normalise, outputs, tmp_path) -> None:
    core = pytest.importorskip("bioimageio.core")
    named = tuple(Output(name=f"o{index}", activation=activation) for index, activation in enumerate(outputs))
    folder = model(tmp_path / "m", architecture, normalise=normalise, outputs=named)
    export_bioimageio(folder, tmp_path / "m.zip")
    summary = core.test_model(tmp_path / "m.zip")
    assert summary.status == "passed", summary.format()
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []

    # The sample input and output are also what this program makes of them.
    with zipfile.ZipFile(tmp_path / "m.zip") as archive:
        archive.extractall(tmp_path / "package")
    given, expected = (np.load(tmp_path / "package" / name) for name in ("input.npy", "output.npy"))
    module, config = load_model(folder)
    scale = drain(statistics(given[0, 0], normalise))
    with torch.no_grad():
        probabilities = activate(module(torch.from_numpy(scale.apply(given))), config.outputs)
    np.testing.assert_allclose(probabilities.numpy(), expected, atol=2e-3)


def test_without_the_library_the_user_is_told_what_to_install(tmp_path, monkeypatch) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: Any, **more: Any) -> Any:
        if name.startswith("bioimageio"):
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ScutoidError, match=r"napari-scutoid\[bioimageio\]"):
        export_bioimageio(model(tmp_path / "m"), tmp_path / "m.zip")


def test_copies_hold_the_model_alone(tmp_path) -> None:
    folder = model(tmp_path / "m")
    (folder / "training").mkdir()
    (folder / "training" / "state.pt").write_bytes(b"x")
    copy_model(folder, tmp_path / "copy")
    zip_model(folder, tmp_path / "packed.zip")
    with zipfile.ZipFile(tmp_path / "packed.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    for copied in (tmp_path / "copy", tmp_path / "unpacked" / "packed"):
        assert {path.name for path in copied.iterdir()} == {"config.json", "weights.safetensors"}
        assert load_model(copied)[1] == load_model(folder)[1]


def test_damaged_models_and_strange_targets_are_refused(tmp_path) -> None:
    folder = model(tmp_path / "m")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.docx").write_text("years of work")
    with pytest.raises(ScutoidError, match="not a model folder"):
        copy_model(folder, tmp_path / "thesis")
    (folder / "weights.safetensors").write_bytes(b"")
    for copy in (copy_model, zip_model, export_bioimageio):
        with pytest.raises(ScutoidError, match="SHA-256"):
            copy(folder, tmp_path / "new.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "thesis"]
