from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_scutoid.progress import Progress, drain
from napari_scutoid.steps.rescale import labels_to_shape
from napari_scutoid.steps.resnap import Resnapped, resnapping
from napari_scutoid.volume import Labels, Volume, VoxelSize

COARSE, FINE = (5, 6, 12), (20, 24, 48)


def tissue(shape=FINE, *, wall_at=18, outside_from=38):
    """Two cells that meet at a plane across x, and the outside; the walls are bright, one voxel on each side."""
    x = np.arange(shape[2])
    cells = np.where(x < wall_at, 3, np.where(x < outside_from, 8, 0))
    walls = np.isin(x, (wall_at - 1, wall_at, outside_from - 1, outside_from))
    image = np.broadcast_to(np.where(walls, 1000.0, np.where(cells > 0, 100.0, 50.0)), shape)
    return np.broadcast_to(cells, shape).astype(np.uint32), Volume(image.astype(np.float32), VoxelSize(0.2, 0.1, 0.1))


def coarse_of(labels):
    return labels_to_shape(Labels(labels), COARSE, method="voting")


def test_boundaries_come_to_lie_on_the_membranes() -> None:
    truth, image = tissue()
    coarse = coarse_of(truth)
    near = labels_to_shape(coarse, FINE).data
    made = drain(resnapping(coarse, image))
    # Both walls lie two voxels beside the coarse boundary.
    assert (near != truth).mean() == pytest.approx(4 / 48)
    assert (made.data != truth).mean() <= 2 / 48
    assert (made.shape, made.voxel_size_um, made.origin_um) == (FINE, image.voxel_size_um, image.origin_um)
    assert made.data.dtype == np.uint32


def test_where_no_membrane_is_seen_the_coarse_boundary_is_smoothed() -> None:
    coarse = Labels(np.where(np.arange(6)[:, None] + np.arange(6) < 6, 1, 2)[None].repeat(3, 0).astype(np.uint32))
    made = drain(resnapping(coarse, Volume(np.full((12, 24, 24), 7, np.uint16)))).data[6]
    y, x = np.indices((24, 24))
    exact = np.where(x + y < 25, 1, 2)
    assert (made != exact)[(abs(x + y - 25) > 3) & (x > 2) & (y > 2)].sum() == 0
    near = labels_to_shape(coarse, (12, 24, 24)).data[6]
    assert (made != exact).sum() < (near != exact).sum() * 0.7


def test_a_lumen_full_of_stain_keeps_its_boundary_and_a_dark_one_moves() -> None:
    truth, image = tissue()
    lumen = truth == 0
    cells = coarse_of(truth).data
    coarse = Labels(cells, lumen=cells == 0)
    dark = drain(resnapping(coarse, image))
    assert (dark.lumen != lumen).mean() <= 1 / 48
    bright = image.with_data(np.where(lumen, np.float32(5000), image.data), "filled")
    filled = drain(resnapping(coarse, bright))
    assert filled.lumen is not None
    assert ((filled.data > 0) ^ filled.lumen).all()
    near = labels_to_shape(coarse, FINE)
    assert near.lumen is not None
    assert (filled.lumen != near.lumen).mean() < 0.01


def test_it_is_the_same_in_pieces_and_read_lazily() -> None:
    rng = np.random.default_rng(0)
    coarse = Labels(rng.integers(0, 4, (6, 7, 8)).repeat(2, 0).repeat(2, 1).repeat(2, 2).astype(np.uint32))
    image = Volume(rng.random((36, 42, 48)).astype(np.float32))
    whole = drain(resnapping(coarse, image)).data
    pieces = Resnapped(coarse, image, tile=(16, 16, 16))
    assert pieces.chunks == (16, 16, 16)
    some = pieces[3:30, 17:18, 5:]
    np.testing.assert_array_equal(some, pieces[:, :, :][3:30, 17:18, 5:])
    assert (some != whole[3:30, 17:18, 5:]).mean() < 0.01


def test_progress_is_told_once_a_tile() -> None:
    truth, image = tissue()
    told: list[Progress] = []
    drain(resnapping(coarse_of(truth), image, tile=(10, 24, 48)), told.append)
    assert [(one.done, one.total) for one in told] == [(0, 2), (1, 2)]


def test_what_does_not_fit_is_refused() -> None:
    coarse = Labels(np.ones((4, 4, 4), np.uint32))
    with pytest.raises(ValueError, match=r"image has shape \(3, 8, 8\), which is coarser"):
        Resnapped(coarse, Volume(np.zeros((3, 8, 8))))
    with pytest.raises(ValueError, match="band must be above 0 and at most 1"):
        Resnapped(coarse, Volume(np.zeros((8, 8, 8))), band=1.5)


@st.composite
def cases(draw):
    coarse = draw(arrays.arrays(np.uint32, (3, 4, 4), elements=st.sampled_from([0, 0, 1, 2, 3, 4_000_000_000])))
    lumen = draw(st.none() | arrays.arrays(np.bool_, (3, 4, 4)))
    shape = draw(st.tuples(st.integers(3, 9), st.integers(4, 10), st.integers(4, 13)))
    image = draw(arrays.arrays(np.uint8, shape))
    return Labels(coarse, lumen=lumen), Volume(image), draw(st.sampled_from([0.3, 0.7, 1.0]))


@settings(max_examples=60)
@given(cases())
def test_no_cell_vanishes_and_none_changes_outside_the_band(case) -> None:
    coarse, image, band = case
    made = drain(resnapping(coarse, image, band=band))
    near = labels_to_shape(coarse, image.shape)
    assert set(np.unique(made.data)) - {0} == set(np.unique(coarse.data)) - {0}
    regions = coarse.data.astype(np.int64)
    if coarse.lumen is not None and made.lumen is not None:
        regions[coarse.lumen & (regions == 0)] = -1
        assert not (made.lumen & (made.data > 0)).any()
    ratios = np.divide(coarse.shape, image.shape)
    for at in np.argwhere(made.data != near.data):
        place = (at + 0.5) * ratios
        own = regions[tuple(np.minimum(place.astype(int), np.subtract(coarse.shape, 1)))]
        others = np.argwhere(regions != own)
        gap = np.maximum(0, np.abs(others + 0.5 - place) - 0.5)
        assert np.sqrt((gap**2).sum(axis=1).min()) <= band + 1e-6
