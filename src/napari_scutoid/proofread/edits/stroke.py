"""Painting with a brush: this program's own, and strokes made with napari's tools."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.edits.guards import LUMEN, OUTSIDE, PAINTING, Canvas, called, replaced
from napari_scutoid.proofread.edits.region import drawable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.edits.guards import Target
    from napari_scutoid.proofread.scene import Guards, Scene
    from napari_scutoid.volume import VoxelSize

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Paint:
    """A brush drawn from place to place.

    Parameters
    ----------
    target : int or "lumen"
        A cell, new ones included; 0 erases.
    centres : tuple of 3 floats each
        Where the brush went, in voxels (z, y, x).
    radius : float
        Of the brush, in voxels along the finest axis; a brush is round in micrometres.
    axis : int, optional
        Paint in the slice across this axis that holds the centres; by default a ball, in 3D.
    guards : Guards
        What the stroke may change.
    """

    target: Target
    centres: tuple[Point, ...]
    radius: float
    axis: Literal[0, 1, 2] | None = None
    guards: Guards = PAINTING

    def plan(self, scene: Scene) -> Change:
        """Return what the stroke changes; see `Canvas` for what it raises."""
        box = drawable(self._box(scene))
        canvas = Canvas(scene, box, self.guards)
        canvas.paint(_swept(box, self.centres, self.radius, scene.spacing, self.axis), self.target)
        told = {"target": self.target, "radius": self.radius, "axis": self.axis, "points": len(self.centres)}
        return canvas.change(*_named([self.target]), told)

    def warning(self, scene: Scene) -> str | None:
        """Return what to ask before doing it; see `replaced`."""
        return replaced(scene, self.plan(scene))

    def _box(self, scene: Scene) -> Box:
        centres = np.asarray(self.centres, np.float64)
        if centres.ndim != 2 or centres.shape[1] != 3 or not np.isfinite(centres).all():
            raise ValueError(f"centres must be places (z, y, x), not an array of shape {centres.shape}")
        if not (math.isfinite(self.radius) and self.radius >= 0):
            raise ValueError(f"radius must be a number of voxels, not {self.radius}")
        reach = self.radius * min(scene.spacing) / np.asarray(scene.spacing)
        first, last = np.rint(centres.min(axis=0) - reach), np.rint(centres.max(axis=0) + reach)
        if self.axis is not None:
            slices = np.unique(np.rint(centres[:, self.axis]))
            if len(slices) > 1:
                raise ValueError(f"a stroke in a slice stays in it; this one goes through {len(slices)}")
            first[self.axis] = last[self.axis] = slices[0]
        box = Box.between(first, last + 1).overlap(Box.whole(scene.shape))
        if not box.size:
            raise ScutoidError("Nothing was painted", "the stroke lies beside the stack", "paint inside the stack")
        return box


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """What was painted with napari's tools, to be done again with the guards on; see `captured`.

    Parameters
    ----------
    box : Box
        What holds the stroke.
    mask : ndarray of bool, shape of the box
        The voxels painted.
    values : ndarray of uint32, same shape
        Their values after it.
    layer : {"cells", "lumen"}
        What was painted on; in the lumen's layer any value but 0 is lumen.
    guards : Guards
        What the stroke may change.
    """

    box: Box
    mask: NDArray[np.bool_]
    values: NDArray[np.uint32]
    layer: Literal["cells", "lumen"] = "cells"
    guards: Guards = PAINTING

    def plan(self, scene: Scene) -> Change:
        """Return what of the stroke the guards let through; see `Canvas` for what it raises."""
        if not self.box.is_within(scene.shape):
            raise ValueError(f"a stroke at {self.box.start} of shape {self.box.shape} leaves {scene.shape}")
        on_lumen = self.layer == "lumen"
        canvas = Canvas(scene, self.box, replace(self.guards, lumen=True) if on_lumen else self.guards)
        values = [int(value) for value in np.unique(self.values[self.mask])]
        targets: list[Target] = []
        for value in values:
            mask = self.mask & (self.values == value)
            target: Target = LUMEN if on_lumen and value else value
            if on_lumen and not value:
                mask &= canvas.lumen & (canvas.labels == 0)
            canvas.paint(mask, target)
            targets.append(target)
        told = {"targets": list(dict.fromkeys(targets)), "voxels": int(np.count_nonzero(self.mask)), "tool": "napari"}
        return canvas.change(*_named(targets), told)

    def warning(self, scene: Scene) -> str | None:
        """Return what to ask before doing it; see `replaced`."""
        return replaced(scene, self.plan(scene))


def captured(atoms: Sequence[Any], shape: Sequence[int]) -> Stroke:
    """Return what one stroke with napari's brush, fill, polygon or eraser painted.

    napari tells of a stroke by ``layer.events.paint`` once it is finished, when the array already holds it. To have it
    in the history: `captured`, then `put_back`, then plan the stroke; what the guards refuse stays as it was.

    Parameters
    ----------
    atoms : sequence
        The event's value. Each atom is either a ``slice_key``, ``mask`` (None: all of it), ``old_values`` and
        ``new_value``, as napari 0.9.2's tools write, or a tuple of an index, old and new values, as
        ``Labels.data_setitem`` and older versions do.
    shape : sequence of 3 ints
        Of the stack.

    Raises
    ------
    ScutoidError
        When the stroke spans too much of the stack, as filling all of the background does; `put_back` still works.
    ValueError
        When there is no atom, or one is not of the stack's three axes.
    """
    parts = [_Atom.of(atom, shape) for atom in atoms]
    if not parts:
        raise ValueError("a stroke needs at least one atom")
    box = parts[0].box
    for part in parts[1:]:
        box = box.union(part.box)
    drawable(box)
    mask, values = np.zeros(box.shape, np.bool_), np.zeros(box.shape, np.uint32)
    for part in parts:
        part.write(mask, box, True)
        part.write(values, box, part.new)
    return Stroke(box, mask, values)


def put_back(atoms: Sequence[Any], labels: NDArray[Any]) -> Box:
    """Write the values from before a stroke into the array, in place, and return the box that they lie in.

    Parameters
    ----------
    atoms : sequence
        As for `captured`. Taken backwards, so that a voxel painted twice gets the value it had first.
    labels : ndarray, shape (z, y, x)
        What was painted on.
    """
    parts = [_Atom.of(atom, labels.shape) for atom in atoms]
    if not parts:
        raise ValueError("a stroke needs at least one atom")
    whole = Box.whole(labels.shape)
    box = parts[0].box
    for part in reversed(parts):
        part.write(labels, whole, part.old)
        box = box.union(part.box)
    return box


@dataclass(frozen=True, slots=True, eq=False)
class _Atom:
    """One dab of napari's tools: a box, which of its voxels (anything that indexes it), their values before and after.

    Masks stay masks: a fill's atom may span the stack, and the places of all its voxels would take 24 bytes each.
    """

    box: Box
    where: Any
    old: NDArray[Any]
    new: Any

    @classmethod
    def of(cls, atom: Any, shape: Sequence[int]) -> _Atom:
        is_masked = hasattr(atom, "slice_key")
        key = atom.slice_key if is_masked else atom[0]
        if len(key) != 3 or len(shape) != 3:
            raise ValueError(f"a stroke needs an index along three axes, not {len(key)} for a stack of {len(shape)}")
        if is_masked:
            ends = [part.indices(n) for part, n in zip(key, shape, strict=True)]
            box = Box.between((start for start, _, _ in ends), (stop for _, stop, _ in ends))
            return cls(box, ... if atom.mask is None else atom.mask, atom.old_values, atom.new_value)
        spread = np.broadcast_arrays(*(np.asarray(part) for part in key))
        voxels = [np.where(i < 0, i + n, i).ravel() for i, n in zip(spread, shape, strict=True)]
        if not len(voxels[0]):
            raise ValueError("a stroke needs voxels; an atom has none")
        box = Box.between((i.min() for i in voxels), (i.max() + 1 for i in voxels))
        places = tuple(i - first for i, first in zip(voxels, box.start, strict=True))
        return cls(box, places, np.ravel(atom[1]), atom[2] if np.ndim(atom[2]) == 0 else np.ravel(atom[2]))

    def write(self, array: NDArray[Any], box: Box, values: Any) -> None:
        """Write values into an array that holds a box of the stack."""
        array[self.box.shifted([-n for n in box.start]).slices][self.where] = values


def _named(targets: Iterable[Target]) -> tuple[str, str]:
    """Return the kind and the title of painting these."""
    painted = [called(target) for target in dict.fromkeys(targets) if target != OUTSIDE]
    return ("paint", f"Paint {' and '.join(painted)}") if painted else ("erase", "Erase")


def _swept(
    box: Box, centres: Sequence[Point], radius: float, spacing: VoxelSize, axis: int | None
) -> NDArray[np.bool_]:
    """Return the voxels of a box that a ball meets on its way from centre to centre; those of the centres always."""
    mask = np.zeros(box.shape, np.bool_)
    unit = np.asarray(spacing, np.float64) / min(spacing)
    reach = radius / unit
    for start, end in _segments(np.asarray(centres, np.float64)):
        first, last = np.floor(np.minimum(start, end) - reach), np.ceil(np.maximum(start, end) + reach)
        part = Box.between(first, last + 1).overlap(box)
        if not part.size:
            continue
        a, along = (start - part.start) * unit, (end - start) * unit
        if axis is not None:  # a slice's brush is a disc, wherever between two slices its centre lies
            a[axis] = along[axis] = 0.0
        grid = np.ogrid[tuple(slice(0, n) for n in part.shape)]
        z, y, x = (g * edge - c for g, edge, c in zip(grid, unit, a, strict=True))
        length = float(along @ along)
        share = np.clip((z * along[0] + y * along[1] + x * along[2]) / length, 0, 1) if length else 0.0
        far = (z - share * along[0]) ** 2 + (y - share * along[1]) ** 2 + (x - share * along[2]) ** 2
        mask[part.shifted([-n for n in box.start]).slices] |= far <= radius**2 + 1e-9
    here = np.rint(np.asarray(centres)).astype(np.int64) - box.start
    here = here[np.all((here >= 0) & (here < box.shape), axis=1)]
    mask[tuple(here.T)] = True
    return mask


def _segments(centres: NDArray[np.float64]) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    yield from pairwise(centres)
    if len(centres) == 1:
        yield centres[0], centres[0]
