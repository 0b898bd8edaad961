"""Stacks with true cells: who trains, who validates, and how the network sees them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.atomic import replacing
from napari_scutoid.network.dataset import TrainingStack
from napari_scutoid.pipeline import prepare
from napari_scutoid.steps.rescale import rescaling_labels
from napari_scutoid.volume import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.recipe.train import Split
    from napari_scutoid.volume import Labels, Volume

ROLES = ("train", "valid", "test")


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """A stack and its true cells, as they are read.

    Parameters
    ----------
    name : str
        Different for each.
    image : Volume
    labels : Labels
        On the image's grid.
    """

    name: str
    image: Volume
    labels: Labels


@dataclass(frozen=True, slots=True)
class Roles:
    """Names of the stacks that train, that choose the best weights, and that are kept for the final scores."""

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]


def split_stacks(
    names: Sequence[str], settings: Split, *, valid: Sequence[str] = (), test: Sequence[str] = ()
) -> Roles:
    """Give each stack one role; the same names and seed give the same roles, in whatever order they come.

    Parameters
    ----------
    names : sequence of str
        Stacks to share out.
    settings : Split
    valid, test : sequence of str
        Stacks that were named for validation, or for the final scores: none is drawn for that then.

    Raises
    ------
    ScutoidError
        When none would be left to train.
    """
    order = np.random.default_rng(settings.seed).permutation(sorted(names)).tolist()
    n_test = 0 if test else round(settings.test_share * len(order))
    n_valid = 0 if valid else round(settings.valid_share * len(order))
    if not valid and settings.valid_share > 0 and len(order) > 1:
        n_valid = max(1, n_valid)
    if n_test + n_valid >= len(order):
        raise ScutoidError(
            "There is nothing left to train with",
            f"of {len(order)} stacks, {n_valid} are kept for validation and {n_test} for the test",
            "give more stacks, or lower split.valid_share and split.test_share",
        )
    drawn_valid = sorted(order[n_test : n_test + n_valid])
    return Roles(
        tuple(sorted(order[n_test + n_valid :])),
        (*sorted(valid), *drawn_valid),
        (*sorted(test), *sorted(order[:n_test])),
    )


def training_stack(
    material: Material, recipe: Recipe, config: ModelConfig, *, ignore: int | None = None
) -> Steps[TrainingStack]:
    """Bring a stack to the grid and the intensities that a model works on, as segmenting it would.

    Parameters
    ----------
    material : Material
    recipe : Recipe
        Settings of the segmentation: how stacks are rescaled and normalised.
    config : ModelConfig
    ignore : int, optional
        Label of voxels of which nobody has said what they are.

    Raises
    ------
    ScutoidError
        When the labels are on another grid or hold no cell, or as `pipeline.prepare`.
    """
    image, labels = material.image, material.labels
    what = f"{material.name} cannot be trained with"
    if image.shape != labels.shape:
        raise ScutoidError(
            what, f"the image has shape {image.shape}, the labels {labels.shape}", "give the labels of the same stack"
        )
    ready = yield from prepare(image, recipe, config)
    true = (yield from rescaling_labels(labels, ready.volume.shape)).data
    unknown = unknown_in(true, ignore)
    known = None if unknown is None else ~unknown
    normalised = ready.statistics.apply(np.asarray(ready.volume.data[:]))
    stack = TrainingStack.from_labels(normalised, true, known=known, spacing=ready.spacing, name=material.name)
    if not stack.labels.any():
        raise ScutoidError(what, "its labels hold no cell", "name the data set with --labels-dataset")
    return stack


def unknown_in(labels: NDArray[Any], ignore: int | None = None) -> NDArray[np.bool_] | None:
    """Return which voxels nobody has said of what they are; None where that is said of all.

    Parameters
    ----------
    labels : ndarray of integers
        Those that corrections have written mark such voxels with `napari_scutoid.volume.UNKNOWN`.
    ignore : int, optional
        Another label that marks them.
    """
    unknown = np.asarray(labels == UNKNOWN)
    if ignore is not None:
        unknown |= labels == ignore
    return unknown if unknown.any() else None


def typical_diameter(materials: Sequence[Material], *, ignore: int | None = None) -> float | None:
    """Return the diameter, in voxels, of a ball as large as the median cell.

    None where labels are a mask, which shows tissue but no cell, or hold nothing at all.
    """
    import fastremap

    sizes: list[int] = []
    for one in materials:
        ids, voxels = fastremap.unique(one.labels.data, return_counts=True)
        cells = voxels[(ids > 0) & (ids != UNKNOWN) & (ids != ignore)].tolist()
        sizes += cells if len(cells) > 1 else []
    return float((6 / np.pi * np.median(sizes)) ** (1 / 3)) if sizes else None


def write_roles(file: Path, roles: Roles, stacks: Mapping[str, TrainingStack], seed: int, *, resume: bool) -> None:
    """Record who does what; a run that is resumed must have the same.

    Raises
    ------
    ScutoidError
        When it has not, or the record cannot be written.
    """
    stated = {
        "seed": seed,
        **{role: list(getattr(roles, role)) for role in ROLES},
        "cells": {name: int(np.count_nonzero(np.unique(stack.labels))) for name, stack in stacks.items()},
    }
    if resume and file.is_file():
        try:
            before = json.loads(file.read_text(encoding="utf-8"))
            same = all(before[role] == stated[role] for role in ROLES)
        except (ValueError, LookupError, TypeError):  # damaged: it cannot be known
            same = False
        if not same:
            raise ScutoidError(
                "The training run could not be resumed",
                f"its stacks were others; they are listed in {file}",
                "give the same stacks, or start again without --resume",
            )
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as part:
        part.write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
