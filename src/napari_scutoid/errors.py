"""The one exception that means "the user can do something about this"."""

from __future__ import annotations


class ScutoidError(Exception):
    """An expected problem, told in the words of the person who has to solve it.

    It is deliberately no RuntimeError: napari's workers swallow those inside generators, and torch raises its
    out-of-memory error as one.

    Parameters
    ----------
    what : str
        What could not be done, naming the file, data set or setting ("`raw` could not be opened").
    why : str
        The cause, with the numbers ("it has 4 axes (3, 16, 512, 512)").
    try_this : str
        What to do next ("choose the channel with --channel").
    """

    def __init__(self, what: str, why: str, try_this: str) -> None:
        self.what = what.rstrip(". ")
        self.why = why.rstrip(". ")
        self.try_this = try_this.rstrip(". ")
        super().__init__(self.what, self.why, self.try_this)

    def __str__(self) -> str:
        return f"{self.what}: {self.why}. What to try: {self.try_this}."


def as_problem(error: BaseException) -> ScutoidError | None:
    """Return what the user can do about an error, or None when it is a bug of the program."""
    if isinstance(error, ScutoidError):
        return error
    if isinstance(error, MemoryError):
        return ScutoidError(
            "The computer has too little memory for this",
            str(error) or "a large array could not be made",
            "close other programs, or use a smaller part of the stack",
        )
    if isinstance(error, OSError):
        return ScutoidError(
            "A file could not be read or written",
            str(error) or type(error).__name__,
            "check that it exists, that you may use it, and that the disk has room",
        )
    return None
