"""Moved samples: image and labels together, as bodies, and only what was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_scutoid.network.augment import Motion, augmented_patch, augmented_sample, draw_motion, moved_patch, rotation
from napari_scutoid.network.dataset import TrainingStack
from napari_scutoid.recipe.train import Augment

CHANGES = tuple(name for name in Augment.model_fields if "_" not in name)
IN_PLACE = ("brightness", "contrast", "gamma", "noise", "blur", "slices", "cutout")
WITHOUT_BOUND = {
    "rotate_angle": 0,
    "tilt_angle": 0,
    "zoom_range": 1,
    "shift_voxels": 0,
    "shear_range": 0,
    "elastic_voxels": 0,
    "brightness_range": 0,
    "contrast_range": 1,
    "gamma_range": 1,
    "noise_sigma": 0,
    "blur_sigma": 0,
    "slices_range": 0,
    "cutout_share": 0,
}
NEVER = dict.fromkeys(CHANGES, 0.0)
STILL = Motion(np.eye(3), np.zeros(3))


def stack(labels, image=None, known=None, spacing=(1.0, 1.0, 1.0)):
    labels = np.asarray(labels, np.uint32)
    image = labels if image is None else image
    return TrainingStack("", np.asarray(image, np.float32), labels, known, spacing, np.zeros((0, 3), np.intp))


def random_stack(shape, seed=0, **rest):
    rng = np.random.default_rng(seed)
    return stack(rng.integers(0, 9, shape), rng.random(shape), rng.random(shape) < 0.8, **rest)


def ball(shape, centre, radius, spacing=(1.0, 1.0, 1.0)):
    """A ball with a soft edge, so that its centroid does not depend on the grid."""
    distance = np.sqrt(
        sum((e * (i - c)) ** 2 for i, c, e in zip(np.indices(shape, np.float32), centre, spacing, strict=True))
    )
    soft = np.clip(radius + 0.5 - distance, 0, 1)
    return stack(soft > 0.5, soft, spacing=spacing)


def centroid(mass):
    return np.array([np.average(index, weights=mass) for index in np.indices(mass.shape)])


def moved(one, motion, patch=None):
    """The whole stack, or a patch in its middle."""
    shape = one.image.shape
    return moved_patch(one, [n // 2 for n in shape], patch or shape, motion)


def test_without_changes_a_patch_is_the_plain_cut():
    one = random_stack((12, 20, 24))
    image, labels, known = augmented_patch(one, (6, 9, 11), (4, 8, 6), Augment(**NEVER), np.random.default_rng(0))
    box = np.s_[4:8, 5:13, 8:14]
    np.testing.assert_array_equal(image, one.image[box])
    np.testing.assert_array_equal(labels, one.labels[box])
    np.testing.assert_array_equal(known, one.known[box])
    assert (image.dtype, labels.dtype, known.dtype) == (np.float32, np.uint32, np.bool_)


@pytest.mark.parametrize("seed", range(3))
def test_changes_without_a_bound_change_nothing(seed):
    one = random_stack((9, 12, 12))
    always = {**dict.fromkeys(CHANGES, 1.0), "flip": 0.0, "turn": 0.0}
    patch = augmented_patch(one, (2, 6, 8), (6, 8, 8), Augment(**always, **WITHOUT_BOUND), np.random.default_rng(seed))
    plain = augmented_patch(one, (2, 6, 8), (6, 8, 8), Augment(**NEVER), np.random.default_rng(seed))
    np.testing.assert_allclose(patch.image, plain.image, atol=1e-6)
    np.testing.assert_array_equal(patch.labels, plain.labels)
    np.testing.assert_array_equal(patch.known, plain.known)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.5, 0.5)])
def test_an_interpolation_that_moves_next_to_nothing_gives_the_same_voxels(spacing):
    one = random_stack((9, 40, 41), spacing=spacing)
    image, labels, known, inside = moved(one, Motion(np.eye(3), np.full(3, 1e-6)))
    np.testing.assert_allclose(image, one.image, atol=1e-4)
    np.testing.assert_array_equal(labels, one.labels)
    np.testing.assert_array_equal(known, one.known)
    assert inside.all()


@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    patch=st.tuples(*[st.integers(1, 14)] * 3),
    spacing=st.tuples(*[st.sampled_from([0.5, 1.0, 4.0])] * 3),
    seed=st.integers(0, 10_000),
    away=st.integers(-30, 30),
)
@settings(deadline=None, max_examples=60)
def test_any_shapes(shape, patch, spacing, seed, away):
    one = random_stack(shape, seed, spacing=spacing)
    always = Augment(**dict.fromkeys(CHANGES, 1.0))
    centre = [n // 2 + away for n in shape]
    first = augmented_patch(one, centre, patch, always, np.random.default_rng(seed))
    again = augmented_patch(one, centre, patch, always, np.random.default_rng(seed))
    for part, same in zip(first, again, strict=True):
        assert part.shape == patch
        assert part.flags.c_contiguous
        np.testing.assert_array_equal(part, same)
    assert np.isfinite(first.image).all()
    assert set(np.unique(first.labels)) <= {0, *np.unique(one.labels)}


@pytest.mark.parametrize("moving", [False, True])
def test_outside_the_stack_all_is_empty_and_unknown(moving):
    one = stack(np.full((4, 6, 6), 7), np.full((4, 6, 6), 0.5))
    settings = Augment(**{**NEVER, **dict.fromkeys(IN_PLACE, 1.0), "shift": float(moving)}, shift_voxels=1.0)
    patch = augmented_patch(one, (2, 3, 3), (10, 12, 12), settings, np.random.default_rng(1))
    assert 0 < patch.known.sum() <= one.labels.size
    np.testing.assert_array_equal(patch.labels, 7 * patch.known)
    assert not patch.image[~patch.known].any()
    assert patch.image[patch.known].all()


def test_a_patch_beside_the_stack_is_empty():
    one = random_stack((4, 6, 6))
    for motion in (STILL, Motion(rotation((1, 0, 0), 30), np.zeros(3))):
        for centre in ((-20, 3, 3), (2, 3, 50)):
            assert not any(part.any() for part in moved_patch(one, centre, (4, 4, 4), motion))


def test_a_border_keeps_its_intensity():
    one = stack(np.ones((5, 5, 5)), np.full((5, 5, 5), 0.5))
    image, _, known, _ = moved(one, Motion(np.eye(3), np.array([0, 0, 0.4])))
    assert known.all()
    np.testing.assert_allclose(image, 0.5)


def test_known_moves_with_the_labels():
    one = random_stack((9, 21, 21))
    hidden = stack(one.labels * one.known, one.image, one.known)
    _, labels, known, inside = moved(hidden, Motion(rotation((1, 1, 0), 25), np.array([0.3, -2, 1])))
    assert not labels[~known].any()
    assert known.sum() < inside.sum() < known.size


@pytest.mark.parametrize("shift", [(0, 0, 3), (0.5, -1.25, 2.75)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
def test_a_shift_moves_a_blob_by_as_much(shift, spacing):
    one = ball((21, 41, 41), (10, 20, 20), 6, spacing)
    image = moved(one, Motion(np.eye(3), np.array(shift)))[0]
    np.testing.assert_allclose(
        centroid(image) - centroid(one.image),
        np.array(shift) / spacing,
        atol=0.02,
        err_msg="shift in voxels of the plane",
    )


@pytest.mark.parametrize("shape", [(5, 21, 21), (5, 20, 20)])
def test_a_quarter_of_a_circle_is_a_quarter_turn(shape):
    one = random_stack(shape)
    image, labels, known, _ = moved(one, Motion(rotation((1, 0, 0), 90), np.zeros(3)))
    np.testing.assert_allclose(image, np.rot90(one.image, 1, (1, 2)), atol=1e-4)
    np.testing.assert_array_equal(labels, np.rot90(one.labels, 1, (1, 2)))
    np.testing.assert_array_equal(known, np.rot90(one.known, 1, (1, 2)))


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -2, 0.5)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 1.0, 1.0), (2.0, 0.5, 0.5)])
def test_a_blob_goes_where_the_matrix_says(axis, spacing):
    edges = np.array(spacing) / spacing[2]
    shape = tuple(int(2 * (24 // edge) + 1) for edge in edges)
    middle = (np.array(shape) - 1) / 2
    offset = np.array([2, -5, 4])
    one = ball(shape, middle + offset / edges, 9, edges)
    zoom_and_turn = 1.2 * rotation(axis, 40)
    image, labels, _, _ = moved(one, Motion(zoom_and_turn, np.array([1, 0, -2])))
    expected = middle + (zoom_and_turn @ offset + [1, 0, -2]) / edges
    np.testing.assert_allclose(centroid(image), expected, atol=0.1)
    # Labels stay whole, in voxels four times as high as wide too.
    np.testing.assert_allclose(centroid(labels), expected, atol=0.2)


@pytest.mark.parametrize("angle", [30, 75, 180])
def test_a_ball_stays_a_ball_where_voxels_are_flat(angle):
    spacing = (3.0, 1.0, 1.0)
    one = ball((17, 51, 51), (8, 25, 25), 14, spacing)
    image = moved(one, Motion(rotation((0.2, 1, 0.4), angle), np.zeros(3)))[0]
    assert np.abs(image - one.image).mean() < 0.02
    spread = [np.sqrt(np.average(((i - 25) * 1.0) ** 2, weights=image)) for i in np.indices(image.shape)[1:]]
    spread.append(3 * np.sqrt(np.average((np.indices(image.shape)[0] - 8) ** 2, weights=image)))
    np.testing.assert_allclose(spread, np.sqrt(14**2 / 5), rtol=0.05)


def test_zoom_scales_volumes():
    one = ball((31, 31, 31), (15, 15, 15), 8)
    for zoom in (0.7, 1.3):
        image = moved(one, Motion(zoom * np.eye(3), np.zeros(3)))[0]
        assert image.sum() / one.image.sum() == pytest.approx(zoom**3, rel=0.02)


def test_shear_keeps_volumes_and_the_sheared_along_axis():
    one = ball((21, 41, 41), (10, 20, 20), 6)
    rng = np.random.default_rng(0)
    for _ in range(5):
        motion = draw_motion((21, 41, 41), one.spacing, Augment(**{**NEVER, "shear": 1.0}, shear_range=1.0), rng)
        off = motion.matrix - np.eye(3)
        assert np.count_nonzero(off) == 1
        assert np.abs(off).max() <= 1
        assert moved(one, motion)[0].sum() / one.image.sum() == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (4.0, 1.0, 1.0)])
def test_bending_is_smooth_and_as_strong_as_stated(spacing):
    shape = (24, 64, 64)
    ramps = np.indices(shape).astype(np.float32)
    stated = Augment(**{**NEVER, "elastic": 1.0}, elastic_voxels=2.0, elastic_grid=16.0)
    rng = np.random.default_rng(0)
    shifts = []
    for _ in range(8):
        motion = draw_motion(shape, spacing, stated, rng)
        for axis, ramp in enumerate(ramps):
            # A ramp of its own voxel numbers tells where each voxel was taken from.
            image, _, _, inside = moved(stack(np.zeros(shape), ramp, spacing=spacing), motion)
            taken = np.where(inside & (image > 0) & (image < shape[axis] - 1), image - ramp, np.nan)
            shifts.append(taken * spacing[axis])
            assert np.nanmax(np.abs(np.diff(taken * spacing[axis], axis=2))) < 1
    assert np.nanstd(shifts) == pytest.approx(2.0, rel=0.2)


def test_flips_and_turn_are_exact():
    one = random_stack((4, 8, 8))
    image, labels, known, _ = moved(one, Motion(np.eye(3), np.zeros(3), flips=(True, False, True), turn=True))
    for part, whole in ((image, one.image), (labels, one.labels), (known, one.known)):
        np.testing.assert_array_equal(part, whole[::-1, :, ::-1].swapaxes(1, 2))


@pytest.mark.parametrize(
    ("patch", "spacing", "turned"),
    [
        ((4, 8, 8), (3.0, 1.0, 1.0), True),
        ((4, 8, 6), (1.0, 1.0, 1.0), False),
        ((4, 8, 8), (1.0, 1.0, 2.0), False),
    ],
)
def test_only_what_is_square_is_turned(patch, spacing, turned):
    motion = draw_motion(patch, spacing, Augment(**{**NEVER, "turn": 1.0}), np.random.default_rng(0))
    assert motion.turn is turned
    assert motion.words == (("x and y exchanged",) if turned else ())


@pytest.mark.parametrize("seed", range(6))
def test_image_and_labels_move_together(seed):
    cells = np.arange(1, 1 + 4 * 8 * 8, dtype=np.uint32).reshape(4, 8, 8)
    labels = np.kron(cells, np.ones((6, 10, 10), np.uint32))
    one = stack(labels, labels % 2, spacing=(2.0, 1.0, 1.0))
    always = Augment(**{**dict.fromkeys(CHANGES, 1.0), **dict.fromkeys(IN_PLACE, 0.0)})
    patch = augmented_patch(one, (12, 40, 40), (16, 40, 40), always, np.random.default_rng(seed))
    agree = (patch.image > 0.5) == (patch.labels % 2 == 1)
    assert agree[patch.known].mean() > 0.97


def test_large_ids_survive():
    one = stack(np.full((3, 9, 9), 2**32 - 1))
    assert set(np.unique(moved(one, Motion(rotation((1, 0, 0), 20), np.zeros(3)))[1])) == {0, 2**32 - 1}


def test_angles_zooms_and_shifts_keep_their_bounds():
    rng = np.random.default_rng(0)
    for name, seen in (
        ("rotate", lambda m: np.degrees(np.arccos((np.trace(m.matrix) - 1) / 2)) / 180),
        ("tilt", lambda m: np.degrees(np.arccos((np.trace(m.matrix) - 1) / 2)) / 15),
        ("zoom", lambda m: abs(np.log(m.matrix[0, 0])) / np.log(1.3)),
        ("shift", lambda m: np.abs(m.shift).max() / 4),
    ):
        drawn = [seen(draw_motion((8, 8, 8), (1, 1, 1), Augment(**{**NEVER, name: 1.0}), rng)) for _ in range(50)]
        assert 0.5 < max(drawn) <= 1 + 1e-9, name


def test_words_name_every_change():
    one = random_stack((10, 20, 20))
    always = Augment(**dict.fromkeys(CHANGES, 1.0))
    patch, words = augmented_sample(one, (5, 10, 10), (8, 16, 16), always, np.random.default_rng(0))
    assert len(words) == len(CHANGES)
    assert words[0] == "flipped zyx"
    assert any(word.startswith("zoom ") for word in words)
    same = augmented_patch(one, (5, 10, 10), (8, 16, 16), always, np.random.default_rng(0))
    np.testing.assert_array_equal(patch.image, same.image)
    assert augmented_sample(one, (5, 10, 10), (8, 16, 16), Augment(**NEVER), np.random.default_rng(0))[1] == ()
