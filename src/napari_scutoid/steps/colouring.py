"""Colours by which neighbours can be told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps

STEP = "Choosing colours"


def colouring(
    labels: NDArray[np.unsignedinteger], n_colours: int, before: Mapping[int, int] | None = None
) -> Steps[dict[int, int]]:
    """Give each cell a colour that none of the cells has that it touches.

    Greedy colouring of the graph of contacts, cells with the most neighbours first [1]_. Of the colours that are free,
    the one with the fewest cells is taken, so that all are used. A cell with more neighbours than there are colours
    takes the one that the fewest of these have.

    Parameters
    ----------
    labels : ndarray of unsigned integers, shape (z, y, x)
        One id per cell, 0 elsewhere.
    n_colours : int
        At least 1.
    before : mapping of int to int, optional
        Colours of cells that had one; they keep it where no neighbour has it.

    Returns
    -------
    dict of int to int
        Colour of each cell, 0 to ``n_colours - 1``.

    References
    ----------
    .. [1] D. J. A. Welsh and M. B. Powell (1967), An upper bound for the chromatic number of a graph and its
           application to timetabling problems, The Computer Journal 10(1):85-86.
    """
    import cc3d

    if n_colours < 1:
        raise ValueError(f"n_colours must be at least 1, not {n_colours}")
    yield Progress(STEP)
    ids = [int(i) for i in np.unique(labels) if i]
    yield Progress(STEP)
    neighbours: dict[int, set[int]] = {i: set() for i in ids}
    for a, b in cc3d.contacts(np.ascontiguousarray(labels), connectivity=26):
        if a and b:
            neighbours[int(a)].add(int(b))
            neighbours[int(b)].add(int(a))
    yield Progress(STEP)
    return colours_of(neighbours, n_colours, before)


def colours_of(
    neighbours: Mapping[int, Collection[int]], n_colours: int, before: Mapping[int, int] | None = None
) -> dict[int, int]:
    """Give each cell a colour, as `colouring` does, where it is known which cells touch.

    Parameters
    ----------
    neighbours : mapping of int to collection of int
        Of each cell, the cells that it touches.
    n_colours : int
        At least 1.
    before : mapping of int to int, optional
        Colours of cells that had one; they keep it where no neighbour has it.
    """
    kept = before or {}
    colours: dict[int, int] = {}
    cells_of = [0] * n_colours
    # Those that had a colour come first, so that the others give way to them.
    for cell in sorted(neighbours, key=lambda i: (i not in kept, -len(neighbours[i]), i)):
        own = _colour_of(neighbours[cell], colours, cells_of, kept.get(cell))
        colours[cell] = own
        cells_of[own] += 1
    return colours


def recoloured(
    cells: Iterable[int],
    neighbours: Callable[[int], Collection[int]],
    n_colours: int,
    before: Mapping[int, int],
) -> dict[int, int]:
    """Return the colours of those of some cells that need another one, after an edit changed these.

    Parameters
    ----------
    cells : iterable of int
        What the edit changed; no other cell gets another colour.
    neighbours : callable
        Returns the cells that a cell touches.
    n_colours : int
        At least 1.
    before : mapping of int to int
        Colours of all cells that had one.
    """
    colours = dict(before)
    fresh = sorted(cells, key=lambda cell: (cell not in before, cell))
    for cell in fresh:
        colours.pop(cell, None)
    cells_of = [0] * n_colours
    for colour in colours.values():
        cells_of[colour] += 1
    for cell in fresh:
        colours[cell] = _colour_of(neighbours(cell), colours, cells_of, before.get(cell))
        cells_of[colours[cell]] += 1
    return {cell: colours[cell] for cell in fresh if before.get(cell) != colours[cell]}


def _colour_of(
    neighbours: Iterable[int], colours: Mapping[int, int], cells_of: Sequence[int], before: int | None
) -> int:
    taken = [0] * len(cells_of)
    for other in neighbours:
        if other in colours:
            taken[colours[other]] += 1
    if before is not None and before < len(taken) and not taken[before]:
        return before
    return min(range(len(taken)), key=lambda colour: (taken[colour], cells_of[colour], colour))
