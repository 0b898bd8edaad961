"""The gate: noise is empty, tissue never is, and doubt counts as tissue."""

import numpy as np
import pytest

from napari_scutoid.network.gate import find_tissue
from napari_scutoid.network.tiles import Box
from napari_scutoid.progress import Progress, drain
from napari_scutoid.synth.tissue import synthesise

SHAPE = (24, 96, 96)
DIAMETER = 8.0


def noise(shape=SHAPE, level=100.0, sigma=3.0, seed=0):
    return np.random.default_rng(seed).normal(level, sigma, shape)


def lattice(shape=SHAPE, cell=10, wall=30.0):
    """Return walls two voxels thick around cubic cells."""
    z, y, x = np.indices(shape)
    return wall * ((z % cell < 2) | (y % cell < 2) | (x % cell < 2))


def mask_of(data, diameter=DIAMETER, threshold=3.0):
    return drain(find_tissue(data, diameter, threshold)).mask


def half_tissue(seed=0):
    data = noise(seed=seed)
    data[:, :, :40] += lattice((24, 96, 40))
    return data


def test_walls_are_tissue_and_noise_is_empty():
    mask = mask_of(half_tissue())
    assert mask[:, :, :10].all()
    assert not mask[:, :, 18:].any()


@pytest.mark.parametrize(("gain", "offset"), [(1e-3, 0.0), (200.0, 0.0), (1.0, 30000.0)])
def test_gain_and_offset_do_not_matter(gain, offset):
    data = half_tissue()
    assert np.array_equal(mask_of((data * gain + offset).astype(np.float32)), mask_of(data))


def test_haze_is_empty():
    data = half_tissue()
    data += np.linspace(0, 60, 96)[:, None]
    assert not mask_of(data)[:, :, 18:].any()


def test_a_stack_full_of_tissue_is_never_skipped():
    data = noise() + lattice()
    assert mask_of(data).all()
    assert mask_of(noise(sigma=12.0) + lattice()).all()


def test_a_stack_full_of_tissue_that_fades_with_depth_is_never_skipped():
    data = noise() + lattice() * np.linspace(1, 0.1, 24)[:, None, None] * 4
    assert mask_of(data).all()


def test_dark_interiors_and_lumina_are_tissue():
    data = noise((40, 120, 120))
    _, y, x = np.indices(data.shape)
    radius = np.hypot(y - 60, x - 60)
    data += 40.0 * (np.abs(radius - 38) < 2)
    mask = mask_of(data)
    assert mask[:, 15, 15].all()
    assert not mask[:, 0, 0].any()


def test_blanked_voxels_are_empty_but_saturated_ones_are_not():
    data = half_tissue()
    data[:, :, 56:] = 0  # the step itself is structure
    assert not mask_of(data)[:, :, 20:].any()
    data[:, :, 56:] = 1000
    assert mask_of(data)[:, :, 20:].all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 50, 7), (13, 17, 19), (5, 64, 64)])
def test_any_shape(shape):
    mask = mask_of(noise(shape) + lattice(shape))
    assert mask.shape == tuple(-(-size // min(4, size)) for size in shape)


def test_an_empty_stack_is_empty():
    assert not mask_of(np.zeros(SHAPE, np.uint8)).any()


def test_slabs_do_not_matter_and_are_reported():
    data = half_tissue()[:23].astype(np.float32)

    class Lazy:
        shape, dtype, chunks = data.shape, data.dtype, (3, 96, 96)

        def __getitem__(self, key):
            assert data[key].nbytes <= 20 * 2**20
            return data[key]

    reports = []
    tissue = drain(find_tissue(Lazy(), DIAMETER, 3.0), reports.append)
    assert np.array_equal(tissue.mask, mask_of(data))
    assert reports[-1] == Progress("Looking for tissue", 23, 23)


def test_a_box_touches_what_it_reaches_into():
    tissue = drain(find_tissue(half_tissue(), DIAMETER, 3.0))
    edge = 4 * (int(np.flatnonzero(tissue.mask.any(axis=(0, 1)))[-1]) + 1)
    assert tissue.touches(Box((0, 0, edge - 1), (24, 96, 96)))
    assert not tissue.touches(Box((0, 0, edge), (24, 96, 96)))


@pytest.mark.parametrize("kind", ["gland", "packed"])
def test_no_synthetic_cell_is_lost(kind):
    tissue = synthesise(kind, (32, 96, 96), 5, cell_diameter=12)
    mask = mask_of(tissue.image.data, diameter=12)
    kept = np.kron(mask, np.ones((4, 4, 4), dtype=bool))
    assert kept[tissue.labels.data > 0].all()
