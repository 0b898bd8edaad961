"""What the stages from probabilities to cells made, kept for the next time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from napari_scutoid.progress import Steps

T = TypeVar("T")


class Memo(Protocol):
    """Runs stages, or returns what they made before.

    A stage is told by its name, by what it is made `of` (results of other stages, the same if they are the same
    objects) and by all `settings` that it reads (the same if they are equal).
    """

    def stage(self, name: str, of: tuple[object, ...], settings: tuple[Hashable, ...], make: Callable[[], T], /) -> T:
        """Return what a stage makes at once."""

    def steps(
        self, name: str, of: tuple[object, ...], settings: tuple[Hashable, ...], make: Callable[[], Steps[T]], /
    ) -> Steps[T]:
        """Return what a stage makes step by step."""

    def table(self, name: str, /) -> dict[bytes, Any] | None:
        """Return a dictionary for what a stage knows of its parts, or None where nothing is kept."""


class Forgetful:
    """Keeps nothing: for whole stacks, whose intermediate results would fill the memory."""

    def stage(self, _name: str, _of: tuple[object, ...], _settings: tuple[Hashable, ...], make: Callable[[], T]) -> T:
        """Run the stage."""
        return make()

    def steps(
        self, _name: str, _of: tuple[object, ...], _settings: tuple[Hashable, ...], make: Callable[[], Steps[T]]
    ) -> Steps[T]:
        """Run the stage."""
        return make()

    def table(self, _name: str) -> None:
        """Return None."""


AFRESH = Forgetful()


class Remembering:
    """Keeps the last result of each stage, and runs a stage again only where something that it is made of changed.

    A stage that is cancelled or fails leaves what is kept as it was.
    """

    def __init__(self) -> None:
        self._made: dict[str, tuple[tuple[object, ...], tuple[Hashable, ...], Any]] = {}
        self._tables: dict[str, dict[bytes, Any]] = {}

    def stage(self, name: str, of: tuple[object, ...], settings: tuple[Hashable, ...], make: Callable[[], T]) -> T:
        """Run the stage where that is needed."""
        if not self._is_kept(name, of, settings):
            self._made[name] = (of, settings, make())
        return self._made[name][2]  # type: ignore[no-any-return]

    def steps(
        self, name: str, of: tuple[object, ...], settings: tuple[Hashable, ...], make: Callable[[], Steps[T]]
    ) -> Steps[T]:
        """Run the stage where that is needed."""
        if not self._is_kept(name, of, settings):
            made = yield from make()
            self._made[name] = (of, settings, made)
        return self._made[name][2]  # type: ignore[no-any-return]

    def table(self, name: str) -> dict[bytes, Any]:
        """Return the dictionary of this name, always the same one."""
        return self._tables.setdefault(name, {})

    def _is_kept(self, name: str, of: tuple[object, ...], settings: tuple[Hashable, ...]) -> bool:
        # The objects are held here, so that no later one can have the identity of one that is gone.
        then_of, then_settings, _ = self._made.get(name, ((_NOTHING,), (), None))
        return list(map(id, of)) == list(map(id, then_of)) and settings == then_settings


_NOTHING = object()
