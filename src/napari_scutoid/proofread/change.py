"""What an edit does: which voxels and which cells' states differ afterwards, both ways."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.box import Box

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_FAST = 1
"""zlib's quickest level: differences are mostly runs, which any level packs well."""


@dataclass(frozen=True, slots=True)
class CellState:
    """What a person said of a cell.

    Parameters
    ----------
    accepted : bool
        Found right: no edit changes the cell's voxels until it is unlocked.
    valid : bool
        Whether it counts in measurements; the laboratory leaves out cells that the stack's border cuts.
    flagged : bool
        To be looked at later.
    seen : bool
        Whether it was shown as a suspect and left as it is.
    note : str
        In the user's words.
    """

    accepted: bool = False
    valid: bool = True
    flagged: bool = False
    seen: bool = False
    note: str = ""


UNTOUCHED = CellState()


@dataclass(frozen=True, slots=True)
class StateChange:
    """A cell's state before and after."""

    cell: int
    before: CellState
    after: CellState

    def inverse(self) -> StateChange:
        """Return the change back."""
        return StateChange(self.cell, self.after, self.before)


@dataclass(frozen=True, slots=True)
class Difference:
    """Voxels of one array that differ between before and after, packed.

    Parameters
    ----------
    box : Box
        Smallest box that holds them.
    n : int
        How many differ.
    mask : bytes
        Which voxels of the box differ: bits, packed by zlib.
    before, after : bytes
        Their values as uint32, in the mask's order, packed by zlib.
    """

    box: Box
    n: int
    mask: bytes
    before: bytes
    after: bytes

    @classmethod
    def between(cls, box: Box, before: NDArray[Any], after: NDArray[Any]) -> Difference | None:
        """Return how two versions of a box differ; None where they do not.

        Parameters
        ----------
        box : Box
            Where the two lie in the stack.
        before, after : ndarray of uint32 or bool, shape of the box
        """
        if not before.shape == after.shape == box.shape:
            raise ValueError(f"box, before and after differ in shape: {box.shape}, {before.shape}, {after.shape}")
        differs = before != after
        inner = Box.of(differs)
        if inner is None:
            return None
        cut = inner.slices
        mask = differs[cut]
        old, new = (part[cut][mask].astype("<u4") for part in (before, after))
        packed = (zlib.compress(part.tobytes(), _FAST) for part in (np.packbits(mask), old, new))
        return cls(inner.shifted(box.start), len(old), *packed)

    @property
    def size(self) -> int:
        """Bytes it takes."""
        return len(self.mask) + len(self.before) + len(self.after)

    def inverse(self) -> Difference:
        """Return the difference back."""
        return replace(self, before=self.after, after=self.before)

    def renumbered(self, ids: Mapping[int, int]) -> Difference:
        """Return the difference with other ids for some cells; none of the new ones may be in it."""
        packed = []
        for values in self.values():
            changed = values.copy()
            for old, new in ids.items():
                changed[values == old] = new
            packed.append(zlib.compress(changed.tobytes(), _FAST))
        return replace(self, before=packed[0], after=packed[1])

    def where(self) -> NDArray[np.bool_]:
        """Return the voxels of the box that differ.

        Raises
        ------
        ValueError
            When what is packed is damaged, or is not what the box needs.
        """
        bits = np.frombuffer(unpacked(self.mask, (self.box.size + 7) // 8), np.uint8)
        mask = np.unpackbits(bits, count=self.box.size).astype(np.bool_).reshape(self.box.shape)
        if int(np.count_nonzero(mask)) != self.n:
            raise ValueError(f"a difference of {self.n} voxels marks {np.count_nonzero(mask)}")
        return mask

    def values(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Return the differing voxels' values before and after, shape (n,) each; ValueError as for `where`."""
        if not 0 < self.n <= self.box.size:
            raise ValueError(f"a difference in a box of {self.box.size} voxels claims {self.n}")
        before, after = (np.frombuffer(unpacked(part, 4 * self.n), "<u4") for part in (self.before, self.after))
        return before, after

    def apply(self, array: NDArray[Any]) -> None:
        """Write the values after into an array of the whole stack, in place.

        Raises
        ------
        ValueError
            When the array does not hold the values before, or the box leaves it: nothing is written then.
        """
        if not self.box.is_within(array.shape):
            raise ValueError(f"a difference at {self.box.start} of shape {self.box.shape} leaves {array.shape}")
        part, mask, (before, after) = array[self.box.slices], self.where(), self.values()
        if not np.array_equal(part[mask], before.astype(array.dtype)):
            raise ValueError("the array does not hold what the difference starts from")
        part[mask] = after.astype(array.dtype)


@dataclass(frozen=True, slots=True)
class Change:
    """What one edit does; `inverse` undoes it.

    Parameters
    ----------
    kind : str
        Which edit, as in the journal: ``"merge"``, ``"split"``, ``"paint"``, ...
    title : str
        What the history shows: ``"Merge cells 12 and 31"``.
    parameters : mapping
        What the edit was told, in plain JSON types. For people: replaying uses the differences only.
    labels, lumen : Difference, optional
        Of the cells' ids, and of the lumen's mask.
    states : tuple of StateChange
        Of the cells.
    focus : tuple of 3 floats, optional
        Where it happened, in voxels; by default the middle of what differs.
    """

    kind: str
    title: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    labels: Difference | None = None
    lumen: Difference | None = None
    states: tuple[StateChange, ...] = ()
    focus: tuple[float, float, float] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return self.labels is None and self.lumen is None and not self.states

    @property
    def box(self) -> Box | None:
        """What holds every voxel that differs; None where none does."""
        boxes = [part.box for part in (self.labels, self.lumen) if part is not None]
        return boxes[0].union(boxes[-1]) if boxes else None

    @property
    def centre(self) -> tuple[float, float, float] | None:
        """Where it happened, in voxels."""
        if self.focus is not None or self.box is None:
            return self.focus
        z, y, x = (first + (n - 1) / 2 for first, n in zip(self.box.start, self.box.shape, strict=True))
        return z, y, x

    def inverse(self) -> Change:
        """Return the change back."""
        return replace(
            self,
            labels=None if self.labels is None else self.labels.inverse(),
            lumen=None if self.lumen is None else self.lumen.inverse(),
            states=tuple(state.inverse() for state in reversed(self.states)),
        )


def cells_in(difference: Difference) -> tuple[set[int], set[int]]:
    """Return the ids that lose voxels and those that gain some; 0 is among them where background does."""
    before, after = difference.values()
    return _ids(before), _ids(after)


def _ids(values: NDArray[np.uint32]) -> set[int]:
    first = values[0]
    if (values == first).all():  # of most edits, and much sooner known than what `unique` sorts
        return {int(first)}
    return set(map(int, np.unique(values)))


def focus_of(point: Sequence[float]) -> tuple[float, float, float]:
    """Return a place as `Change.focus` takes it."""
    z, y, x = map(float, point)
    return z, y, x


def unpacked(packed: bytes, size: int) -> bytes:
    """Return exactly that many bytes, never more: a journal may come from a stranger."""
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(packed, size + 1)
    except zlib.error as error:
        raise ValueError(f"a packed difference is damaged ({error})") from error
    if len(raw) != size:
        raise ValueError(f"a packed difference holds {len(raw)} bytes or more where {size} are needed")
    if not unpacker.eof:
        raise ValueError("a packed difference is torn: its checksum is missing")
    return raw
