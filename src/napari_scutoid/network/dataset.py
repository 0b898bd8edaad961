"""Training stacks in memory, and the samples drawn from them.

Samples are numbered, and a sample's number and the seed say all about it: whoever draws number 17, in whatever process
and after whatever interruption, gets the same voxels. That is what makes a resumed run and one in several processes
equal to a run that was neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch

from napari_scutoid.network.augment import augmented_patch
from napari_scutoid.network.loss_weights import separation_weights
from napari_scutoid.steps.ground_truth import make_target
from napari_scutoid.volume import as_label_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_scutoid.network.config import Output, Triple
    from napari_scutoid.recipe.train import TrainRecipe

BACKGROUND = "background"
"""Output that is added where outputs exclude each other: none of them."""
MARGIN = {"foreground": 0, "boundary": 1, "semantic": 1}
"""Voxels around a patch that its target depends on; of a target that is not named here, `WIDE_MARGIN`."""
WIDE_MARGIN = 8
"""Cells that reach farther out may go on beyond: targets that depend on a cell's whole extent are not valid there."""
N_ANCHORS = 2000
PATCHES_PER_SYNTHETIC = 16
"""How often a synthetic stack is used: making one takes as long as many patches."""
MIXED = 8
"""Synthetic stacks that are used in turn, so that a batch does not hold one stack only."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingStack:
    """A stack to learn from.

    Parameters
    ----------
    name : str
        For messages and records.
    image : ndarray of float16 or float32, shape (z, y, x)
        Normalised with the statistics of the whole stack.
    labels : ndarray of uint32, shape (z, y, x)
        One id per cell, 0 elsewhere.
    known : ndarray of bool, shape (z, y, x), or None
        Where the labels are right; None means everywhere. Elsewhere they are 0.
    spacing : (float, float, float)
        Voxel edges along z, y, x; only their ratio matters.
    anchors : ndarray of int, shape (n, 3)
        Some voxels of cells, spread over all of them: where patches are taken.
    """

    name: str
    image: NDArray[np.float16] | NDArray[np.float32]
    labels: NDArray[np.uint32]
    known: NDArray[np.bool_] | None
    spacing: tuple[float, float, float]
    anchors: NDArray[np.intp]

    @classmethod
    def from_labels(
        cls,
        image: NDArray[Any],
        labels: NDArray[Any],
        *,
        known: NDArray[np.bool_] | None = None,
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        name: str = "",
    ) -> TrainingStack:
        """Check arrays against each other and choose the anchors among known voxels of cells.

        Raises
        ------
        ValueError
            When shapes differ, an axis is missing, or an intensity is no number.
        """
        if image.ndim != 3 or image.shape != labels.shape:
            raise ValueError(f"image has shape {image.shape}, labels have {labels.shape}; both need (z, y, x)")
        if known is not None and known.shape != labels.shape:
            raise ValueError(f"known has shape {known.shape}, labels have {labels.shape}")
        if not np.isfinite(image).all():
            raise ValueError("image holds numbers that are not finite")
        z, y, x = spacing
        labels = as_label_array(labels)
        if known is not None:
            labels = np.where(known, labels, np.uint32(0))
        cells = np.flatnonzero(labels)
        some = cells[:: max(1, len(cells) // N_ANCHORS)]
        anchors = np.stack(np.unravel_index(some, labels.shape), axis=1)
        return cls(name, image.astype(np.float16, copy=False), labels, known, (z, y, x), anchors)


class Patch(NamedTuple):
    """A cut-out of a stack, shape (z, y, x) each; where nothing is known, neither labels nor image count."""

    image: NDArray[np.float32]
    labels: NDArray[np.uint32]
    known: NDArray[np.bool_]


class Batch(NamedTuple):
    """Samples together: image (b, 1, z, y, x), target and weight (b, n, z, y, x), all float32."""

    image: Tensor
    target: Tensor
    weight: Tensor


class Source(Protocol):
    """What a training run draws from."""

    def batch(self, numbers: Sequence[int], patch: Triple) -> Batch:
        """Return the samples of these numbers, in this patch size."""


class Samples:
    """Numbered samples of some stacks, augmented, with targets made from the augmented labels.

    Parameters
    ----------
    stacks : sequence of TrainingStack
        Real ones; they are drawn from alike, whatever their size.
    outputs : sequence of Output
        What the network gives.
    recipe : TrainRecipe
        Its parts `sampling`, `augment` and `loss`.
    synthetic : callable, optional
        Makes the synthetic stack of a number, for the share of samples that the recipe states.
    seed : int, optional
        Instead of the recipe's.

    Raises
    ------
    ValueError
        When there is nothing to draw from.
    """

    def __init__(
        self,
        stacks: Sequence[TrainingStack],
        outputs: Sequence[Output],
        recipe: TrainRecipe,
        synthetic: Callable[[int], TrainingStack] | None = None,
        seed: int | None = None,
    ) -> None:
        share = recipe.sampling.synthetic_share
        if (share < 1 and not stacks) or (share > 0 and synthetic is None):
            raise ValueError(f"there are {len(stacks)} stacks, and a synthetic share of {share} without a generator")
        self.stacks = tuple(stacks)
        self.outputs = tuple(outputs)
        self.recipe = recipe
        self.seed = recipe.optimise.seed if seed is None else seed
        self._synthetic = None if synthetic is None else lru_cache(maxsize=MIXED)(synthetic)

    def sample(self, number: int, patch: Triple) -> tuple[NDArray[np.float32], ...]:
        """Return image (1, z, y, x), target and weight (n, z, y, x) of one sample."""
        rng = np.random.default_rng((self.seed, number))
        sampling = self.recipe.sampling
        stack = self._stack(number, rng)
        centre = draw_centre(stack, patch, rng, cell_share=sampling.cell_share)
        margin = max(_margin(output.name) for output in self.outputs)
        if self.recipe.loss.name == "falk":
            margin = max(margin, WIDE_MARGIN)
        z, y, x = (size + 2 * margin for size in patch)
        wide = augmented_patch(stack, centre, (z, y, x), self.recipe.augment, rng)
        seen = wide._replace(known=wide.known & _inner(wide.known.shape)) if margin == WIDE_MARGIN else wide
        target, valid = make_targets(seen, self.outputs, stack.spacing)
        weight = valid.astype(np.float32)
        if self.recipe.loss.name == "falk":
            weight *= separation_weights(wide.labels, self.recipe.loss, stack.spacing)
        core = tuple(slice(margin, margin + size) for size in patch)
        return wide.image[None][(slice(None), *core)], target[(slice(None), *core)], weight[(slice(None), *core)]

    def batch(self, numbers: Sequence[int], patch: Triple) -> Batch:
        """Return the samples of these numbers as tensors."""
        columns = zip(*(self.sample(number, patch) for number in numbers), strict=True)
        return Batch(*(torch.from_numpy(np.stack(column)) for column in columns))

    def _stack(self, number: int, rng: np.random.Generator) -> TrainingStack:
        if self._synthetic is not None and rng.random() < self.recipe.sampling.synthetic_share:
            return self._synthetic(number // (PATCHES_PER_SYNTHETIC * MIXED) * MIXED + number % MIXED)
        return self.stacks[int(rng.integers(len(self.stacks)))]


def draw_centre(
    stack: TrainingStack, patch: Triple, rng: np.random.Generator, *, cell_share: float
) -> tuple[int, int, int]:
    """Return the middle of a patch that lies inside the stack, where that is large enough.

    Parameters
    ----------
    stack : TrainingStack
    patch : tuple of int
        Voxels along z, y, x.
    rng : numpy.random.Generator
        All randomness comes from here.
    cell_share : float
        Probability that the patch is made to hold a voxel of a cell.
    """
    shape = stack.image.shape
    corner = [int(rng.integers(max(0, n - p) + 1)) for n, p in zip(shape, patch, strict=True)]
    if len(stack.anchors) and rng.random() < cell_share:
        voxel = stack.anchors[int(rng.integers(len(stack.anchors)))]
        corner = [
            int(np.clip(v - rng.integers(p), 0, max(0, n - p))) for v, p, n in zip(voxel, patch, shape, strict=True)
        ]
    z, y, x = (c + p // 2 if n >= p else n // 2 for c, p, n in zip(corner, patch, shape, strict=True))
    return z, y, x


def make_targets(
    patch: Patch, outputs: Sequence[Output], spacing: Sequence[float]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return what each output should be, and where that is known.

    Outputs that exclude each other (softmax) share the voxels: each belongs to the last of them, in their order, whose
    target holds there, and to the output ``background`` where none does.

    Parameters
    ----------
    patch : Patch
    outputs : sequence of Output, length n
    spacing : sequence of 3 floats
        Voxel edges.

    Returns
    -------
    target : ndarray of float32, shape (n, z, y, x)
    valid : ndarray of bool, shape (n, z, y, x)
    """
    ignore = None if patch.known.all() else ~patch.known
    target = np.zeros((len(outputs), *patch.labels.shape), np.float32)
    valid = np.ones(target.shape, np.bool_)
    exclusive = [index for index, output in enumerate(outputs) if output.activation == "softmax"]
    for index, output in enumerate(outputs):
        if output.name == BACKGROUND:
            continue
        made = make_target(output.name, patch.labels, spacing, ignore=ignore)
        target[index] = made.values
        valid[index] = patch.known if made.valid is None else made.valid & patch.known
    if exclusive:
        owner = np.full(patch.labels.shape, -1)
        for index in exclusive:
            owner[target[index] > 0.5] = index
        for index in exclusive:
            target[index] = (owner == index) | ((owner == -1) & (outputs[index].name == BACKGROUND))
        valid[exclusive] = valid[exclusive].all(axis=0)
    return target, valid


def whole(stack: TrainingStack) -> Patch:
    """Return a stack as one patch."""
    known = np.ones(stack.labels.shape, np.bool_) if stack.known is None else stack.known
    return Patch(stack.image.astype(np.float32), stack.labels, known)


def batches(source: Source, numbers: Iterable[Sequence[int]], patch: Triple, *, workers: int = 0) -> Iterator[Batch]:
    """Draw batches one after the other, ahead of their use in other processes where there are workers.

    Parameters
    ----------
    source : Source
    numbers : iterable of sequence of int
        The samples of each batch.
    patch : tuple of int
        Voxels along z, y, x.
    workers : int
        Processes; 0 draws in this one, when asked.
    """
    if not workers:
        yield from (source.batch(some, patch) for some in numbers)
        return
    from torch.utils.data import DataLoader

    # A batch is one item of the data set, so that the loader neither groups nor shuffles.
    items = [(source, tuple(some), patch) for some in numbers]
    yield from DataLoader(items, batch_size=None, num_workers=workers, collate_fn=_drawn)  # type: ignore[arg-type]


def _drawn(item: tuple[Source, tuple[int, ...], Triple]) -> Batch:
    source, numbers, patch = item
    return source.batch(numbers, patch)


def _inner(shape: Sequence[int]) -> NDArray[np.bool_]:
    """Return all voxels but the outermost."""
    inner = np.zeros(shape, np.bool_)
    inner[1:-1, 1:-1, 1:-1] = True
    return inner


def _margin(name: str) -> int:
    return 0 if name == BACKGROUND else MARGIN.get(name, WIDE_MARGIN)
