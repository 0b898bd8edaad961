"""A column that scrolls gives words that wrap the room they need."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_scutoid.ui.note import Note
from napari_scutoid.ui.scroll import ScrollColumn


def test_words_that_are_added_later_get_their_height(qtbot):
    box, note = QWidget(), Note()
    QVBoxLayout(box).addWidget(note)
    column = ScrollColumn((box, QPushButton("below")))
    qtbot.addWidget(column)
    column.resize(300, 200)
    column.show()
    for words in (100, 10, 300):
        note.setText("word " * words)
        qtbot.waitUntil(lambda: note.height() >= note.heightForWidth(note.width()))
    assert column.verticalScrollBar().maximum() > 0
    assert column.minimumSizeHint().width() > column.widget().minimumSizeHint().width()
