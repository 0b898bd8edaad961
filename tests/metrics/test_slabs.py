"""Slabs cover an array once, with the margin asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.metrics import slabs


@given(length=st.integers(0, 30), halo=st.integers(0, 4), voxels=st.integers(1, 50))
def test_cores_cover_every_plane_once_and_lie_inside_their_margin(length, halo, voxels):
    seen = np.zeros(length, int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slabs, "SLAB_VOXELS", voxels)
        for slab, core in slabs.slabs((length, 2, 3), halo):
            planes = np.arange(length)[slab]
            seen[planes[core]] += 1
            low, high = planes[core][0], planes[core][-1]
            assert planes[0] == max(0, low - halo)
            assert planes[-1] == min(length - 1, high + halo)
    assert (seen == 1).all()
