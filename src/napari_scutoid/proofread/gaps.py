"""Finds background where a cell may be missing: about as large as one, closed by walls, and among cells."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_scutoid.box import Box
from napari_scutoid.progress import Progress
from napari_scutoid.proofread.edits.guards import lumen_in, typical_diameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.watch import Watch

Place = tuple[int, int, int]

_STEP = "Looking for missing cells"

_ACROSS = 10
"""Blocks across a typical cell: a whole stack of them is small."""
_MOST_BLOCKS = 2**25
"""Where cells are so small that a stack has more, they are seen less well."""
_WALL = 128
"""Evidence from which a block is wall rather than the inside of something."""
_LEAK = 0.2
"""Width of the gaps in walls that count as closed, in diameters of a typical cell."""
_SMALLEST, _LARGEST = 0.1, 5.0
"""Size of a gap, in typical cells."""
_CLOSED, _AMONG = 0.8, 0.4
"""Least shares of a gap's surface that walls or cells close, and of its surroundings that are cells: a cell of a layer
looks at what is no cell on two sides."""
_CUT = 0.5
"""Share of its surface that is the stack's border: a corner of what is outside the tissue has more."""
_NEIGHBOURS = 14
"""Cells around one of their size where they fill space, as in Kelvin's foam; a thin lumen between cells has more."""
_AROUND = 0.3
"""How far its surroundings reach, in diameters of a typical cell."""
_LEFT = 0.75 * _LEAK
"""How far from what the opening keeps a gap reaches; half of the leak would leave the corners out."""
_ROUND = 1e-6
_OPEN, _LUMEN, _SOLID, _CELL = range(4)
"""What a block is; from the third on it closes a surface."""


class Gap(NamedTuple):
    """Background where a cell may be missing.

    Parameters
    ----------
    place : tuple of 3 ints
        A voxel deep inside.
    size : float
        In typical cells, about.
    closed, among : float
        Shares of its surface that walls or cells close, and of its surroundings that are cells.
    """

    place: Place
    size: float
    closed: float
    among: float

    @property
    def chance(self) -> float:
        """Where it stands among the suspects, 0 to 1; unlike theirs not calibrated, so that nobody is shown it."""
        return min(0.99, self.closed * self.among)


class _Blocks(NamedTuple):
    """A piece of the stack, or all of it, each block of voxels as one."""

    what: NDArray[np.uint8]
    spacing: tuple[float, float, float]
    across: float
    """Diameter of a typical cell, in the spacing's units."""

    @property
    def typical(self) -> float:
        """Blocks of a typical cell."""
        return math.pi / 6 * self.across**3 / math.prod(self.spacing)


def find_gaps(watch: Watch) -> Steps[list[Gap]]:
    """Look for missing cells.

    A gap is a piece of the background that hangs together and stays apart from the rest where walls leak a little
    (a morphological opening). Edits may go on meanwhile: whether it still is background is to be asked before it is
    shown.

    Parameters
    ----------
    watch : Watch
        Of the labels.

    Yields
    ------
    Progress
        Once a layer of blocks, and once a piece that may be a gap.

    Returns
    -------
    list of Gap
        The surest first.
    """
    with watch.still() as scene:
        across, edges = typical_diameter(scene), scene.spacing
    if not across:
        return []
    z, y, x = (max(1, int(across / _ACROSS / edge)) for edge in edges)
    while math.prod(-(-n // by) for n, by in zip(scene.shape, (z, y, x), strict=True)) > _MOST_BLOCKS:
        z, y, x = 2 * z, 2 * y, 2 * x
    what = yield from _blocks(watch, (z, y, x))
    yield Progress(_STEP)
    blocks = _Blocks(what, (z * edges.z, y * edges.y, x * edges.x), across)
    found = yield from _gaps(blocks, lambda box: _cells(watch, (z, y, x), box))
    gaps = [gap._replace(place=_middle(gap.place, (z, y, x), scene.shape)) for gap in found]
    return sorted(gaps, key=lambda gap: (-gap.chance, gap.place))


def _blocks(watch: Watch, step: Place) -> Steps[NDArray[np.uint8]]:
    """Return what each block is: by its middle plane, and by its clearest wall."""
    with watch.still() as scene:
        shape = scene.shape
    depth, height, width = (-(-n // by) for n, by in zip(shape, step, strict=True))
    what = np.zeros((depth, height, width), np.uint8)
    for z in range(depth):
        yield Progress(_STEP, z, depth)
        first = z * step[0]
        slab = Box((first, 0, 0), (min(step[0], shape[0] - first), *shape[1:]))
        middle = Box((first + slab.shape[0] // 2, 0, 0), (1, *shape[1:]))
        with watch.still() as scene:
            cells = scene.labels[middle.slices][0, :: step[1], :: step[2]] > 0
            lumen = lumen_in(scene, middle)[0, :: step[1], :: step[2]].copy()
        walls = scene.evidence.boundary(slab).max(axis=0)
        walls = np.pad(walls, [(0, -n % by) for n, by in zip(walls.shape, step[1:], strict=True)])
        walls = walls.reshape(height, step[1], width, step[2]).max(axis=(1, 3))
        what[z] = np.select([cells, lumen, walls >= _WALL], [_CELL, _LUMEN, _SOLID], _OPEN)
    return what


def _cells(watch: Watch, step: Place, box: Box) -> NDArray[np.uint32]:
    """Return the cells of a box of blocks: those in the middle, as in `_blocks`."""
    with watch.still() as scene:
        first, stop = ([i * by for i, by in zip(side, step, strict=True)] for side in (box.start, box.stop))
        planes = [z + min(step[0], len(scene.labels) - z) // 2 for z in range(first[0], stop[0], step[0])]
        height, width = (slice(first[i], stop[i], step[i]) for i in (1, 2))
        return scene.labels[:, height, width][planes]


def _gaps(blocks: _Blocks, cells: Callable[[Box], NDArray[np.uint32]]) -> Steps[list[Gap]]:
    """Return the gaps, their places in blocks; `cells` gives those of a box of blocks."""
    import cc3d
    import edt

    depth = edt.edt(blocks.what == _OPEN, anisotropy=blocks.spacing, black_border=False)
    cores = cc3d.connected_components((depth > 0.5 * _LEAK * blocks.across).view(np.uint8), connectivity=6)
    known = cc3d.statistics(cores)
    margin = [math.ceil((_LEAK + _AROUND) * blocks.across / edge) + 1 for edge in blocks.spacing]
    grown = [2 * int(_LEFT * blocks.across / edge + _ROUND) for edge in blocks.spacing]
    found = []
    for number, (size, sides) in enumerate(zip(known["voxel_counts"], known["bounding_boxes"], strict=True)):
        # Noise leaves tens of thousands of specks, each of which would take milliseconds to measure.
        most = math.prod(side.stop - side.start + more for side, more in zip(sides, grown, strict=True))
        if not number or size > _LARGEST * blocks.typical or most < _SMALLEST * blocks.typical:
            continue
        box = Box.between([side.start for side in sides], [side.stop for side in sides]).padded(margin, cores.shape)
        if not (blocks.what[box.slices] == _CELL).any():
            continue
        yield Progress(_STEP, number, len(known["voxel_counts"]))
        core = cores[box.slices] == number
        gap, cut, around = _measured(blocks._replace(what=blocks.what[box.slices]), core)
        if cut > _CUT or not _SMALLEST <= gap.size <= _LARGEST or gap.closed < _CLOSED or gap.among < _AMONG:
            continue
        if _counted(cells(box)[around]) <= _NEIGHBOURS * ((1 + gap.size ** (1 / 3)) / 2) ** 2:
            z, y, x = np.unravel_index(int(np.argmax(np.where(core, depth[box.slices], 0))), core.shape)
            found.append(gap._replace(place=(int(z) + box.start[0], int(y) + box.start[1], int(x) + box.start[2])))
    return found


def _counted(cells: NDArray[np.uint32]) -> float:
    """Return how many cells there are; those of which is little hardly count (inverse of Simpson's index)."""
    counts = np.unique(cells[cells > 0], return_counts=True)[1].astype(np.float64)
    return float(counts.sum() ** 2 / (counts**2).sum()) if len(counts) else 0.0


def _measured(blocks: _Blocks, core: NDArray[np.bool_]) -> tuple[Gap, float, NDArray[np.bool_]]:
    """Return a gap without its place, how much of its surface is the border, and its surroundings."""
    import edt

    def near(mask: NDArray[np.bool_], reach: float) -> NDArray[np.bool_]:
        away = edt.edt(~mask, anisotropy=blocks.spacing, black_border=False)
        return np.asarray(away <= reach * blocks.across + _ROUND)

    what = blocks.what
    inside = core | ((what == _OPEN) & near(core, _LEFT))
    area = closed = border = 0.0
    for axis, edge in enumerate(blocks.spacing):
        low, high = (
            tuple(part if i == axis else slice(None) for i in range(3)) for part in (slice(None, -1), slice(1, None))
        )
        # Pieces are cut out with a margin, so that only the stack's border is so near.
        border += float(np.count_nonzero(inside.take([0, -1], axis))) / edge
        for here, there in ((low, high), (high, low)):
            behind = what[there][inside[here] & ~inside[there]]
            area += len(behind) / edge
            closed += float(np.count_nonzero(behind >= _SOLID)) / edge
    around = near(inside, _AROUND) & ~inside & (what != _SOLID)
    among = np.count_nonzero(what[around] == _CELL) / max(1, int(np.count_nonzero(around)))
    gap = Gap((0, 0, 0), np.count_nonzero(inside) / blocks.typical, closed / (area or 1.0), among)
    return gap, border / (area + border), around


def _middle(block: Place, step: Place, shape: Place) -> Place:
    z, y, x = (min(i * by + by // 2, n - 1) for i, by, n in zip(block, step, shape, strict=True))
    return z, y, x
