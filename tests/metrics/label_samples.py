"""Small labels that the tests of scores share."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

any_labels = arrays(np.uint32, (3, 4, 5), elements=st.integers(0, 4))


def row_of_cells(sizes):
    """Cells 0 (background), 1, 2, ... side by side along x, each as long as its size says."""
    cells = np.repeat(np.arange(len(sizes)), sizes).astype(np.uint32)
    return np.broadcast_to(cells, (4, 4, cells.size)).copy()
