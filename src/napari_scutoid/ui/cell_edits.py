"""Which edit a button means, for the cells that are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_scutoid.proofread.scene import Edit, Scene

QUICK = frozenset("Merge Delete Stroke Polygon Accept Unlock Flag Note SetValid MarkSeen".split())
"""Edits that are planned within a blink; the others are planned beside the window."""


def is_quick(edit: Edit) -> bool:
    """Whether an edit may be planned while the window waits."""
    return type(edit).__name__ in QUICK


def edits_of(name: str, cells: Sequence[int], scene: Scene, axis: int = 0) -> list[Edit]:
    """Return the edits behind a button, to be made one after the other.

    Parameters
    ----------
    name : str
        Of a tool, see `tools.TOOLS`.
    cells : sequence of int
        The chosen ones.
    scene : Scene
        What is corrected, as it is now.
    axis : int
        Across which the slices lie that are looked at.

    Raises
    ------
    KeyError
        When a tool acts on no chosen cells.
    """
    if name in _OF_ALL:
        return [_OF_ALL[name](tuple(cells), scene)]
    return [_OF_EACH[name](cell, scene, axis) for cell in cells]


def _merge(cells: tuple[int, ...], _scene: Scene) -> Edit:
    from napari_scutoid.proofread.edits.merge import Merge

    return Merge(cells)


def _delete(cells: tuple[int, ...], _scene: Scene) -> Edit:
    from napari_scutoid.proofread.edits.delete import Delete

    return Delete(cells)


def _grow(cells: tuple[int, ...], scene: Scene) -> Edit:
    from napari_scutoid.proofread.edits.guards import GAP, typical_diameter
    from napari_scutoid.proofread.edits.repair import GrowIntoGaps

    return GrowIntoGaps(cells, max(GAP * typical_diameter(scene), 2 * min(scene.spacing)))


def _accept(cells: tuple[int, ...], _scene: Scene) -> Edit:
    from napari_scutoid.proofread.edits.states import Accept

    return Accept(cells)


def _unlock(cells: tuple[int, ...], _scene: Scene) -> Edit:
    from napari_scutoid.proofread.edits.states import Unlock

    return Unlock(cells)


def _invalid(cells: tuple[int, ...], scene: Scene) -> Edit:
    from napari_scutoid.proofread.edits.states import SetValid

    # All of them the same way: those that count are left out first.
    return SetValid(cells, not any(scene.state(cell).valid for cell in cells))


def _lumen(cell: int, *_: Any) -> Edit:
    from napari_scutoid.proofread.edits.lumen import SetLumen

    return SetLumen(cell)


def _outside(cell: int, *_: Any) -> Edit:
    from napari_scutoid.proofread.edits.lumen import SetOutside

    return SetOutside(cell)


def _fill_holes(cell: int, *_: Any) -> Edit:
    from napari_scutoid.proofread.edits.repair import FillHoles

    return FillHoles(cell)


def _keep_largest(cell: int, *_: Any) -> Edit:
    from napari_scutoid.proofread.edits.repair import KeepLargest

    return KeepLargest(cell)


def _smooth(cell: int, *_: Any) -> Edit:
    from napari_scutoid.proofread.edits.repair import Smooth

    return Smooth(cell)


def _interpolate(cell: int, scene: Scene, axis: Any) -> Edit:
    from napari_scutoid.proofread.edits.interpolate import Interpolate

    if cell not in scene.index:
        return Interpolate(cell, axis, 0, 0)
    box = scene.index.box(cell)
    return Interpolate(cell, axis, box.start[axis], box.stop[axis] - 1)


_OF_ALL: Mapping[str, Callable[[tuple[int, ...], Scene], Edit]] = {
    "merge": _merge,
    "delete": _delete,
    "grow": _grow,
    "accept": _accept,
    "unlock": _unlock,
    "invalid": _invalid,
}
_OF_EACH: Mapping[str, Callable[[int, Scene, int], Edit]] = {
    "lumen": _lumen,
    "outside": _outside,
    "fill_holes": _fill_holes,
    "keep_largest": _keep_largest,
    "smooth": _smooth,
    "interpolate": _interpolate,
}
