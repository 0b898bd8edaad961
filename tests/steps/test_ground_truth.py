"""Targets against answers by hand, scikit-image and SciPy; valid just where ignored voxels cannot change them."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import binary_dilation, distance_transform_edt
from skimage.measure import label
from skimage.segmentation import find_boundaries

from napari_scutoid.steps.ground_truth import (
    TARGETS,
    boundary_target,
    distance_target,
    foreground_target,
    make_target,
    seed_target,
    semantic_target,
)

shapes = array_shapes(min_dims=3, max_dims=3, max_side=7)
label_arrays = arrays(np.uint16, shapes, elements=st.integers(0, 3))
# Grown from coarse noise: cells thick enough to have an inside.
blocky = arrays(np.uint16, array_shapes(min_dims=3, max_dims=3, max_side=4), elements=st.integers(0, 3)).map(
    lambda coarse: coarse.repeat(3, 0).repeat(3, 1).repeat(3, 2)
)
names = st.sampled_from(sorted(TARGETS))
SPACING = (2.0, 1.0, 0.5)
PER_CELL = ("relative_distance", "seeds")
"""Targets that depend on all of a cell."""


def row(*ids: int) -> np.ndarray:
    return np.array([[ids]], np.uint16)


def two_cells() -> np.ndarray:
    labels = np.zeros((5, 7, 12), np.uint16)
    labels[1:4, 1:6, 1:6], labels[1:4, 1:6, 6:11] = 3, 8
    return labels


def test_foreground_is_all_cells():
    assert foreground_target(row(0, 5, 5, 9, 0)).values.tolist() == [[[False, True, True, True, False]]]


def test_touching_cells_come_apart_and_free_surfaces_stay():
    target, separation = semantic_target(two_cells())
    assert target.values[2, 3].tolist() == [False, *[True] * 4, False, False, *[True] * 4, False]
    assert target.valid is None
    assert (separation.n_before, separation.n_after) == (2, 2)
    assert separation.vanished == separation.merged == separation.split == ()


def test_inner_mode_leaves_out_the_free_surfaces_too():
    target, _ = semantic_target(two_cells(), "inner")
    assert target.values[2, 3].tolist() == [False, False, *[True] * 3, False, False, *[True] * 3, False, False]
    assert not target.values[[0, 1, 3, 4]].any()


def test_a_cell_that_is_all_boundary_vanishes():
    labels = np.ones((3, 3, 9), np.uint16)
    labels[..., 4:6] = 2
    labels[..., 6:] = 70
    _, separation = semantic_target(labels)
    assert separation.vanished == (2,)
    assert (separation.n_before, separation.n_after) == (3, 2)


def test_a_slanted_wall_leaks_at_corners_where_only_faces_count():
    labels = np.where(np.indices((6, 6, 6)).sum(axis=0) < 8, 4, 6)
    _, separation = semantic_target(labels, connectivity=1)
    assert separation.merged == ((4, 6),)
    assert (separation.n_before, separation.n_after) == (2, 1)
    assert semantic_target(labels, connectivity=2)[1].merged == ()


def test_a_cell_with_a_waist_is_split():
    labels = np.full((3, 7, 9), 2, np.uint16)
    labels[:, 2:5, :3] = labels[:, 2:5, 6:] = labels[:, 3, 3:6] = 1  # two rooms and a corridor of one voxel's width
    _, separation = semantic_target(labels)
    assert separation.split == (1,)
    assert separation.n_after == separation.n_before + 1


@given(labels=label_arrays | blocky, connectivity=st.integers(1, 3), mode=st.sampled_from(["inner", "outer", "thick"]))
def test_insides_equal_scikit_image(labels, mode, connectivity):
    target, separation = semantic_target(labels, mode, connectivity)
    expected = (labels > 0) & ~find_boundaries(labels, mode=mode, connectivity=connectivity)
    assert np.array_equal(target.values, expected)
    assert separation.n_before == label(labels).max()
    assert separation.n_after == label(target.values).max()


@given(labels=label_arrays | blocky)
def test_with_the_laboratorys_mode_each_piece_belongs_to_one_cell(labels):
    target, separation = semantic_target(labels)
    pieces = label(target.values)
    pairs = np.unique(np.stack([pieces[target.values], labels[target.values]]), axis=1)
    assert pairs.shape[1] == separation.n_after
    assert separation.merged == ()
    assert set(separation.vanished) == set(np.unique(labels[labels > 0])) - set(pairs[1])


@given(labels=label_arrays | blocky, connectivity=st.integers(1, 3))
def test_the_report_adds_up(labels, connectivity):
    target, separation = semantic_target(labels, connectivity=connectivity)
    pieces = label(target.values)
    holds = [np.unique(labels[pieces == piece]).tolist() for piece in range(1, pieces.max() + 1)]
    assert sorted(separation.merged) == sorted(tuple(ids) for ids in holds if len(ids) > 1)
    before = {cell: label(labels == cell).max() for cell in np.unique(labels[labels > 0])}
    after = {cell: sum(cell in ids for ids in holds) for cell in before}
    assert separation.split == tuple(cell for cell in before if after[cell] > before[cell])
    assert separation.vanished == tuple(cell for cell in before if after[cell] == 0)


def test_boundaries_are_two_voxels_thick():
    target = boundary_target(row(0, 0, 0, 5, 5, 5, 5, 9, 9, 9))
    assert np.flatnonzero(target.values).tolist() == [2, 3, 6, 7]
    assert target.values.dtype == bool


@given(labels=label_arrays)
def test_sharp_boundaries_equal_scikit_image(labels):
    assert np.array_equal(make_target("boundary", labels).values, find_boundaries(labels, mode="thick", connectivity=1))


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ((1.0, 1.0, 1.0), {0: range(7, 11), 1: range(7, 11), 2: range(7, 11)}),
        ((3.0, 1.0, 1.0), {0: range(8, 10), 1: range(7, 11), 2: range(7, 11)}),
        ((9.0, 3.0, 1.5), {0: range(8, 10), 1: range(8, 10), 2: range(7, 11)}),
    ],
)
def test_thicker_boundaries_grow_in_space_not_in_voxels(spacing, expected):
    for axis, marked in expected.items():
        labels = np.ones((18, 18, 18), np.uint16)
        labels.swapaxes(0, axis)[9:] = 2
        values = boundary_target(labels, 4, spacing=spacing).values
        assert np.flatnonzero(values.swapaxes(0, axis)[:, 5, 5]).tolist() == list(marked)


def test_blurred_boundaries_fall_off_alike_in_space():
    labels = np.ones((24, 24, 24), np.uint16)
    along_x, along_z = labels.copy(), labels.copy()
    along_x[..., 12:] = along_z[12:] = 2
    by_x = boundary_target(along_x, blur=2.0, spacing=(2.0, 1.0, 1.0)).values
    by_z = boundary_target(along_z, blur=2.0, spacing=(2.0, 1.0, 1.0)).values
    assert by_x.dtype == np.float32
    assert 0 <= by_x.min() and by_x.max() <= 1
    # Two voxels of height 1 under a Gaussian of 2 voxels along x, of 1 voxel along z; the tails are cut at 4 sigma.
    assert by_x[0, 0, 12] == pytest.approx(0.3742, abs=2e-3)
    assert by_z[12, 0, 0] == pytest.approx(0.6408, abs=2e-3)
    assert np.all(np.diff(by_x[0, 0, 12:]) <= 0)


@given(value=st.integers(1, 5), shape=shapes, name=names)
def test_the_stacks_border_is_no_boundary(value, shape, name):
    target = make_target(name, np.full(shape, value, np.uint16), SPACING)
    if "boundary" in name:
        assert not target.values.any()
    elif name in ("distance", *PER_CELL):
        assert target.valid is not None and not target.valid.any()
    else:
        assert target.values.all()


def test_distances_honour_the_voxels_edges():
    labels = np.zeros((5, 5, 9), np.uint16)
    labels[1:4, 1:4, 1:8] = 1
    values = distance_target(labels, (3.0, 2.0, 1.0)).values
    assert values[2, 2].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0, 0.0]
    assert distance_target(labels, (1.0, 2.0, 3.0)).values[2, 2].tolist() == [0.0, *[2.0] * 7, 0.0]


@given(labels=label_arrays, spacing=st.sampled_from([(1.0, 1.0, 1.0), SPACING]))
def test_distances_equal_scipy(labels, spacing):
    target = distance_target(labels, spacing)
    for cell in np.unique(labels):
        inside = labels == cell
        if cell == 0 or inside.all():
            assert not target.values[inside].any()
            continue
        np.testing.assert_allclose(target.values[inside], distance_transform_edt(inside, spacing)[inside], rtol=1e-5)


@given(labels=label_arrays)
def test_relative_distances_rise_to_one_in_each_cell(labels):
    absolute, relative = (distance_target(labels, SPACING, per_cell=per_cell) for per_cell in (False, True))
    for cell in np.unique(labels[labels > 0]):
        inside = labels == cell
        if absolute.valid is None:
            assert relative.values[inside].max() == pytest.approx(1)
            expected = absolute.values[inside] / absolute.values[inside].max()
            np.testing.assert_allclose(relative.values[inside], expected, rtol=1e-6)


def test_seeds_are_the_cores_of_cells():
    target = seed_target(row(0, 5, 5, 5, 5, 5, 5, 5, 0, 9, 9, 9, 0))
    # Depths 1 2 3 4 3 2 1 and 1 2 1: more than half of the largest.
    assert np.flatnonzero(target.values).tolist() == [3, 4, 5, 10]
    assert target.values.dtype == bool and target.valid is None


def test_seeds_are_deep_in_micrometres():
    labels = np.zeros((5, 9, 9), np.uint16)
    labels[1:4, 1:8, 1:8] = 1
    flat, cube = (seed_target(labels, spacing).values for spacing in ((1.0, 3.0, 3.0), (3.0, 1.0, 1.0)))
    assert np.flatnonzero(flat.any(axis=(1, 2))).tolist() == [2]  # depths 1 2 1 along z, whatever lies beside
    assert np.flatnonzero(cube[2, 4]).tolist() == [3, 4, 5]  # depths 1 2 3 4 3 2 1 along x


@given(labels=label_arrays | blocky, spacing=st.sampled_from([(1.0, 1.0, 1.0), SPACING]))
def test_each_cell_has_a_seed_and_seeds_lie_in_cells(labels, spacing):
    target = seed_target(labels, spacing)
    valid = np.ones(labels.shape, bool) if target.valid is None else target.valid
    assert not target.values[labels == 0].any()
    for cell in np.unique(labels[labels > 0]):
        inside = labels == cell
        assert target.values[inside & valid].any() or not valid[inside].any()


@given(labels=label_arrays, name=names, ids=st.permutations([1, 2, 3]))
def test_ids_do_not_matter(labels, name, ids):
    renamed = np.array([0, *ids], np.uint32)[labels] * np.uint32(1_400_000_000 if name in PER_CELL else 7)
    one, other = make_target(name, labels, SPACING), make_target(name, renamed, SPACING)
    assert np.array_equal(one.values, other.values)
    assert np.array_equal(one.valid is None, other.valid is None)


@given(
    labels=label_arrays | blocky,
    name=names,
    share=st.floats(0, 0.3),
    seed=st.integers(0, 99),
    spacing=st.sampled_from([(1.0, 1.0, 1.0), SPACING]),
)
def test_no_ignored_voxel_can_change_what_is_valid(labels, name, share, seed, spacing):
    rng = np.random.default_rng(seed)
    ignored = rng.random(labels.shape) < share
    told = make_target(name, labels, spacing, ignore=ignored)
    valid = np.ones(labels.shape, bool) if told.valid is None else told.valid
    assert not valid[ignored].any()
    ids = np.arange(5)
    if name in PER_CELL:  # a cell is one piece: it goes on only where it touches what is ignored
        ids = np.union1d(labels[binary_dilation(ignored, np.ones((3, 3, 3)))], [0, 4])
    for _ in range(3):
        truth = np.where(ignored, rng.choice(ids, labels.shape), labels)
        np.testing.assert_allclose(make_target(name, truth, spacing).values[valid], told.values[valid], rtol=1e-5)


@given(labels=label_arrays, name=names)
def test_an_id_is_ignored_as_its_mask(labels, name):
    by_id, by_mask = make_target(name, labels, ignore=2), make_target(name, labels, ignore=labels == 2)
    signed = make_target(name, np.where(labels == 2, -1, labels.astype(int)), ignore=-1)
    for other in (by_mask, signed):
        assert np.array_equal(by_id.values, other.values)
        assert np.array_equal(by_id.valid, other.valid)


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("foreground", [1, 1, 1, 1, 1, 1, 0, 0]),
        ("semantic", [1, 1, 1, 1, 1, 0, 0, 0]),
        ("boundary", [1, 1, 1, 1, 1, 0, 0, 0]),
        ("soft_boundary", [1, 0, 0, 0, 0, 0, 0, 0]),
        ("distance", [1, 1, 1, 1, 0, 0, 0, 0]),
        ("relative_distance", [1, 1, 0, 0, 0, 0, 0, 0]),
        ("seeds", [1, 1, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_how_far_ignored_voxels_reach(name, valid):
    target = make_target(name, row(0, 0, 1, 1, 1, 1, 9, 9), ignore=9)
    assert target.valid.ravel().tolist() == [bool(one) for one in valid]


def test_nothing_ignored_is_valid_everywhere():
    assert all(make_target(name, two_cells(), ignore=99).valid is None for name in TARGETS)


def test_the_page_names_every_target():
    page = (Path(__file__).resolve().parents[2] / "docs" / "ground_truth.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == sorted(TARGETS)


def test_targets_cannot_be_changed():
    with pytest.raises(TypeError):
        TARGETS["foreground"] = None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_target("membrane", two_cells()), "one of foreground, .*not 'membrane'"),
        (lambda: foreground_target(np.zeros((3, 4), int)), r"three axes.*\(3, 4\)"),
        (lambda: foreground_target(np.full((2, 2, 2), -1)), "0..4294967295"),
        (lambda: foreground_target(np.full((2, 2, 2), 0.5)), "whole numbers"),
        (lambda: foreground_target(two_cells(), ignore=np.ones((5, 7, 1), bool)), r"\(5, 7, 1\).*\(5, 7, 12\)"),
        (lambda: semantic_target(two_cells(), "subpixel"), "mode"),
        (lambda: boundary_target(two_cells(), 3), "even"),
        (lambda: boundary_target(two_cells(), 0), "even"),
        (lambda: boundary_target(two_cells(), blur=0.0), "blur"),
        (lambda: boundary_target(two_cells(), spacing=(1.0, 0.0, 1.0)), "positive"),
        (lambda: distance_target(two_cells(), (1.0, 1.0)), r"\(1.0, 1.0\)"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_glands_own_targets_are_met_as_far_as_labels_go(shared_data: Path):
    for file in sorted((shared_data / "glands").glob("salivary_WT_*.h5")):
        with h5py.File(file) as stack:
            labels, stored = stack["label"][:], stack["semantic_target"][:] > 0
        overlap = {}
        for mode in ("outer", "thick", "inner"):
            target, separation = semantic_target(labels, mode)
            overlap[mode] = (target.values & stored).sum() / (target.values | stored).sum()
            assert separation.merged == ()
        # The laboratory made its target before it resized it, with splines: labels cannot give it back.
        assert 0.63 <= overlap["outer"] <= 0.67
        assert 0.785 <= overlap["inner"] <= 0.815
        assert overlap["thick"] == overlap["inner"]
