"""Find what keeps a Qt program's event loop waiting: an application that times every event it delivers."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QApplication

if TYPE_CHECKING:
    from types import FrameType

OURS = "napari_scutoid"
LOOK_EVERY_S = 0.005


@dataclass
class Call:
    """An event that took long.

    Parameters
    ----------
    seconds : float
    receiver : str
        Class of what the event was delivered to.
    ours, innermost : str
        Function of this project that was running when it was looked at most often, empty for none; and whatever was
        running innermost.
    """

    seconds: float
    receiver: str
    ours: str
    innermost: str


@dataclass
class _Watch:
    began: float = 0.0
    depth: int = 0
    ours: dict[str, int] = field(default_factory=dict)
    innermost: dict[str, int] = field(default_factory=dict)


class TimedApplication(QApplication):
    """A QApplication that keeps the events that took longer than a limit.

    A second thread looks at what the main thread does while an event is delivered, so that a slow one has a name. Make
    it before napari makes its own.
    """

    def __init__(self, limit_s: float = 0.02) -> None:
        super().__init__([])
        self.limit_s = limit_s
        self.calls: list[Call] = []
        self._watch = _Watch()
        self._main = threading.get_ident()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._look, daemon=True)
        self._watcher.start()

    def notify(self, receiver: Any, event: Any) -> bool:
        """Deliver an event, and time it unless it is delivered within another one."""
        watch = self._watch
        watch.depth += 1
        if watch.depth > 1:
            try:
                return bool(super().notify(receiver, event))
            finally:
                watch.depth -= 1
        watch.ours, watch.innermost, watch.began = {}, {}, time.perf_counter()
        try:
            return bool(super().notify(receiver, event))
        finally:
            seconds = time.perf_counter() - watch.began
            watch.depth, watch.began = 0, 0.0
            if seconds > self.limit_s:
                self.calls.append(Call(seconds, type(receiver).__name__, _most(watch.ours), _most(watch.innermost)))

    def stop(self) -> None:
        """End the second thread."""
        self._over.set()
        self._watcher.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            watch = self._watch
            if not watch.began or time.perf_counter() - watch.began < self.limit_s / 2:
                continue
            frame = sys._current_frames().get(self._main)
            if frame is not None:
                inner, own = _name(frame), _own(frame)
                watch.innermost[inner] = watch.innermost.get(inner, 0) + 1
                if own:
                    watch.ours[own] = watch.ours.get(own, 0) + 1


def _own(frame: FrameType | None) -> str:
    """Return the innermost function of this project that a frame was called from."""
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith(OURS):
            return _name(frame)
        frame = frame.f_back
    return ""


def _name(frame: FrameType) -> str:
    if frame.f_globals.get("__name__") == __name__:
        return "Qt itself"  # nothing of Python's runs within the event
    return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}"


def _most(counts: dict[str, int]) -> str:
    return max(counts, key=counts.__getitem__) if counts else ""
