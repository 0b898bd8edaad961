"""Questions beside a dock's main job: the newest one is answered."""

from __future__ import annotations

import threading

import pytest

from napari_scutoid.progress import Progress
from napari_scutoid.ui.inquiry import Inquiry


@pytest.fixture
def inquiry(qtbot):
    return Inquiry()


def answer(value):
    yield Progress("Looking")
    return value


def wrong():
    yield Progress("Looking")
    raise RuntimeError("a bug in torch")


def test_a_newer_question_takes_the_place_of_an_older_one(qtbot, inquiry):
    begun = threading.Event()

    def endless():
        while True:
            begun.set()
            yield Progress("Looking")

    answers = []
    inquiry.answered.connect(answers.append)
    inquiry.ask(endless)
    qtbot.waitUntil(begun.is_set)
    inquiry.ask(lambda: answer("second"))
    inquiry.ask(lambda: answer("third"))
    qtbot.waitUntil(lambda: not inquiry.is_busy)
    assert answers == ["third"]


def test_any_error_is_handed_on_and_the_next_question_is_answered(qtbot, inquiry):
    failures, answers = [], []
    inquiry.failed.connect(failures.append)
    inquiry.answered.connect(answers.append)
    inquiry.ask(wrong)
    qtbot.waitUntil(lambda: not inquiry.is_busy)
    inquiry.ask(lambda: answer(1))
    qtbot.waitUntil(lambda: not inquiry.is_busy)
    assert [str(error) for error in failures] == ["a bug in torch"]
    assert answers == [1]


def test_nothing_is_answered_after_the_end(qtbot, inquiry):
    answers = []
    inquiry.answered.connect(answers.append)
    inquiry.ask(lambda: answer(1))
    inquiry.ask(lambda: answer(2))
    inquiry.stop()
    qtbot.waitUntil(lambda: not inquiry.is_busy)
    assert answers == []
