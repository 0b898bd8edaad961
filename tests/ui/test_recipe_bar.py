"""Recipes go to files and command lines to the clipboard; help opens a page that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from qtpy.QtCore import QUrl
from qtpy.QtGui import QTextDocument
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_scutoid.resources import docs_dir
from napari_scutoid.ui.help import HelpButton, HelpWindow
from napari_scutoid.ui.recipe_bar import RecipeBar


@pytest.fixture
def bar(qtbot):
    made = RecipeBar("recipe.md", lambda: "scutoid segment 'my stack.h5'")
    qtbot.addWidget(made)
    return made


@pytest.mark.parametrize(
    ("named", "asked"), [("mine", "mine.yaml"), ("mine.yaml", "mine.yaml"), ("mine.YML", "mine.YML")]
)
def test_a_recipe_is_saved_under_a_name_with_an_ending(bar, qtbot, monkeypatch, named, asked):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (f"/somewhere/{named}", ""))
    with qtbot.waitSignal(bar.saveAsked) as signal:
        bar.save_button.click()
    assert signal.args == [Path("/somewhere") / asked]


def test_a_dialog_that_was_cancelled_asks_for_nothing(bar, qtbot, monkeypatch):
    for name in ("getSaveFileName", "getOpenFileName"):
        monkeypatch.setattr(QFileDialog, name, lambda *_: ("", ""))
    with qtbot.assertNotEmitted(bar.saveAsked), qtbot.assertNotEmitted(bar.loadAsked):
        bar.save_button.click()
        bar.load_button.click()


def test_a_recipe_is_loaded_from_the_file_that_was_chosen(bar, qtbot, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("/somewhere/mine.yaml", ""))
    with qtbot.waitSignal(bar.loadAsked) as signal:
        bar.load_button.click()
    assert signal.args == [Path("/somewhere/mine.yaml")]


def test_the_command_line_is_copied_as_it_is_now(bar, qtbot):
    with qtbot.waitSignal(bar.copied):
        bar.copy_button.click()
    assert QApplication.clipboard().text() == "scutoid segment 'my stack.h5'"


def test_without_a_command_there_is_no_button_for_it(qtbot):
    bar = RecipeBar("recipe.md")
    qtbot.addWidget(bar)
    bar.show()
    assert not bar.copy_button.isVisible() and bar.save_button.isVisible()


def test_help_shows_the_page_and_its_pictures(qtbot):
    window = HelpWindow("evaluate.md")
    qtbot.addWidget(window)
    assert len(window.toPlainText()) > 1000
    assert window.source().fileName() == "evaluate.md"


def test_pictures_of_a_page_are_found(qtbot):
    window = HelpWindow("evaluate.md")
    qtbot.addWidget(window)
    page = (docs_dir() / "evaluate.md").read_text(encoding="utf-8")
    names = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page)
    assert names
    for name in names:
        picture = window.loadResource(QTextDocument.ResourceType.ImageResource.value, QUrl(name))
        assert picture is not None


def test_the_help_button_opens_a_window(qtbot):
    button = HelpButton("recipe.md")
    qtbot.addWidget(button)
    button.click()
    (window,) = button.findChildren(HelpWindow)
    assert window.isVisible() and "recipe" in window.toPlainText().lower()
    window.close()
