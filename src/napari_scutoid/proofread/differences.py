"""What another segmentation would change, cell by cell, to be taken or refused."""

from __future__ import annotations

import zlib
from collections import defaultdict
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.metrics import count_overlaps
from napari_scutoid.progress import Progress
from napari_scutoid.proofread.change import Change, Difference
from napari_scutoid.proofread.edits.merge import named
from napari_scutoid.steps.cell_table import cell_table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.index import CellIndex
    from napari_scutoid.proofread.scene import Scene

LEAST = 0.1
"""Share of a cell that has to change before it is worth a look."""

OTHER = np.uint16(0xFFFF)
"""What `Proposal.packed` has where any other cell would be."""
_STEP = "Comparing cells"
_MOSTLY = 0.5


@dataclass(frozen=True, slots=True)
class Proposal:
    """Cells that another segmentation would replace by others.

    Parameters
    ----------
    old : tuple of int
        Cells that are there; none where there is a new cell.
    new : tuple of int
        Cells that would be there instead; one that is also in `old` keeps its id.
    words : str
        What would happen: ``"cell 12 becomes 2 cells"``.
    place : tuple of 3 floats
        Where to look, in voxels.
    sizes : tuple of int
        Voxels of the new cells.
    changed : int
        Voxels that would belong to another cell.
    box : Box
        What holds the cells, old and new.
    packed : bytes
        What the voxels of the box would be: 0 for no cell, 1 and up for the new cells, 65535 for any other;
        little-endian uint16, packed by zlib.
    """

    old: tuple[int, ...]
    new: tuple[int, ...]
    words: str
    place: tuple[float, float, float]
    sizes: tuple[int, ...]
    changed: int
    box: Box
    packed: bytes

    def wanted(self) -> NDArray[np.uint16]:
        """Return what the voxels of the box would be, as `packed` says."""
        return np.frombuffer(zlib.decompress(self.packed), "<u2").reshape(self.box.shape)


@dataclass(frozen=True, slots=True)
class Take:
    """Replace cells by those of another segmentation.

    The rest of the stack stays as it is, so proposals can be taken in any order, and other edits may come between.
    What other cells would get of the replaced ones goes to the nearest of the new cells. Cells that were made since
    and lie mostly where the new ones come are replaced as well; old cells that are mostly elsewhere by now are not.

    Parameters
    ----------
    proposal : Proposal
    """

    proposal: Proposal

    def plan(self, scene: Scene) -> Change:
        """Return the change; the lumen stays.

        Raises
        ------
        ScutoidError
            When one of the cells has been accepted since, or nothing is left to be changed.
        """
        proposal = self.proposal
        if accepted := sorted(scene.locked.intersection(proposal.old)):
            raise ScutoidError(
                "This change cannot be taken",
                f"{named(accepted)} {'is' if len(accepted) == 1 else 'are'} accepted",
                "unlock first what is to be changed, or refuse it",
            )
        replaced = self._replaced(scene)
        box = proposal.box
        for cell in replaced:
            box = box.union(scene.index.box(cell))
        wanted = np.full(box.shape, OTHER)
        wanted[proposal.box.shifted([-n for n in box.start]).slices] = proposal.wanted()
        before = scene.labels[box.slices]
        own = np.isin(before, np.array(replaced, np.uint32))
        free = own | (before == 0)
        if scene.lumen is not None:
            free &= ~scene.lumen[box.slices]
        into = free & (wanted > 0) & (wanted != OTHER)
        next_ids = iter(range(scene.next_id, scene.next_id + len(proposal.new)))
        ids = [0, *(cell if cell in replaced else next(next_ids) for cell in proposal.new)]
        after = np.where(own, np.uint32(0), before)
        after[into] = np.array(ids, np.uint32)[wanted[into]]
        _fill(after, own & (wanted == OTHER), into, scene.spacing)
        labels = Difference.between(box, before, after)
        if labels is None:
            raise ScutoidError(
                "This change cannot be taken", "its cells have been changed since, and nothing is left of it", "go on"
            )
        told = {"old": list(proposal.old), "new": ids[1:], "replaced": replaced}
        return Change("take", f"Take: {proposal.words}", told, labels, focus=proposal.place)

    def _replaced(self, scene: Scene) -> list[int]:
        """Return the cells that make way: old ones and later ones, as far as they lie mostly where others come."""
        proposal, wanted = self.proposal, self.proposal.wanted()
        part = scene.labels[proposal.box.slices]
        inside = dict(_counted(part[(wanted > 0) & (wanted != OTHER)]))
        none = dict(_counted(part[wanted == 0]))
        found = []
        for cell in sorted(inside.keys() | none.keys() & set(proposal.old)):
            there = inside.get(cell, 0) + (none.get(cell, 0) if cell in proposal.old else 0)
            if cell not in scene.locked and there >= _MOSTLY * scene.index.voxels(cell):
                found.append(cell)
        return found


def differences(
    old: NDArray[np.uint32],
    new: NDArray[np.uint32],
    index: CellIndex,
    accepted: Collection[int] = (),
    least: float = LEAST,
) -> Steps[list[Proposal]]:
    """List what a segmentation would change: groups of old and new cells that overlap.

    Cells belong together where they share more than a part of the smaller one; a group of one old and one new cell
    that are equal up to such a part is none. Boundaries that move less are left as they are.

    Parameters
    ----------
    old, new : ndarray of uint32, shape (z, y, x)
        The labels, and those from `resegment.kept_accepted`.
    index : CellIndex
        Of the old ones.
    accepted : collection of int
        Cells that both have.
    least : float
        That part, 0 to 1.

    Yields
    ------
    Progress

    Returns
    -------
    list of Proposal
        Those that change the most voxels first.
    """
    yield Progress(_STEP)
    overlaps = count_overlaps(new, old)
    pairs = zip(overlaps.truth.tolist(), overlaps.prediction.tolist(), overlaps.voxels.tolist(), strict=True)
    shared = {(a, b): n for a, b, n in pairs}
    was: dict[int, int] = defaultdict(int)
    becomes: dict[int, int] = defaultdict(int)
    for (a, b), n in shared.items():
        was[a] += n
        becomes[b] += n
    out = {0, *map(int, accepted)}
    met = [(a, b) for (a, b), n in shared.items() if not {a, b} & out and n >= least * min(was[a], becomes[b])]
    groups = _groups(set(was) - out, set(becomes) - out, met)
    yield Progress(_STEP)
    table = cell_table(new)
    rows = dict(zip(table.cell.tolist(), range(len(table)), strict=True))
    found = []
    for number, (before, after) in enumerate(groups):
        yield Progress(_STEP, number, len(groups))
        words = _in_words(before, after, shared, was, becomes, least)
        if not words:
            continue
        boxes = [Box.between(table.first[rows[cell]], table.last[rows[cell]] + 1) for cell in after]
        box = reduce(Box.union, [index.box(cell) for cell in before] + boxes)
        stays = sum(shared.get((cell, cell), 0) for cell in before)
        changed = max(sum(was[cell] for cell in before), sum(becomes[cell] for cell in after)) - stays
        place = index.centroid(before[0]) if before else tuple(table.centroid[rows[after[0]]].tolist())
        sizes = tuple(becomes[cell] for cell in after)
        packed = _packed(new, box, after, boxes)
        found.append(Proposal(before, after, words, place, sizes, changed, box, packed))
    return sorted(found, key=lambda one: (-one.changed, one.old, one.new))


def _groups(
    old: Iterable[int], new: Iterable[int], met: Iterable[tuple[int, int]]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return connected components of old and new cells, each in order of ids."""
    parent = {node: node for node in [*((0, cell) for cell in old), *((1, cell) for cell in new)]}

    def root(node: tuple[int, int]) -> tuple[int, int]:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b in met:
        parent[root((0, a))] = root((1, b))
    members: dict[tuple[int, int], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for side, cell in sorted(parent):
        members[root((side, cell))][side].append(cell)
    return [(tuple(before), tuple(after)) for before, after in members.values()]


def _in_words(
    before: tuple[int, ...],
    after: tuple[int, ...],
    shared: dict[tuple[int, int], int],
    was: dict[int, int],
    becomes: dict[int, int],
    least: float,
) -> str:
    """Say what would happen to cells; nothing where that is too little."""
    if not before:
        return f"a new cell of {becomes[after[0]]} voxels"
    if not after:
        return f"{named(before)} disappears"
    if len(before) == len(after) == 1:
        both = shared[before[0], after[0]]
        lost, won = 1 - both / was[before[0]], (becomes[after[0]] - both) / was[before[0]]
        if max(lost, won) < least:
            return ""
        parts = [
            f"{word} {share:.0%}".replace("%", " %")
            for word, share in (("loses", lost), ("gains", won))
            if share >= least
        ]
        return f"{named(before)} {' and '.join(parts)} of its voxels"
    if len(after) == 1:
        return f"{named(before)} become one"
    if len(before) == 1:
        return f"{named(before)} becomes {len(after)} cells"
    if before == after:
        return f"{named(before)} are divided elsewhere"
    return f"{named(before)} become {len(after)} other cells"


def _packed(new: NDArray[np.uint32], box: Box, cells: tuple[int, ...], boxes: Sequence[Box]) -> bytes:
    """Return what a piece of the new labels says of a group, as `Proposal.packed`; each cell's own box is looked at."""
    codes = np.where(new[box.slices] == 0, np.uint16(0), OTHER)
    for number, (cell, own) in enumerate(zip(cells, boxes, strict=True), start=1):
        codes[own.shifted([-first for first in box.start]).slices][new[own.slices] == cell] = number
    return zlib.compress(codes.astype("<u2").tobytes(), 1)


def _counted(ids: NDArray[np.uint32]) -> Iterable[tuple[int, int]]:
    """Return each cell and how often it is there."""
    found, counts = np.unique(ids[ids > 0], return_counts=True)
    return zip(found.tolist(), counts.tolist(), strict=True)


def _fill(
    after: NDArray[np.uint32], empty: NDArray[np.bool_], cells: NDArray[np.bool_], spacing: Iterable[float]
) -> None:
    """Give voxels to the nearest of some cells, in place; where there are none, they stay empty."""
    from scipy.ndimage import distance_transform_edt

    if not empty.any() or not cells.any():
        return
    nearest = distance_transform_edt(~cells, sampling=tuple(spacing), return_distances=False, return_indices=True)
    after[empty] = after[tuple(axis[empty] for axis in nearest)]
