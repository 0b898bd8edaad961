"""The doors from the training window to the program, as jobs; a test may put its own in their place.

What a door needs is imported when its job runs, in the worker's thread: opening the window loads no torch and no h5py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.io.pairs import Found, Pair
    from napari_scutoid.network.train import Epoch, Look
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import TrainRecipe
    from napari_scutoid.training.check import StackReport
    from napari_scutoid.training.compare import Comparison
    from napari_scutoid.training.run import NewModel
    from napari_scutoid.training.stacks import Material, Roles
    from napari_scutoid.volume import Labels, Volume

ROLES = ("train", "valid", "test")
SHOWN_SAMPLES = 12
FROM_STACKS = 3
"""Samples are drawn from so many stacks: each has to be read and rescaled for it."""


def _find_pairs(path: Path) -> Found:
    from napari_scutoid.io.pairs import find_pairs

    return find_pairs(path)


def _open_pair(pair: Pair) -> tuple[Volume, Labels]:
    from napari_scutoid.io.pairs import open_pair

    return open_pair(pair)


def _material(name: str, image: Volume, labels: Labels) -> Material:
    from napari_scutoid.training.stacks import Material

    return Material(name, image, labels)


def _check(material: Material, ignore: int | None) -> Steps[StackReport]:
    from napari_scutoid.training.check import check_material

    return check_material(material, ignore=ignore)


def _split(names: Sequence[str]) -> Roles:
    from napari_scutoid.recipe.train import Split
    from napari_scutoid.training.stacks import split_stacks

    return split_stacks(names, Split())


def _train(*stacks: Any, **settings: Any) -> Steps[NewModel]:
    from napari_scutoid.training.run import train_model

    return train_model(*stacks, **settings)


def _preview(materials: Sequence[Material], recipe: TrainRecipe, ignore: int | None) -> Steps[Any]:
    from napari_scutoid.pipeline import settings_for
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.training.preview import preview
    from napari_scutoid.training.stacks import training_stack, typical_diameter
    from napari_scutoid.training.start import starting_point

    config = starting_point(recipe, "preview", cell_diameter=typical_diameter(materials, ignore=ignore)).config
    stacks = []
    for one in materials:
        stacks.append((yield from training_stack(one, settings_for(Recipe(), config), config, ignore=ignore)))
    yield Progress("Drawing samples")
    return preview(stacks, recipe, SHOWN_SAMPLES)


def _compare(old: str, new: Path, stacks: Sequence[Callable[[], Material]], **settings: Any) -> Steps[Comparison]:
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.training.compare import compare_models

    segmentation = Recipe.model_validate({"predict": {"device": settings.pop("device")}})
    return compare_models(old, new, stacks, segmentation=segmentation, **settings)


def _adopt(folder: Path, target: Path) -> None:
    from napari_scutoid.network.export import copy_model

    target.parent.mkdir(parents=True, exist_ok=True)
    copy_model(folder, target)


def _models() -> dict[str, Path]:
    from napari_scutoid.network.checkpoint import list_models

    return list_models()


def _shelf() -> Path:
    from napari_scutoid.network.checkpoint import user_models

    return user_models()


@dataclass(frozen=True, slots=True)
class TrainCore:
    """What the training window asks of the program; all but the last two in a job."""

    find_pairs: Callable[[Path], Found] = field(default=_find_pairs)
    open_pair: Callable[[Pair], tuple[Volume, Labels]] = field(default=_open_pair)
    material: Callable[[str, Volume, Labels], Material] = field(default=_material)
    check: Callable[[Material, int | None], Steps[StackReport]] = field(default=_check)
    split: Callable[[Sequence[str]], Roles] = field(default=_split)
    train: Callable[..., Steps[NewModel]] = field(default=_train)
    preview: Callable[[Sequence[Material], TrainRecipe, int | None], Steps[Any]] = field(default=_preview)
    compare: Callable[..., Steps[Comparison]] = field(default=_compare)
    adopt: Callable[[Path, Path], None] = field(default=_adopt)
    models: Callable[[], dict[str, Path]] = field(default=_models)
    shelf: Callable[[], Path] = field(default=_shelf)


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """A stack with its true cells that can be opened.

    Parameters
    ----------
    name : str
        Different for each.
    open : callable
        Returns it as `Material`; only in a job.
    path : Path or None
        What ``scutoid train --train`` takes; None for layers, which are in no file.
    where : str
        For a person: the files, or the layers.
    """

    name: str
    open: Callable[[], Material]
    path: Path | None
    where: str


@dataclass(frozen=True, slots=True, eq=False)
class EpochShown:
    """An epoch that is over, as the window shows it.

    Parameters
    ----------
    number : int
    record : dict
        Its row of the learning curves.
    best : bool
        Whether no epoch before was as good.
    picture : ndarray of uint8, shape (height, width, 3), or None
        A slice of a validation stack: raw, true cells, prediction.
    caption : str
        Which slice of which stack.
    """

    number: int
    record: dict[str, float | None]
    best: bool
    picture: NDArray[np.uint8] | None = None
    caption: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """Stacks that were found, and what else there was, with the reason why it is none."""

    stacks: tuple[Stack, ...]
    left_out: tuple[tuple[Path, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """Reports by the stacks' names, and the roles that are proposed for those that can be used."""

    reports: dict[str, StackReport]
    roles: Roles | None


def shown(epoch: Epoch) -> EpochShown:
    """Return an epoch without its network, which goes on changing, and with its picture."""
    look: Look | None = epoch.look
    if look is None:
        return EpochShown(epoch.number, dict(epoch.record), epoch.best)
    from napari_scutoid.picture.look import look_picture

    picture = look_picture(look.image, look.labels, look.maps)
    return EpochShown(epoch.number, dict(epoch.record), epoch.best, picture, f"{look.name}, slice {look.z}")


def gather(core: TrainCore, paths: Sequence[Path]) -> Steps[Gathered]:
    """Find stacks with their cells in files and folders."""
    stacks: list[Stack] = []
    left_out: list[tuple[Path, str]] = []
    for number, path in enumerate(paths):
        yield Progress("Looking for images with labels", number, len(paths))
        found = core.find_pairs(path)
        left_out += found.left_out
        stacks += [_of_pair(core, pair) for pair in found.pairs]
    return Gathered(tuple(stacks), tuple(left_out))


def of_layers(core: TrainCore, name: str, image: Volume, labels: Any, where: str) -> Stack:
    """Return a stack of two layers; it holds their voxels, not the layers."""

    def opened() -> Material:
        from napari_scutoid.volume import Labels, as_label_array

        # A copy: who corrects a cell meanwhile must not change what is being learnt.
        return core.material(name, image, Labels(as_label_array(np.array(labels)), image.voxel_size_um))

    return Stack(name, opened, None, where)


def check(core: TrainCore, stacks: Sequence[Stack], known: dict[str, StackReport], ignore: int | None) -> Steps[Any]:
    """Open and check the stacks that were not checked yet, and share out the roles.

    Returns
    -------
    Checked
    """
    reports = dict(known)
    for number, stack in enumerate(stacks):
        yield Progress("Checking the stacks", number, len(stacks))
        if stack.name not in reports:
            reports[stack.name] = yield from _checked(core, stack, ignore)
    usable = [stack.name for stack in stacks if reports[stack.name].unusable is None]
    return Checked(reports, core.split(usable) if usable else None)


def _checked(core: TrainCore, stack: Stack, ignore: int | None) -> Steps[StackReport]:
    from napari_scutoid.training.check import StackReport

    try:
        return (yield from core.check(stack.open(), ignore))
    except ScutoidError as error:
        return StackReport(0, (), error.why)


def samples(core: TrainCore, stacks: Sequence[Stack], recipe: TrainRecipe, ignore: int | None) -> Steps[Any]:
    """Draw augmented samples of some stacks.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
    """
    materials = []
    for stack in stacks[:FROM_STACKS]:
        yield Progress("Opening the stacks")
        materials.append(stack.open())
    picture = yield from core.preview(materials, recipe, ignore)
    return np.array(picture.convert("RGB"))


def adopt(core: TrainCore, folder: Path, target: Path) -> Steps[Path]:
    """Copy a model to where `Segment` finds it."""
    yield Progress("Copying the model")
    core.adopt(folder, target)
    return target


def renamed(stack: Stack, name: str) -> Stack:
    """Return a stack under another name, by which its role is recorded."""

    def opened() -> Material:
        return replace(stack.open(), name=name)

    return replace(stack, name=name, open=opened)


def _of_pair(core: TrainCore, pair: Pair) -> Stack:
    files = dict.fromkeys((str(pair.image_file), str(pair.labels_file)))
    return Stack(pair.name, partial(_opened, core, pair), pair.image_file, " + ".join(files))


def _opened(core: TrainCore, pair: Pair) -> Material:
    return core.material(pair.name, *core.open_pair(pair))
