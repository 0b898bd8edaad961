"""Models as BioImage.IO packages, which ilastik, deepImageJ, BiaPy and others run without this program.

The network travels as TorchScript, whose code lies in the file: the formats that hold weights alone need the program
that made them. Its outputs are probabilities.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.atomic import replacing
from napari_scutoid.network.checkpoint import load_model
from napari_scutoid.network.passes import halo_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_scutoid.network.blocks import Network
    from napari_scutoid.network.config import ModelConfig, Output
    from napari_scutoid.recipe import Normalise

SMALLEST = 16
"""Voxels along an axis of the sample stack, at least; as many as need be for the deepest level to hold two."""


def export_bioimageio(folder: Path, target: Path) -> None:
    """Write a model as a BioImage.IO package (format 0.5) with a sample input and output.

    Parameters
    ----------
    folder : Path
        The model's folder.
    target : Path
        The zip file to write.

    Raises
    ------
    ScutoidError
        When the package bioimageio.core is not installed, the model is damaged, or the file cannot be written.
    """
    try:
        from bioimageio.spec import save_bioimageio_package
    except ImportError as error:
        raise ScutoidError(
            "The BioImage.IO package could not be written",
            "the package bioimageio.core is not installed",
            "pip install 'napari-scutoid[bioimageio]'",
        ) from error
    module, config = load_model(folder)
    with tempfile.TemporaryDirectory(prefix="scutoid-") as scratch, replacing(target) as part:
        description = _description(Path(scratch), _Packed(module, config), config)
        save_bioimageio_package(description, output_path=part)


class _Packed(nn.Module):
    """A network that returns probabilities, and normalises what BioImage.IO has no name for."""

    def __init__(self, module: Network, config: ModelConfig) -> None:
        super().__init__()
        self.module = module
        self.outputs: Sequence[Output] = config.outputs
        self.normalise: Normalise = config.normalise
        self.multiple = module.multiple
        self.in_channels = module.in_channels

    def forward(self, x: Tensor) -> Tensor:
        if self.normalise.stabilise != "none":
            x = _normalised(x, self.normalise)
        return _activated(self.module(x), self.outputs)


def _activated(logits: Tensor, outputs: Sequence[Output]) -> Tensor:
    """Do as `unet.activate`, without writing into a tensor: a trace would keep its size."""
    exclusive = [index for index, output in enumerate(outputs) if output.activation == "softmax"]
    channels = list(logits.sigmoid().unbind(1))
    if exclusive:
        shares = torch.stack([logits[:, index] for index in exclusive], dim=1).softmax(1)
        for index, share in zip(exclusive, shares.unbind(1), strict=True):
            channels[index] = share
    return torch.stack(channels, dim=1)


def _normalised(x: Tensor, settings: Normalise) -> Tensor:
    """Normalise a batch as `steps.normalise` does, each stack with statistics of what is given of it."""
    every = (1, 2, 3, 4)
    above = x - x.amin(every, keepdim=True)
    if settings.stabilise == "sqrt":
        x = above.sqrt()
    else:
        x = torch.log1p(above / above.mean(every, keepdim=True).clamp_min(1e-6))
    if settings.method == "zscore":
        return (x - x.mean(every, keepdim=True)) / x.std(every, correction=0, keepdim=True).clamp_min(1e-6)
    low, high = x.amin(every, keepdim=True), x.amax(every, keepdim=True)
    if settings.method == "percentile":
        ordered = x.flatten(1).sort(dim=1).values
        low, high = (_percentile(ordered, share) for share in (settings.low_percentile, settings.high_percentile))
    return (x - low) / (high - low).clamp_min(1e-6)


def _percentile(ordered: Tensor, share: float) -> Tensor:
    # torch.quantile refuses more than 16 million voxels. Counting ones keeps the size open in a trace.
    last = torch.ones_like(ordered[0], dtype=torch.float64).sum() - 1
    place = (last * (share / 100)).round().long()
    return ordered[:, place].reshape(-1, 1, 1, 1, 1)


def _description(scratch: Path, packed: _Packed, config: ModelConfig) -> Any:
    """Write the package's files into a folder, and return what describes them."""
    from bioimageio.spec.model import v0_5 as spec

    size = [max(SMALLEST, 2 * step) for step in packed.multiple]
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.uniform(0, 255, (1, packed.in_channels, *size)).astype(np.float32))
    packed.eval()
    with warnings.catch_warnings(), torch.no_grad():
        # Tracing tells of every `if`; all of them ask for sizes that the package does not allow. It is also to be
        # replaced by torch.export some day, which BioImage.IO cannot read yet.
        warnings.simplefilter("ignore")
        sample = packed, x if packed.normalise.stabilise != "none" else x / 255
        traced: Any = torch.jit.trace(*sample)  # type: ignore[no-untyped-call]
        traced.save(str(scratch / "weights.pt"))
    step = _preprocessing(spec, packed.normalise)
    np.save(scratch / "input.npy", x.numpy())
    np.save(scratch / "output.npy", _expected(packed, x).numpy())
    (scratch / "README.md").write_text(_readme(config), encoding="utf-8")
    axes: list[Any] = [spec.BatchAxis(), spec.ChannelAxis(channel_names=list(config.inputs))]
    axes += [
        spec.SpaceInputAxis(id=axis, size=spec.ParameterizedSize(min=least, step=each))
        for axis, least, each in zip("zyx", size, packed.multiple, strict=True)
    ]
    given = spec.InputTensorDescr(
        id="stack", axes=axes, test_tensor=spec.FileDescr(source=scratch / "input.npy"), preprocessing=step
    )
    axes = [spec.BatchAxis(), spec.ChannelAxis(channel_names=[output.name for output in config.outputs])]
    axes += [spec.SpaceOutputAxis(id=axis, size=spec.SizeReference(tensor_id="stack", axis_id=axis)) for axis in "zyx"]
    returned = spec.OutputTensorDescr(
        id="probabilities", axes=axes, test_tensor=spec.FileDescr(source=scratch / "output.npy")
    )
    weights = spec.TorchscriptWeightsDescr(
        source=scratch / "weights.pt", pytorch_version=torch.__version__.partition("+")[0]
    )
    return spec.ModelDescr(
        name=re.sub(r"[^\w+() -]", " ", f"{config.name} (napari-scutoid)", flags=re.ASCII)[-128:],
        description=config.description[:1024],
        documentation=spec.FileDescr(source=scratch / "README.md"),
        license=_licence(spec, config.licence),
        tags=["segmentation", "3d", "cells", "pytorch"],
        inputs=[given],
        outputs=[returned],
        weights=spec.WeightsDescr(torchscript=weights),
    )


def _preprocessing(spec: Any, settings: Normalise) -> list[Any]:
    """Return how BioImage.IO normalises a stack, with statistics of the whole of it; nothing where it cannot."""
    axes = ["channel", "z", "y", "x"]
    if settings.stabilise != "none":
        return []
    if settings.method == "zscore":
        return [spec.ZeroMeanUnitVarianceDescr(kwargs=spec.ZeroMeanUnitVarianceKwargs(axes=axes))]
    whole = settings.method == "minmax"
    low, high = (0.0, 100.0) if whole else (settings.low_percentile, settings.high_percentile)
    kwargs = spec.ScaleRangeKwargs(axes=axes, min_percentile=low, max_percentile=high)
    return [spec.ScaleRangeDescr(kwargs=kwargs)]


def _expected(packed: _Packed, x: Tensor) -> Tensor:
    """Return the sample output: what the network makes of the sample input, normalised as the package says."""
    settings = packed.normalise
    if settings.stabilise == "none":
        numbers = x.numpy()
        if settings.method == "zscore":
            low, scale = numbers.mean(), numbers.std()
        else:
            whole = settings.method == "minmax"
            ends = (0, 100) if whole else (settings.low_percentile, settings.high_percentile)
            low, high = np.percentile(numbers, ends)
            scale = high - low
        x = (x - float(low)) / float(scale)
    with torch.no_grad():
        result: Tensor = packed(x)
    return result


def _licence(spec: Any, name: str) -> Any:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(spec.LicenseId).validate_python(name)
    except ValidationError:  # none, or one without an identifier; the README says it
        return None


def _readme(config: ModelConfig) -> str:
    margin = halo_for(config.architecture)
    if config.normalise.stabilise == "none":
        scale = "Intensities are normalised by the package's own steps, with statistics of the whole stack."
    else:
        scale = "Give raw intensities: the network normalises them itself, with statistics of each block that it sees."
    return f"""# {config.name}

{config.description}

Outputs: {", ".join(output.name for output in config.outputs)}, as probabilities. {scale} In blocks, let them overlap by
{margin} voxels (z, y, x) and keep their middles. Cells should be about {config.cell_diameter:g} voxels across.

## Validation

{", ".join(f"{name} {value}" for name, value in config.scores.items()) or "No scores are stated."}

Trained on: {config.training_data or "not stated"}. Licence: {config.licence or "not stated"}.

Written by napari-scutoid, which also turns these probabilities into cells.
"""
