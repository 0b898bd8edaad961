"""A small residual network that says for each block of a stack whether there may be tissue in it.

One pass over the whole stack, at half the resolution, before the U-Net sees any of it. Unlike the gate by variances
(`gate.find_tissue`) it knows what tissue looks like, and needs no empty part of the stack to compare with.
`scripts/train_tissue_classifier.py` makes it, docs/gate.md says what it is worth.

The blocks are convolutions beside a shortcut (He et al. 2016, "Deep residual learning for image recognition", fig. 2).
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, ValidationError
from torch import nn

import napari_scutoid.models
from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.atomic import replacing
from napari_scutoid.network.blocks import ResidualBlock
from napari_scutoid.network.checkpoint import difference
from napari_scutoid.network.gate import Tissue, filled
from napari_scutoid.progress import Progress
from napari_scutoid.recipe import Part, validation_message
from napari_scutoid.steps.slabs import z_slabs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import ArrayLike

STEP = "Looking for tissue"
NAME = "tissue_classifier"
BLOCK = 8
"""Voxels along an axis of the blocks that are decided on."""
REDUCED = 2
"""Voxels along an axis that become one before the network sees them."""
DIAMETERS = (5.0, 40.0)
"""Voxels across the cells of the synthetic stacks."""
DARK, BRIGHT = 1.0, 99.5
"""Percentiles of the stack that become 0 and 1."""
BRIGHTEST = 4.0
"""What is brighter is cut off: a single speck must not drown its surroundings."""

Width = Annotated[int, Field(ge=1, le=256)]


class ClassifierConfig(Part):
    """What ``tissue_classifier.json`` says about the weights beside it."""

    schema_version: Literal[1] = 1
    widths: tuple[Width, Width, Width] = (8, 16, 24)
    """Channels of the three residual blocks."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability from which a block counts as tissue."""
    training_data: str = ""
    licence: str = "BSD-3-Clause"
    scores: dict[str, Any] = Field(default_factory=dict)
    weights_sha256: str = ""


class TissueClassifier(nn.Sequential):
    """Logits of tissue (b, 1, z, y, x) of means and deviations (b, 2, 4 z, 4 y, 4 x), see `network_input`."""

    def __init__(self, widths: tuple[int, int, int]) -> None:
        first, second, third = widths
        super().__init__(
            OrderedDict(
                stem=nn.Conv3d(2, first, 4, stride=2, padding=1),
                fine=ResidualBlock(first, first, first, "none"),
                pool=nn.MaxPool3d(2),
                coarse=ResidualBlock(first, second, second, "none"),
                wide=ResidualBlock(second, third, third, "none"),
                head=nn.Conv3d(third, 1, 1),
            )
        )


def classify_tissue(data: ArrayLike, folder: Path | None = None) -> Steps[Tissue]:
    """Find the blocks of a stack that may hold tissue.

    Parameters
    ----------
    data : ArrayLike, shape (z, y, x)
        Raw intensities on the grid that the segmenting network works on; lazy arrays are read once, a slab at a time.
        Neither gain nor offset matters, and the normalisation of that network does not either: this one has its own.
    folder : Path, optional
        Where the classifier lies; the package's own models by default.

    Yields
    ------
    Progress
        After every slab and every layer.

    Returns
    -------
    Tissue
        With what is enclosed by tissue, as `gate.find_tissue` has it; False everywhere in a stack of one brightness.

    Raises
    ------
    ScutoidError
        When the classifier's files are missing or damaged.
    """
    module, config = load_classifier(folder)
    probability = yield from tissue_probability(module, data)
    return Tissue(filled(probability >= config.threshold), (BLOCK,) * 3)


def knows_cells_of(config: ModelConfig) -> bool:
    """Whether a model works on cells like those that the classifier was trained on."""
    low, high = config.cell_diameter_range
    return config.inputs == ("membrane",) and DIAMETERS[0] <= low and high <= DIAMETERS[1]


def tissue_probability(module: nn.Sequential, data: ArrayLike) -> Steps[NDArray[np.float32]]:
    """Return the probability that a block, or what is a few voxels around it, holds tissue.

    Parameters
    ----------
    module : nn.Sequential
        As `load_classifier` returns it.
    data : ArrayLike, shape (z, y, x)
        Raw intensities.

    Returns
    -------
    ndarray of float32
        One element per block, those at the far borders included.
    """
    blocks = yield from _reduced(data)
    values = network_input(blocks)
    if values is None:
        return np.zeros([-(-size // BLOCK) for size in data.shape], dtype=np.float32)
    x = torch.from_numpy(values)[None]
    for number, layer in enumerate(module, 1):
        with torch.inference_mode():
            x = layer(x)
        yield Progress(STEP, number, len(module))
    probability: NDArray[np.float32] = torch.sigmoid(x)[0, 0].numpy()
    return probability


def _reduced(data: ArrayLike) -> Steps[NDArray[np.float32]]:
    parts = []
    rest = np.empty((0, *data.shape[1:]), dtype=data.dtype)
    for section in z_slabs(data):
        slab = np.concatenate((rest, np.asarray(data[section])))
        whole = len(slab) if section.stop >= data.shape[0] else len(slab) // REDUCED * REDUCED
        if whole:
            parts.append(mean_and_deviation(slab[:whole]))
        rest = slab[whole:]
        yield Progress(STEP, section.stop, data.shape[0])
    return np.concatenate(parts, axis=1)


def mean_and_deviation(slab: NDArray[Any]) -> NDArray[np.float32]:
    """Return the mean and the standard deviation of every 2 x 2 x 2 voxels, shape (2, z / 2, y / 2, x / 2).

    The deviation keeps what averaging loses: how noisy a place is, and whether a thin membrane runs through it. Odd
    axes are completed by their last voxels.
    """
    odd = [(0, size % REDUCED) for size in slab.shape]
    values = np.pad(slab, odd, mode="edge") if any(pad for _, pad in odd) else slab
    parts = [
        values[z::REDUCED, y::REDUCED, x::REDUCED].astype(np.float32)
        for z, y, x in itertools.product(range(REDUCED), repeat=3)
    ]
    mean = sum(parts[1:], start=parts[0].copy()) / np.float32(len(parts))
    variance = np.zeros_like(mean)
    for part in parts:
        part -= mean  # before squaring, or a high offset would drown the noise
        variance += np.square(part, out=part)
    return np.stack((mean, np.sqrt(variance / np.float32(len(parts)))))


def network_input(blocks: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Normalise a stack's means and deviations, whatever its gain and offset, and complete it to whole blocks.

    Both are measured in the distance between the percentiles `DARK` and `BRIGHT` of the means, and square roots are
    taken, so that dim cells are seen beside bright ones.

    Parameters
    ----------
    blocks : ndarray of float32, shape (2, z, y, x)
        From `mean_and_deviation`, of the whole stack.

    Returns
    -------
    ndarray of float32, or None
        None where there is but one brightness.
    """
    mean, deviation = blocks
    low, high = np.percentile(mean, (DARK, BRIGHT))
    if not high > low:
        low, high = mean.min(), mean.max()
        if not high > low:
            return None
    scale = np.float32(1 / (high - low))
    values = np.sqrt(np.clip(np.stack(((mean - np.float32(low)) * scale, deviation * scale)), 0, BRIGHTEST))
    missing = [(0, -size % (BLOCK // REDUCED)) for size in mean.shape]
    return np.pad(values, [(0, 0), *missing], mode="edge")


def load_classifier(folder: Path | None = None) -> tuple[TissueClassifier, ClassifierConfig]:
    """Read the classifier.

    Parameters
    ----------
    folder : Path, optional
        Holds ``tissue_classifier.json`` and ``tissue_classifier.safetensors``; the package's own by default.

    Raises
    ------
    ScutoidError
        When they are missing, damaged, or not of this version.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    config_file, weights_file = classifier_files(folder or Path(napari_scutoid.models.__path__[0]))
    config = _read_config(config_file)
    try:
        content = weights_file.read_bytes()
    except OSError as error:
        raise _unusable(weights_file, error.strerror or str(error)) from error
    if hashlib.sha256(content).hexdigest() != config.weights_sha256:
        raise _unusable(weights_file, f"it is not the file that {config_file.name} was written for (SHA-256)")
    module = TissueClassifier(config.widths)
    expected = {name: list(tensor.shape) for name, tensor in module.state_dict().items()}
    try:
        state = load(content)
    except SafetensorError as error:
        raise _unusable(weights_file, str(error)) from error
    found = {name: list(tensor.shape) for name, tensor in state.items()}
    if found != expected:
        raise _unusable(weights_file, difference(expected, found))
    module.load_state_dict(state)
    return module.eval(), config


def save_classifier(folder: Path, module: TissueClassifier, config: ClassifierConfig) -> ClassifierConfig:
    """Write the two files that `load_classifier` reads; the configuration is returned with the weights' hash in it."""
    from safetensors.torch import save

    config_file, weights_file = classifier_files(folder)
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()})
    written = config.model_copy(update={"weights_sha256": hashlib.sha256(content).hexdigest()})
    with replacing(weights_file) as part:
        part.write_bytes(content)
    with replacing(config_file) as part:
        part.write_text(written.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return written


def classifier_files(folder: Path) -> tuple[Path, Path]:
    """Return where the configuration and the weights lie: not in a folder of their own, as segmenting models do."""
    return folder / f"{NAME}.json", folder / f"{NAME}.safetensors"


def _read_config(file: Path) -> ClassifierConfig:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return ClassifierConfig.model_validate(content)
    except OSError as error:
        raise _unusable(file, error.strerror or str(error)) from error
    except ValidationError as error:
        raise _unusable(file, validation_message(error)) from error
    except (ValueError, RecursionError) as error:
        raise _unusable(file, f"not valid JSON ({error})") from error


def _unusable(file: Path, why: str) -> ScutoidError:
    return ScutoidError(
        "The tissue classifier could not be loaded",
        f"{file}: {why}",
        "install napari-scutoid again, or segment with `gate: threshold` in a recipe",
    )
