"""Where the sample stacks lie that travel with the package."""

from __future__ import annotations

from pathlib import Path

from napari_scutoid.errors import ScutoidError

_PACKAGE = Path(__file__).resolve().parent


def sample_data_dir() -> Path:
    """Folder of the project's own sample stacks.

    A wheel carries it inside the package. In an editable install it is ``sample_data/`` at the root of the
    repository, so that the stacks exist once.

    Raises
    ------
    ScutoidError
        If neither folder is there.
    """
    for folder in (_PACKAGE / "sample_data", _PACKAGE.parents[1] / "sample_data"):
        if folder.is_dir():
            return folder
    raise ScutoidError(
        "The sample stacks could not be found",
        f"there is no folder sample_data in {_PACKAGE}",
        "install the package again",
    )
