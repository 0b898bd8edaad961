"""What a long job sees of labels that are edited meanwhile, in another thread."""

from __future__ import annotations

import contextlib
from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.scene import Scene


class Watch:
    """Labels at rest for as long as a job copies of them what it needs, and what changed since.

    Parameters
    ----------
    scene : callable
        Returns the scene as it is.
    moving : context manager, optional
        What is held while a change is made; by default none is.
    """

    def __init__(self, scene: Callable[[], Scene], moving: AbstractContextManager[object] | None = None) -> None:
        self._scene, self._moving = scene, RLock() if moving is None else moving
        self._noted: list[Change] = []

    @contextlib.contextmanager
    def still(self) -> Iterator[Scene]:
        """Give the scene, which no edit changes until the end of the block: edits wait for so long."""
        with self._moving:
            yield self._scene()

    def changes(self) -> list[Change]:
        """Return what changed since the last call; within `still`, nothing can be missing."""
        noted, self._noted = self._noted, []
        return noted

    def note(self, change: Change) -> None:
        """Take down a change that is just being made."""
        self._noted.append(change)
