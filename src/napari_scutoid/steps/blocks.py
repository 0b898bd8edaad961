"""A stack in blocks that overlap, so that a part of it is in memory at a time, and all cores work."""

from __future__ import annotations

import itertools
import math
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from napari_scutoid.box import Box
from napari_scutoid.progress import Progress
from napari_scutoid.steps.threads import cores, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_scutoid.progress import Steps

T = TypeVar("T")

MOST_VOXELS = 8_000_000
"""Of a block, with what around it has a say in it."""
_MOST_WORKERS = 4


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a stack, and what around it has a say in it.

    Parameters
    ----------
    core : Box
        The part; the cores of all blocks make up the stack.
    outer : Box
        The part with its surroundings.
    """

    core: Box
    outer: Box

    @property
    def inner(self) -> tuple[slice, slice, slice]:
        """Where the core lies in the outer box."""
        return self.core.shifted([-n for n in self.outer.start]).slices


def cut(shape: Sequence[int], halo: Sequence[int], most: int = MOST_VOXELS) -> list[Block]:
    """Cut a stack into blocks, in the order in which its voxels lie in memory.

    Parameters
    ----------
    shape : sequence of 3 ints
        Of the stack.
    halo : sequence of 3 ints
        Voxels around a core.
    most : int
        Voxels that an outer box may have; it has more where cores would be smaller than their halo.
    """
    parts = [1, 1, 1]

    def core(axis: int) -> int:
        return -(-shape[axis] // parts[axis])

    def outer() -> int:
        return math.prod(min(n, core(axis) + 2 * halo[axis]) for axis, n in enumerate(shape))

    while outer() > most:
        worth = [axis for axis in range(3) if core(axis) > max(1, halo[axis])]
        if not worth:
            break
        parts[max(worth, key=lambda axis: core(axis) / max(1, halo[axis]))] += 1
    edges = [core(axis) for axis in range(3)]
    found = []
    for start in itertools.product(*(range(0, n, edge) for n, edge in zip(shape, edges, strict=True))):
        part = Box.between(start, (min(n, i + edge) for i, n, edge in zip(start, shape, edges, strict=True)))
        found.append(Block(part, part.padded(list(halo), shape)))
    return found


def workers() -> int:
    """Return how many blocks are worked on at a time, where they are no larger than they should be."""
    return min(cores(), _MOST_WORKERS)


def shared(shape: Sequence[int], halo: Sequence[int], most: int = MOST_VOXELS) -> tuple[list[Block], int]:
    """Cut a stack into blocks, the same on every computer, and say how many of them to work on at a time.

    Parameters
    ----------
    shape, halo, most
        As for `cut`.

    Returns
    -------
    tuple of list of Block and int
        The blocks; and fewer than `workers` of them where blocks had to be larger, so that memory is that of as many
        blocks of the size that they should have.
    """
    blocks = cut(shape, halo, most)
    return blocks, max(1, min(workers(), workers() * most // max(block.outer.size for block in blocks)))


def each(
    blocks: Sequence[Block], at_once: int, work: Callable[[Block], T], then: Callable[[Block, T], None], step: str
) -> Steps[None]:
    """Work on all blocks, several at a time, and hand over what comes of each, in their order.

    Parameters
    ----------
    blocks : sequence of Block
    at_once : int
        Blocks that are worked on at a time.
    work : callable
        Runs in a thread of its own, and must leave alone what `then` changes.
    then : callable
        Takes a block and what came of it.
    step : str
        What is said of it.

    Yields
    ------
    Progress
        Once a block.
    """
    yield Progress(step, 0, len(blocks))
    with closing(in_order(work, blocks, at_once)) as made:
        for number, (block, result) in enumerate(zip(blocks, made, strict=True), start=1):
            then(block, result)
            yield Progress(step, number, len(blocks))
