"""How loops are compiled, and where the result is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba

if TYPE_CHECKING:
    from collections.abc import Callable


def compiled(signature: Any = None) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that has Numba compile a function, which then runs without the interpreter's lock.

    What was compiled is kept beside the package or, where nothing may be written there, in the user's folder. Where
    that may not be written either, as in many containers, or the disk is full, every process compiles for itself.

    Parameters
    ----------
    signature : Numba type, optional
        With it the function is compiled at once, otherwise at its first call.
    """

    def compile_(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(signature, cache=True, nogil=True)(function)
        except (OSError, RuntimeError):  # Numba's answer where it finds no folder for its cache
            return numba.njit(signature, nogil=True)(function)

    return compile_
