"""The doors from the window to the program, as jobs; a test or another window may put its own in their place.

What a door needs is imported when its job starts, in the worker's thread: opening a widget loads no torch and no h5py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.estimate import Forecast
    from napari_scutoid.io.format import FileInfo
    from napari_scutoid.network.card import ModelCard
    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.network.device import DeviceFacts
    from napari_scutoid.pipeline import Result
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Predict, Recipe
    from napari_scutoid.steps.cell_size import CellSize
    from napari_scutoid.volume import ArrayLike, Labels, Volume


def _inspect(path: Path) -> FileInfo:
    from napari_scutoid.io.open import inspect

    return inspect(path)


def _open_volume(path: Path, dataset: str, **choice: Any) -> Volume:
    from napari_scutoid.io.open import open_volume

    return open_volume(path, dataset, **choice)


def _open_labels(path: Path, dataset: str, **choice: Any) -> Labels:
    from napari_scutoid.io.open import open_labels

    return open_labels(path, dataset, **choice)


def _run(volume: Volume, recipe: Recipe, model: str) -> Steps[Result]:
    from napari_scutoid.pipeline import run

    return run(volume, recipe, model)


def _save_result(path: Path, labels: Labels, probabilities: dict[str, Volume], provenance: dict[str, Any]) -> None:
    from napari_scutoid.io.open import save_result

    save_result(path, labels, probabilities, provenance)


def _models(more: Sequence[str]) -> list[ModelCard]:
    from napari_scutoid.network.card import model_cards

    return model_cards(more)


def _describe_device(settings: Predict) -> DeviceFacts:
    from napari_scutoid.network.device import describe_device

    return describe_device(settings.device, settings.precision, settings.backend)


def _forecast(volume: Volume, recipe: Recipe, config: ModelConfig, cell_size: CellSize | None) -> Steps[Forecast]:
    from napari_scutoid.estimate import forecast

    return forecast(volume, recipe, config, cell_size=cell_size)


@dataclass(frozen=True, slots=True)
class Core:
    """What the window asks of the program."""

    inspect: Callable[[Path], FileInfo] = field(default=_inspect)
    open_volume: Callable[..., Volume] = field(default=_open_volume)
    run: Callable[[Volume, Recipe, str], Steps[Result]] = field(default=_run)
    save_result: Callable[[Path, Labels, dict[str, Volume], dict[str, Any]], None] = field(default=_save_result)
    open_labels: Callable[..., Labels] = field(default=_open_labels)
    models: Callable[[Sequence[str]], list[ModelCard]] = field(default=_models)
    describe_device: Callable[[Predict], DeviceFacts] = field(default=_describe_device)
    forecast: Callable[[Volume, Recipe, ModelConfig, CellSize | None], Steps[Forecast]] = field(default=_forecast)


def look_into(core: Core, path: Path) -> Steps[FileInfo]:
    """List a file's data sets."""
    yield Progress("Looking into the file")
    return core.inspect(path)


def segment(core: Core, volume: Volume, recipe: Recipe, model: str) -> Steps[Result]:
    """Segment a stack."""
    yield Progress("Preparing")
    return (yield from core.run(volume, recipe, model))


def choose_colours(labels: ArrayLike) -> Steps[dict[int, int]]:
    """Choose the colour of each cell, of `colours.PALETTE`."""
    import numpy as np

    from napari_scutoid.steps.colouring import colouring
    from napari_scutoid.ui.colours import PALETTE

    return (yield from colouring(np.asarray(labels), len(PALETTE)))


def look_at_models(core: Core, more: Sequence[str]) -> Steps[list[ModelCard]]:
    """List the models that can be chosen."""
    yield Progress("Looking for models")
    return core.models(more)


def look_at_device(core: Core, settings: Predict) -> Steps[DeviceFacts]:
    """Find out what will compute."""
    yield Progress("Looking at the device")
    return core.describe_device(settings)


def save(
    core: Core,
    path: Path,
    shown: NDArray[Any],
    made: Labels,
    probabilities: dict[str, Volume],
    provenance: dict[str, Any],
) -> Steps[Path]:
    """Write labels as they are shown now, with corrections made by hand since, and what the network said."""
    import numpy as np

    # A copy, because the next stroke of the brush must not reach what is being written.
    data = np.empty(made.shape, np.uint32)
    for z, plane in enumerate(shown):
        yield Progress("Copying the labels", z, made.shape[0])
        data[z] = plane
    yield Progress("Writing the labels")
    core.save_result(path, replace(made, data=data), probabilities, provenance)
    return path
