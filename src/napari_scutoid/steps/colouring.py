"""Colours by which neighbours can be told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    kept = before or {}
    colours: dict[int, int] = {}
    cells_of = [0] * n_colours
    # Those that had a colour come first, so that the others give way to them.
    for cell in sorted(ids, key=lambda i: (i not in kept, -len(neighbours[i]), i)):
        taken = [0] * n_colours
        for other in neighbours[cell]:
            if other in colours:
                taken[colours[other]] += 1
        own = kept.get(cell)
        if own is None or own >= n_colours or taken[own]:
            own = min(range(n_colours), key=lambda colour: (taken[colour], cells_of[colour], colour))
        colours[cell] = own
        cells_of[own] += 1
    return colours
