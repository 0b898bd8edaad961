"""Models that other programs trained, read from their checkpoints. Nothing is ever unpickled.

A checkpoint is read by ``torch.load(weights_only=True)``, which makes tensors, numbers, strings and containers of them
and runs no code of the file. What it claims is compared with the file's size before memory is taken.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.checkpoint import difference, sha256
from napari_scutoid.network.config import EC_DC_LAYERS, EC_DC_UP, Architecture, EcDc, ModelConfig, Output
from napari_scutoid.network.foreign_settings import described, normalisation, read_settings, settings_beside
from napari_scutoid.network.unet import build
from napari_scutoid.recipe import Normalise, validation_message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_scutoid.network.blocks import Network

STATES = ("best_model_state_dict", "model_state_dict", "state_dict")
"""Where checkpoints keep the weights, the first that is there; a file may also hold nothing else."""
SLACK = 2**20
"""Bytes that a zip archive and numbers beside the tensors may add up to."""


class _Found(NamedTuple):
    """What a checkpoint and its settings say; None where they do not."""

    architecture: Architecture
    channels: int
    activation: Literal["sigmoid", "softmax"]
    outputs: tuple[str, ...] | None
    normalise: Normalise | None = None
    notes: tuple[str, ...] = ()


class Imported(NamedTuple):
    """A network with its weights, what `config.json` will say, and what a person should know."""

    module: Network
    config: ModelConfig
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What the file does not say and a person may.

    Parameters
    ----------
    outputs : sequence of str, optional
        Names of the output channels, in order.
    normalise : {"zscore", "minmax", "percentile"}, optional
        How intensities were normalised in training.
    cell_diameter : float, optional
        Diameter of the cells it was trained on, in voxels.
    voxel_size_um : (float, float, float), optional
        Voxel edges (z, y, x) of the stacks it was trained on, to which stacks are then resampled.
    licence, description : str
        For the model's card.
    """

    outputs: Sequence[str] | None = None
    normalise: Literal["zscore", "minmax", "percentile"] | None = None
    cell_diameter: float | None = None
    voxel_size_um: tuple[float, float, float] | None = None
    licence: str = ""
    description: str = ""


def read_foreign_model(file: Path, name: str, told: Told, settings: Path | None = None) -> Imported:
    """Read a model of pytorch-3dunet or PlantSeg, or one with the layers ``ec0``..``dc0``.

    Parameters
    ----------
    file : Path
        The checkpoint (`.pytorch`, `.pt`, `.pth`).
    name : str
        The model's name here.
    told : Told
        What a person knows about it.
    settings : Path, optional
        The YAML file of a pytorch-3dunet model; by default the one beside the checkpoint.

    Raises
    ------
    ScutoidError
        When a file is missing or damaged, the network is of another kind, weights and settings do not fit each other,
        or something has to be told.
    """
    what = f"The model {file} could not be imported"
    state = read_state(file)
    if {"ec0.weight", "ec0.0.weight"} & state.keys():
        found = _ec_dc(what, state)
    elif "final_conv.weight" in state:
        found = _pytorch3dunet(settings or settings_beside(file), told)
    else:
        raise ScutoidError(
            what,
            f"its layers ({', '.join(list(state)[:3])}, ...) are those of no network known here",
            "import models of pytorch-3dunet or PlantSeg, or with the layers ec0 to ec7 and dc9 to dc0",
        )
    names = _names(what, told.outputs, found)
    module = _filled(what, found.architecture, len(names), state)
    channels = found.architecture.in_channels
    try:
        config = ModelConfig(
            name=name,
            description=told.description or f"{found.architecture.name}, imported from {file.name}",
            licence=told.licence,
            training_data=f"not known here; imported from {file.name}, SHA-256 {sha256(file)}",
            architecture=found.architecture,
            inputs=("membrane",) if channels == 1 else _numbered(channels),
            outputs=tuple(Output(name=one, activation=found.activation) for one in names),
            normalise=found.normalise or Normalise(method=told.normalise or "zscore"),
            **_scale(told),
        )
    except ValidationError as error:
        raise ScutoidError(what, validation_message(error), "correct what was said about the model") from error
    notes = list(found.notes)
    if not told.outputs:
        notes.append(f"Its outputs are taken to be {', '.join(names)}; if not, name them with --outputs.")
    if not (found.normalise or told.normalise):
        notes.append("Intensities get mean 0 and standard deviation 1; if it was trained otherwise, say --normalise.")
    if not (told.cell_diameter or told.voxel_size_um):
        notes.append("Stacks are taken as they are; better say --cell-diameter or --voxel-size of the training stacks.")
    return Imported(module, config, tuple(notes))


def read_state(file: Path) -> dict[str, Tensor]:
    """Read the weights in a checkpoint, and nothing else of it.

    Raises
    ------
    ScutoidError
        When it is missing, damaged, needs code to be read, or holds no weights.
    """
    what = f"The model {file} could not be imported"
    try:
        with file.open("rb"):
            size = file.stat().st_size
    except OSError as error:
        raise ScutoidError(what, error.strerror or str(error), "check the path") from error
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > size + SLACK:
                raise ValueError("it is larger unpacked than packed")
        with torch.serialization.safe_globals(_NUMPY):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        needs = re.search(r"Unsupported global: GLOBAL (\S+)|Unsupported class (\S+)", str(error))
        if needs:
            raise ScutoidError(
                what,
                f"to read it, code of the file would have to run ({needs[1] or needs[2]})",
                "save its state_dict alone with the program that made it, and import that",
            ) from error
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ScutoidError(what, f"it is no PyTorch checkpoint ({reason})", "check the file") from error
    state = next((content[key] for key in STATES if key in content), content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ScutoidError(
            what,
            f"it has no weights under {', '.join(STATES)}, nor holds weights alone",
            "save its state_dict with the program that made it, and import that",
        )
    # A tensor may repeat one number a billion times, which takes memory only when it is written.
    if sum(tensor.numel() * tensor.element_size() for tensor in state.values()) > size + SLACK:
        raise ScutoidError(what, "its tensors claim to be larger than the file", "ask for another")
    # Training on several cards puts a name in front.
    return {str(key).removeprefix("module."): tensor for key, tensor in state.items()}


_NUMPY: list[Any] = [
    # Scores and confusion matrices that checkpoints keep beside the weights; they are numbers and run no code.
    *(
        (function, f"numpy.{core}.multiarray.{function.__name__}")
        for function in (np._core.multiarray.scalar, np._core.multiarray._reconstruct)  # type: ignore[attr-defined]
        for core in ("core", "_core")
    ),
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")),
]
_PLANTSEG_OUTPUTS = {1: ("boundary",), 2: ("foreground", "boundary")}
"""PlantSeg's networks predict boundaries, or what is enclosed and then its boundaries."""
_EC_DC_OUTPUTS = {1: ("semantic",), 2: ("background", "semantic")}
_EC_DC_NOTE = (
    "Its file does not say in which order features are joined: as in the published network, the enlarged come first."
)


def _filled(what: str, architecture: Architecture, n_outputs: int, state: Mapping[str, Tensor]) -> Network:
    """Build the network and give it the weights, all of them and no others."""
    try:
        with torch.device("meta"):
            module = build(architecture, n_outputs)
    except ValueError as error:
        raise ScutoidError(
            what, f"its network cannot be built: {error}", "give the settings it was trained with"
        ) from error
    expected = {name: list(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: list(tensor.shape) for name, tensor in state.items()}
    if found != expected:
        raise ScutoidError(what, difference(expected, found), "give the settings that this very model was trained with")
    weights = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    module.load_state_dict(weights, assign=True)
    return module.eval()


def _names(what: str, told: Sequence[str] | None, found: _Found) -> tuple[str, ...]:
    names = told or found.outputs
    if names is None:
        raise ScutoidError(
            what,
            f"it has {found.channels} outputs, and nothing says what they are",
            f"name them in order, e.g. --outputs {','.join(_numbered(found.channels))}",
        )
    if len(names) != found.channels:
        raise ScutoidError(
            what, f"{len(names)} outputs are named, but it has {found.channels}", "name all of them in order"
        )
    if not all(re.fullmatch(r"[A-Za-z]\w{0,63}", name, re.ASCII) for name in names):
        raise ScutoidError(
            what, f"outputs cannot be named {', '.join(names)}", "use letters, digits and _ and begin with a letter"
        )
    return tuple(names)


def _numbered(channels: int) -> tuple[str, ...]:
    return tuple(f"channel_{index}" for index in range(channels))


def _scale(told: Told) -> dict[str, Any]:
    """Return what `ModelConfig` says about the size of cells: in voxels, in micrometres, or nothing."""
    if told.voxel_size_um is not None:
        return {"recipe": {"rescale": {"mode": "voxel_size", "voxel_size_um": list(told.voxel_size_um)}}}
    if told.cell_diameter is None:
        return {"recipe": {"rescale": {"mode": "none"}}}
    # Networks of this kind stand about this much more or less than what they saw (docs/models.md).
    return {
        "cell_diameter": told.cell_diameter,
        "cell_diameter_range": (told.cell_diameter / 1.5, told.cell_diameter * 1.5),
    }


def _ec_dc(what: str, state: Mapping[str, Tensor]) -> _Found:
    """Read off the weights how the network with the layers ec0 to dc0 is put together."""
    kernels = {}
    words = {}
    for layer in EC_DC_LAYERS:
        bare = f"{layer}.weight" in state
        place = layer if bare else f"{layer}.0"
        kernel = state.get(f"{place}.weight")
        if kernel is None or kernel.ndim != 5:
            raise ScutoidError(what, f"it has no convolution {layer}", "import a network with the layers ec0 to dc0")
        kernels[layer] = kernel
        after = "" if bare else "br" if f"{layer}.1.weight" in state else "rb" if f"{layer}.2.weight" in state else "r"
        words[layer] = ("C" if f"{place}.bias" in state else "c") + after
    transposed = False
    for layer in EC_DC_LAYERS[8:]:
        rows, columns = kernels[layer].shape[:2]
        if rows != columns:  # outputs by inputs, the other way round where transposed; outputs are fewer on the way up
            transposed = rows > columns
        if transposed or layer in EC_DC_UP:
            words[layer] = words[layer].translate(str.maketrans("cC", "tT"))
    plan = [kernels[f"ec{index}"].shape[0] for index in range(8)]
    channels = kernels["dc0"].shape[1 if transposed else 0]
    try:
        architecture = Architecture(
            name="ec_dc.UNet3D",
            in_channels=kernels["ec0"].shape[1],
            plan=tuple(zip(plan[::2], plan[1::2], strict=True)),
            norm="batch" if any("b" in word for word in words.values()) else "none",
            options=EcDc(layers=words),
        )
    except ValidationError as error:
        raise ScutoidError(what, validation_message(error), "import a network with the layers ec0 to dc0") from error
    activation: Literal["sigmoid", "softmax"] = "sigmoid" if channels == 1 else "softmax"
    return _Found(architecture, channels, activation, _EC_DC_OUTPUTS.get(channels), notes=(_EC_DC_NOTE,))


def _pytorch3dunet(settings: Path, told: Told) -> _Found:
    content = read_settings(settings)
    model = described(settings, content)
    return _Found(
        model.architecture,
        model.out_channels,
        "sigmoid" if model.final_sigmoid else "softmax",
        _PLANTSEG_OUTPUTS.get(model.out_channels),
        None if told.normalise else normalisation(settings, content),
    )
