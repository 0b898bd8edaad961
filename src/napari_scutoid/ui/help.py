"""The program's own pages in a window: they travel with it, so that help needs no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTextBrowser, QToolButton

from napari_scutoid.resources import docs_dir

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

WIDTH, HEIGHT = 760, 820


class HelpWindow(QTextBrowser):
    """Shows a page of the documentation, and those it links to.

    Parameters
    ----------
    page : str
        Name of the file in ``docs/``, such as ``"segment.md"``.
    """

    def __init__(self, page: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowFlag(Qt.WindowType.Window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Scutoid help")
        self.setOpenExternalLinks(True)
        folder = docs_dir()
        self.setSearchPaths([str(folder), str(folder / "images")])
        self.resize(WIDTH, HEIGHT)
        self.show_page(page)

    def show_page(self, page: str) -> None:
        """Show a page."""
        from qtpy.QtCore import QUrl

        self.setSource(QUrl.fromLocalFile(str(docs_dir() / page)))


class HelpButton(QToolButton):
    """Opens a page of the documentation."""

    def __init__(self, page: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._page = page
        self.setText("?")
        self.setToolTip("Open the page of the documentation about this window.")
        self.clicked.connect(self.open)

    def open(self) -> HelpWindow:
        """Show the page in a window of its own."""
        window = HelpWindow(self._page, self.window())
        window.show()
        return window
