"""Patches of a training stack, changed at random: image and labels moved together, then the image's intensities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.network.intensities import changed_intensities, up_or_down

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.network.config import Triple
    from napari_scutoid.network.dataset import Patch, TrainingStack
    from napari_scutoid.recipe.train import Augment


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """How a patch's content is moved about the patch's middle: matrix, shift and bend first, then flips, then turn.

    Lengths are voxels of the plane along every axis, so that a cell moves as a body where voxels are flat.

    Parameters
    ----------
    matrix : ndarray of float, shape (3, 3)
        Takes (z, y, x) of the content to where it lies in the patch.
    shift : ndarray of float, shape (3,)
        Added after it.
    bend : ndarray of float, shape (3, gz, gy, gx), optional
        Coefficients of a cubic B-spline over the patch: where else each voxel is taken from.
    bend_step : float
        Distance of the spline's knots.
    flips : tuple of bool
        For each axis, whether it is mirrored.
    turn : bool
        Whether y and x are exchanged.
    words : tuple of str
        What was drawn.
    """

    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]
    bend: NDArray[np.float64] | None = None
    bend_step: float = 16.0
    flips: tuple[bool, bool, bool] = (False, False, False)
    turn: bool = False
    words: tuple[str, ...] = ()

    @property
    def interpolates(self) -> bool:
        """Whether voxels come to lie between voxels."""
        moved = np.any(self.matrix != np.eye(3)) or np.any(self.shift)
        return bool(moved or (self.bend is not None and np.any(self.bend)))


def augmented_patch(
    stack: TrainingStack, centre: Sequence[int], patch: Triple, settings: Augment, rng: np.random.Generator
) -> Patch:
    """Cut a patch around a voxel and change it at random.

    Parameters
    ----------
    stack : TrainingStack
        May be smaller than the patch.
    centre : sequence of three ints
        Voxel at ``patch // 2`` of the unchanged patch.
    patch : tuple of int
        Voxels along z, y, x.
    settings : Augment
        Probabilities and bounds; with all probabilities 0 the patch is an exact copy.
    rng : numpy.random.Generator
        All randomness comes from here.

    Returns
    -------
    Patch
        Outside the stack the image and the labels are 0 and nothing is known.
    """
    return augmented_sample(stack, centre, patch, settings, rng)[0]


def augmented_sample(
    stack: TrainingStack, centre: Sequence[int], patch: Triple, settings: Augment, rng: np.random.Generator
) -> tuple[Patch, tuple[str, ...]]:
    """Do what `augmented_patch` does, and also say in words what was drawn."""
    from napari_scutoid.network.dataset import Patch

    motion = draw_motion(patch, stack.spacing, settings, rng)
    image, labels, known, inside = moved_patch(stack, centre, patch, motion)
    image, words = changed_intensities(image, settings, rng, _in_plane_voxels(stack.spacing).tolist())
    if words and not inside.all():
        image = image * inside
    return Patch(image, labels, known), (*motion.words, *words)


def draw_motion(patch: Triple, spacing: Sequence[float], settings: Augment, rng: np.random.Generator) -> Motion:
    """Draw how a patch is moved.

    Parameters
    ----------
    patch : tuple of int
        Voxels along z, y, x.
    spacing : sequence of three floats
        Voxel edges along z, y, x, of which only the ratio matters.
    settings : Augment
        Probabilities and bounds.
    rng : numpy.random.Generator
        All randomness comes from here.
    """
    words = []
    flips = tuple(bool(rng.random() < settings.flip) for _ in range(3))
    if any(flips):
        words.append("flipped " + "".join(axis for axis, flipped in zip("zyx", flips, strict=True) if flipped))
    turn = bool(rng.random() < settings.turn) and patch[1] == patch[2] and math.isclose(*spacing[1:], rel_tol=1e-3)
    if turn:
        words.append("x and y exchanged")
    matrix, shift, bend = np.eye(3), np.zeros(3), None
    if rng.random() < settings.rotate:
        angle = rng.uniform(-settings.rotate_angle, settings.rotate_angle)
        matrix = rotation((1.0, 0.0, 0.0), angle) @ matrix
        words.append(f"rotated {angle:.0f}°")
    if rng.random() < settings.tilt:
        angle = rng.uniform(-settings.tilt_angle, settings.tilt_angle)
        matrix = rotation(rng.standard_normal(3), angle) @ matrix
        words.append(f"tilted {angle:.0f}°")
    if rng.random() < settings.zoom:
        zoom = up_or_down(settings.zoom_range, rng)
        matrix = matrix * zoom
        words.append(f"zoom {zoom:.2f}")
    if rng.random() < settings.shear:
        # One axis along one other: unlike with several at once, nothing collapses, however large the bound.
        moved, along = rng.permutation(3)[:2]
        shear = np.eye(3)
        shear[moved, along] = rng.uniform(-settings.shear_range, settings.shear_range)
        matrix = shear @ matrix
        words.append(f"sheared {shear[moved, along]:.2f}")
    if rng.random() < settings.shift:
        shift = rng.uniform(-settings.shift_voxels, settings.shift_voxels, 3)
        words.append("shifted " + ", ".join(f"{one:.1f}" for one in shift))
    if rng.random() < settings.elastic:
        bend = _drawn_bend(patch, spacing, settings, rng)
        words.append(f"bent {settings.elastic_voxels:.1f}")
    return Motion(matrix, shift, bend, settings.elastic_grid, (flips[0], flips[1], flips[2]), turn, tuple(words))


def rotation(axis: Sequence[float] | NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Return the matrix that turns (z, y, x) about an axis of any length (Rodrigues' formula)."""
    z, y, x = np.asarray(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0, -x, y], [x, 0, -z], [-y, z, 0]])
    angle = math.radians(degrees)
    turned: NDArray[np.float64] = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return turned


def moved_patch(
    stack: TrainingStack, centre: Sequence[int], patch: Triple, motion: Motion
) -> tuple[NDArray[np.float32], NDArray[np.uint32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Cut a patch and move its content.

    Returns
    -------
    image, labels, known : ndarrays of float32, uint32 and bool, shape (z, y, x)
        The image interpolated once, linearly; the others taken from the nearest voxel.
    inside : ndarray of bool, shape (z, y, x)
        Where there is a stack.
    """
    corner = np.asarray(centre, np.intp) - np.asarray(patch, np.intp) // 2
    if motion.interpolates:
        parts = _sampled(stack, _coordinates(corner, patch, stack.spacing, motion))
    else:
        parts = _cut(stack, corner, patch)
    mirrored = tuple(slice(None, None, -1 if flip else 1) for flip in motion.flips)
    image, labels, known, inside = (
        np.ascontiguousarray(part[mirrored].swapaxes(1, 2) if motion.turn else part[mirrored]) for part in parts
    )
    return image, labels, known, inside


def _in_plane_voxels(spacing: Sequence[float]) -> NDArray[np.float64]:
    """Return voxel edges in voxels of the plane."""
    z, y, x = spacing
    edges: NDArray[np.float64] = np.array([z, y, x]) / math.sqrt(y * x)
    return edges


def _knot_steps(spacing: Sequence[float], step: float) -> list[float]:
    """Return the distance of a spline's knots along each axis, in that axis' voxels."""
    return [max(1.0, step / edge) for edge in _in_plane_voxels(spacing)]


def _drawn_bend(
    patch: Triple, spacing: Sequence[float], settings: Augment, rng: np.random.Generator
) -> NDArray[np.float64]:
    steps = _knot_steps(spacing, settings.elastic_grid)
    knots = [math.floor((n - 1) / step) + 4 for n, step in zip(patch, steps, strict=True)]
    # A cubic B-spline's square has the mean 151/315: along three axes, that is how much variance it leaves.
    return rng.normal(0, settings.elastic_voxels * math.sqrt(315 / 151) ** 3, (3, *knots))


def _coordinates(
    corner: NDArray[np.intp], patch: Triple, spacing: Sequence[float], motion: Motion
) -> NDArray[np.float32]:
    """Return the place in the stack, in voxels, that each voxel of the patch is taken from, shape (3, z, y, x)."""
    edges = _in_plane_voxels(spacing)
    middle = (np.asarray(patch) - 1) / 2
    back = np.linalg.inv(motion.matrix) / edges[:, None]
    start = corner + middle - back @ motion.shift
    offsets = [edge * (np.arange(n) - half) for edge, n, half in zip(edges, patch, middle, strict=True)]
    z, y, x = (np.outer(back[:, axis], offsets[axis]).astype(np.float32) for axis in range(3))
    z += start[:, None].astype(np.float32)
    places: NDArray[np.float32] = z[:, :, None, None] + y[:, None, :, None] + x[:, None, None, :]
    if motion.bend is not None:
        steps = _knot_steps(spacing, motion.bend_step)
        z, y, x = (_spline(n, step, g) for n, step, g in zip(patch, steps, motion.bend.shape[1:], strict=True))
        # Not a matrix product: so small a one loses a hundredfold when its threads wait for a busy core.
        bend = (motion.bend / edges[:, None, None, None]).astype(np.float32)
        bend = np.einsum("yj,aijx->aiyx", y, np.einsum("xk,aijk->aijx", x, bend))
        places += np.einsum("zi,aiyx->azyx", z, bend)
    return places


def _spline(n: int, step: float, knots: int) -> NDArray[np.float32]:
    """Return the weights of a cubic B-spline's knots at n voxels, shape (n, knots); each row sums to 1."""
    distance = np.abs(np.arange(n)[:, None] / step + 1 - np.arange(knots))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


def _cut(stack: TrainingStack, corner: NDArray[np.intp], patch: Triple) -> tuple[NDArray[Any], ...]:
    shape = stack.image.shape
    low, high = (np.clip(end, 0, shape) for end in (corner, corner + patch))
    there = tuple(map(slice, low, high))
    here = tuple(map(slice, low - corner, high - corner))
    inside = np.zeros(patch, np.bool_)
    inside[here] = True
    image, labels, known = np.zeros(patch, np.float32), np.zeros(patch, np.uint32), inside.copy()
    image[here] = stack.image[there]
    labels[here] = stack.labels[there]
    if stack.known is not None:
        known[here] = stack.known[there]
    return image, labels, known, inside


def _sampled(stack: TrainingStack, places: NDArray[np.float32]) -> tuple[NDArray[Any], ...]:
    last = np.reshape(stack.image.shape, (3, 1, 1, 1)) - np.float32(1)
    nearest = np.rint(places)
    voxels = np.clip(nearest, 0, last)
    inside = (voxels == nearest).all(axis=0)
    # Up to half a voxel past the middles of the outermost voxels is still stack, and has their intensity.
    np.clip(places, 0, last, out=places)
    low = np.floor(places.min(axis=(1, 2, 3))).astype(np.intp)
    box = tuple(map(slice, low, np.ceil(places.max(axis=(1, 2, 3))).astype(np.intp) + 1))
    corner = low.reshape(3, 1, 1, 1).astype(np.float32)
    image = _interpolated(stack.image[box], places - corner) * inside
    z, y, x = (voxels - corner).astype(np.int32)
    labels = stack.labels[box]
    _, height, width = labels.shape
    flat = (z * height + y) * width + x
    known = inside if stack.known is None else inside & stack.known[box].ravel()[flat]
    return image, labels.ravel()[flat] * inside, known, inside


def _interpolated(image: NDArray[Any], places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Interpolate linearly at places within the image; torch is several times faster at it than SciPy."""
    import torch
    from torch.nn.functional import grid_sample

    # From -1 at the first voxel's middle to 1 at the last one's, in the order x, y, z.
    half = np.maximum(np.asarray(image.shape, np.float32) - 1, 1)[::-1, None, None, None] / 2
    grid = torch.from_numpy(places[::-1] / half - 1).permute(1, 2, 3, 0)
    source = torch.from_numpy(image.astype(np.float32))
    sampled = grid_sample(source[None, None], grid[None], padding_mode="border", align_corners=True)
    values: NDArray[np.float32] = sampled[0, 0].numpy()
    return values
