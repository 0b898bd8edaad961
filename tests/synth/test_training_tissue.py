"""Random training stacks: every factor can be switched off by name, and real cells keep their size."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_scutoid.synth.forms import FORM_FACTORS, KINDS, Form
from napari_scutoid.synth.optics import MOST_NOISE, OPTICS_FACTORS, Optics
from napari_scutoid.synth.real import real_geometry
from napari_scutoid.synth.tissue import FACTORS, synthesise, training_tissue

SHAPE = (16, 48, 48)
SEEDS = range(8)
BLOCK = 10


def blocks(n=12):
    """Cubic cells, with a margin of the outside under an id of its own."""
    ids = np.arange(2, n**3 + 2, dtype=np.uint32).reshape(n, n, n)
    cells = ids.repeat(BLOCK, 0).repeat(BLOCK, 1).repeat(BLOCK, 2)
    return np.pad(cells, ((60, 0), (0, 0), (0, 0)), constant_values=1)


@cache
def made(seed, *without):
    tissue = training_tissue(seed, shape=SHAPE, real=(blocks(),), without=without)
    return np.asarray(tissue.image.data), tissue.labels.data


def test_the_same_seed_gives_the_same_stack():
    for seed in (1, 2):
        again = training_tissue(seed, shape=SHAPE, real=(blocks(),))
        np.testing.assert_array_equal(again.image.data, made(seed)[0])
        np.testing.assert_array_equal(again.labels.data, made(seed)[1])
    assert not np.array_equal(made(1)[1], made(2)[1])


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 100_000))
def test_cells_are_one_piece_numbered_without_gaps_and_there_are_some(seed):
    labels = training_tissue(seed, shape=SHAPE, real=(blocks(),)).labels.data
    ids = np.unique(labels)
    assert ids[-1] > 0
    assert ids.tolist() == list(range(int(ids[0]), int(ids[0]) + len(ids)))
    for cell in ids[ids > 0]:
        assert ndimage.label(labels == cell)[1] == 1


def test_a_stack_without_a_shape_has_about_a_million_voxels():
    shape = training_tissue(5).image.shape
    assert 0.5e6 < np.prod(shape) < 1.5e6


@pytest.mark.parametrize("factor", FACTORS)
def test_each_factor_makes_a_difference(factor):
    assert any(not np.array_equal(made(seed, factor)[0], made(seed)[0]) for seed in SEEDS)


@pytest.mark.parametrize("factor", OPTICS_FACTORS)
def test_optics_leave_the_cells_alone(factor):
    np.testing.assert_array_equal(made(0, factor)[1], made(0)[1])


@pytest.mark.parametrize("factor", FORM_FACTORS)
def test_a_form_without_a_factor_is_otherwise_as_drawn(factor):
    for kind in KINDS:
        all_of_it, without = (
            asdict(Form.random(kind, np.random.default_rng(4), cell_diameter=20, z_step=2, without=names))
            for names in ((), (factor,))
        )
        held = dict(FORM_FACTORS[factor])
        assert without == all_of_it | held


@pytest.mark.parametrize("factor", OPTICS_FACTORS)
def test_optics_without_a_factor_are_otherwise_as_drawn(factor):
    all_of_it, without = (asdict(Optics.random(np.random.default_rng(4), without=names)) for names in ((), (factor,)))
    assert without == all_of_it | dict(OPTICS_FACTORS[factor])


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), diameter=st.floats(5, 40), z_step=st.floats(0.4, 6))
def test_optics_stay_within_what_a_person_can_outline(seed, diameter, z_step):
    optics = Optics.random(np.random.default_rng(seed), cell_diameter=diameter, z_step=z_step)
    width = diameter * z_step ** (1 / 3)
    assert 0.5 <= 2.355 * optics.thickness <= 10.1
    assert optics.blur * max(1.0, optics.axial) <= 0.1401 * width
    assert np.hypot(optics.photons**-0.5, optics.read_noise) <= MOST_NOISE * 1.001
    assert min(asdict(optics).values()) >= 0


def test_the_noise_stated_is_that_of_the_finished_stack():
    quiet = {"photons": 1e9, "read_noise": 0.0, "cytoplasm": 0.0, "background": 0.2, "lumen_fill": 0.0, "debris": 0}
    quiet |= {"attenuation": 1.0, "unevenness": 0.0, "stripes": 0.0, "halo": 0.0, "gamma": 1.0, "saturation": 0.0}
    quiet |= {"exposure": 1.0, "full_scale": 65535, "puncta": 0.0, "crosstalk": 0.0, "apical": 1.0, "regrid": 0.0}
    spread = []
    for smoothing in ({"coarse_z": 1.0, "coarse_xy": 1.0}, {"coarse_z": 2.0, "coarse_xy": 1.6}, {"regrid": 0.7}):
        settings = quiet | {"coarse_z": 1.0, "coarse_xy": 1.0} | smoothing
        clean, noisy = (
            np.asarray(synthesise("cyst", (24, 48, 48), 3, optics=settings | {"read_noise": n}).image.data, float)
            for n in (0.0, 0.1)
        )
        outside = synthesise("cyst", (24, 48, 48), 3).labels.data == 0
        far = ndimage.binary_erosion(outside, iterations=6)
        # Brightness per grey value, from the finished stack itself: its darkest and brightest voxels moved too.
        scale = np.polyfit(clean.ravel(), noisy.ravel(), 1)[0]
        spread.append(noisy[far].std() / scale / clean.max())
    assert max(spread) < 1.25 * min(spread)


def test_real_cells_have_the_size_asked_for_and_the_outside_is_none():
    volume = blocks()
    for seed in range(3):
        view = real_geometry(volume, (40, 72, 72), np.random.default_rng(seed), cell_diameter=14, z_step=1.5)
        labels = view.labels
        border = np.ones(labels.shape, bool)
        border[1:-1, 1:-1, 1:-1] = False
        sizes = np.bincount(labels.ravel())
        # Cells cut by the view's border, or doubled by the mirror at the volume's own, are no measure.
        inner = np.setdiff1d(np.unique(labels), np.unique(labels[border]))
        inner = inner[inner > 0]
        assert (6 * np.median(sizes[inner]) / np.pi) ** (1 / 3) == pytest.approx(14, rel=0.1)
        expected = np.count_nonzero(labels) / np.median(sizes[inner])
        assert expected * 0.9 < labels.max() < expected * 2.2
        assert not view.lumen.any()


def test_real_labels_must_be_three_dimensional_and_hold_cells():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"axes \(z, y, x\)"):
        real_geometry(np.ones((4, 4), int), (8, 8, 8), rng, cell_diameter=8, z_step=1)
    with pytest.raises(ValueError, match="hold no cell"):
        real_geometry(np.zeros((4, 4, 4), int), (8, 8, 8), rng, cell_diameter=8, z_step=1)


def test_unknown_factors_and_small_shapes_are_named():
    with pytest.raises(ValueError, match="no factor is called fog"):
        training_tissue(0, without=("fog", "noise"))
    with pytest.raises(ValueError, match="at least 8 voxels"):
        training_tissue(0, shape=(4, 32, 32))


def test_a_cell_as_large_as_the_largest_has_a_place() -> None:
    # The squares of equal radii once differed in their last digit, and the root of that was no number.
    assert training_tissue(204).labels.data.max() > 10
