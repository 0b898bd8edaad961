"""A small file among the user's settings, whose content is never trusted."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.atomic import replacing

if TYPE_CHECKING:
    from os import PathLike

Content = TypeVar("Content", bound=BaseModel)


class UserFile(Generic[Content]):
    """JSON that the program remembers a convenience in: without it, nothing is lost but a few clicks.

    Parameters
    ----------
    name : str
        Of the file, in the user's folder of settings.
    content : class
        What it holds; all of its fields have defaults.
    most_bytes : int
        A larger file is not read.
    file : path, optional
        Another place.
    """

    def __init__(
        self, name: str, content: type[Content], most_bytes: int, file: str | PathLike[str] | None = None
    ) -> None:
        self._name, self._content, self._most_bytes = name, content, most_bytes
        self._given = None if file is None else Path(file)

    @property
    def path(self) -> Path:
        """Where it is."""
        if self._given is not None:
            return self._given
        from platformdirs import user_config_path

        return Path(user_config_path("napari-scutoid", appauthor=False)) / self._name

    def read(self) -> Content:
        """Return what it holds; the defaults where it is missing, too large, or says something else."""
        try:
            with self.path.open("rb") as stream:
                text = stream.read(self._most_bytes + 1)
            return self._content.model_validate_json(text) if len(text) <= self._most_bytes else self._content()
        except (OSError, ValidationError):
            return self._content()

    def write(self, content: Content) -> None:
        """Replace what it holds, or leave it where that cannot be written."""
        with contextlib.suppress(OSError, ScutoidError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as part:
                part.write_text(content.model_dump_json(indent=1), encoding="utf-8")
