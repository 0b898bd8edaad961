"""Where the files lie that travel with the package: sample stacks and documentation."""

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
    return _folder("sample_data", "The sample stacks")


def docs_dir() -> Path:
    """Folder of the documentation's pages, which travel as the sample stacks do.

    Raises
    ------
    ScutoidError
        If neither folder is there.
    """
    return _folder("docs", "The documentation")


def _folder(name: str, what: str) -> Path:
    for folder in (_PACKAGE / name, _PACKAGE.parents[1] / name):
        if folder.is_dir():
            return folder
    raise ScutoidError(
        f"{what} could not be found", f"there is no folder {name} in {_PACKAGE}", "install the package again"
    )
