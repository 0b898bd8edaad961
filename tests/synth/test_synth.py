"""Synthetic tissue: reproducible, true labels, and what each kind promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_scutoid.synth.camera import render
from napari_scutoid.synth.geometry import KINDS, Geometry
from napari_scutoid.synth.optics import Optics
from napari_scutoid.synth.tissue import CELL_DIAMETER_UM, synthesise

PLAIN = Optics(
    thickness=0.5,
    face_spread=0.0,
    missing=0.0,
    facing=1.0,
    patchiness=0.0,
    apical=4.0,
    basal=1.0,
    lumen_fill=0.0,
    cytoplasm=0.0,
    cell_spread=0.0,
    texture=0.0,
    background=0.0,
    nuclei=1.0,
    nucleus_size=0.5,
    bleed_through=0.0,
    puncta=0.0,
    debris=0,
    blur=0.3,
    axial=1.0,
    halo=0.0,
    scatter=0.0,
    attenuation=1.0,
    unevenness=0.0,
    photons=1e4,
    read_noise=0.0,
    stripes=0.0,
    crosstalk=0.0,
    coarse_z=1.0,
    coarse_xy=1.0,
    spline=1,
    regrid=0.0,
    gamma=1.0,
    saturation=0.0,
    exposure=1.0,
    full_scale=4095,
)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_voxels(kind):
    one, again = (synthesise(kind, (16, 40, 40), 5, cell_diameter=10) for _ in range(2))
    other = synthesise(kind, (16, 40, 40), 6, cell_diameter=10)
    np.testing.assert_array_equal(one.image.data, again.image.data)
    np.testing.assert_array_equal(one.labels.data, again.labels.data)
    assert not np.array_equal(one.image.data, other.image.data)


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 10_000),
    z_step=st.floats(0.4, 4),
    shape=st.tuples(st.integers(8, 24), st.integers(16, 40), st.integers(16, 40)),
)
def test_every_cell_is_one_piece_and_ids_have_no_gap(kind, seed, z_step, shape):
    labels = synthesise(kind, shape, seed, cell_diameter=9, z_step=z_step).labels
    ids = np.unique(labels.data)
    assert ids.tolist() == list(range(int(ids[0]), int(ids[0]) + len(ids)))
    assert labels.lumen is not None
    assert not (labels.lumen & (labels.data > 0)).any()
    for cell in ids[ids > 0]:
        assert ndimage.label(labels.data == cell)[1] == 1


def test_cells_have_the_diameter_asked_for():
    for diameter in (9.0, 14.0):
        labels = synthesise("packed", (40, 56, 56), 2, cell_diameter=diameter, z_step=1.5).labels.data
        inner = np.setdiff1d(
            labels, np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel(), labels[:, :, [0, -1]].ravel()])
        )
        voxels = np.bincount(labels.ravel())[inner[inner > 0]]
        assert (6 * voxels.mean() / np.pi) ** (1 / 3) == pytest.approx(diameter, rel=0.12)


def test_the_voxel_size_gives_a_typical_cell_its_micrometres():
    tissue = synthesise("cyst", (16, 32, 32), 1, cell_diameter=12, z_step=2.0)
    voxel = tissue.image.voxel_size_um
    assert voxel is not None
    assert voxel.z / voxel.x == pytest.approx(2.0)
    assert np.prod(voxel) ** (1 / 3) * 12 == pytest.approx(CELL_DIAMETER_UM)


def test_a_cyst_encloses_its_lumen():
    labels = synthesise("cyst", (40, 48, 48), 3, cell_diameter=9).labels
    assert labels.lumen is not None and labels.lumen.any()
    around = ndimage.binary_dilation(labels.lumen) & ~labels.lumen
    assert (labels.data[around] > 0).mean() > 0.99


def test_walls_are_bright_and_the_apical_side_brightest():
    labels = np.zeros((12, 12, 24), np.uint32)
    labels[:, :, 8:14], labels[:, :, 14:20] = 1, 2
    lumen = np.zeros(labels.shape, bool)
    lumen[:, :, :8] = True
    image = render(Geometry(labels, lumen, 1.0), PLAIN, np.random.default_rng(0)).astype(float)
    profile = image.mean(axis=(0, 1))
    apical, lateral, middle = profile[7:9].max(), profile[13:15].max(), profile[10:12].min()
    assert apical > 2.5 * lateral > 10 * middle
    assert profile[13] == pytest.approx(profile[14], rel=0.05)


@pytest.mark.parametrize(("scale", "dtype"), [(255, np.uint8), (4095, np.uint16), (65535, np.uint16)])
def test_the_camera_fills_its_range(scale, dtype):
    tissue = synthesise(
        "packed", (12, 24, 24), 1, cell_diameter=8, optics={"full_scale": scale, "saturation": 0.0, "exposure": 1.0}
    )
    image = np.asarray(tissue.image.data)
    assert image.dtype == dtype
    assert image.max() == scale


def test_missing_faces_are_dark():
    labels = np.repeat(np.arange(1, 41, dtype=np.uint32), 6)[None, None].repeat(8, 0).repeat(8, 1)
    lumen = np.zeros(labels.shape, bool)
    from dataclasses import replace

    optics = replace(PLAIN, missing=0.5)
    image = render(Geometry(labels, lumen, 1.0), optics, np.random.default_rng(1)).astype(float).mean(axis=(0, 1))
    walls = np.array([image[6 * i - 1 : 6 * i + 1].max() for i in range(1, 40)])
    dark = walls < 0.3 * walls.max()
    assert 0.25 < dark.mean() < 0.75


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "blob"}, "kind must be one of"),
        ({"shape": (4, 32, 32)}, "at least 8 voxels"),
        ({"cell_diameter": 1.0}, "cell_diameter must be at least 4"),
        ({"z_step": 0.0}, "z_step must lie between"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {"kind": "gland", "shape": (16, 32, 32), "seed": 0} | change
    with pytest.raises(ValueError, match=message):
        synthesise(**arguments)
