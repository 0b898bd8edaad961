"""Kill programs in the middle of their corrections: ``python tests/proofread/crash/kill.py --kills 200``.

A child corrects labels by random edits, undo, redo and jumps, and says of each when it is done: an acknowledged edit.
It is killed (SIGKILL) at a random moment, and the journal is opened again as the next session would. Lost is an
acknowledged edit that is not in it, or labels that are not bit for bit those that the child saw then. The same is tried

- with the rollback journal that network drives get,
- with a disk that is full: no file of the child may grow any more from a random moment on,
- with a torn last page: of the last edit's bytes, only a part has reached the disk.

Anything lost, or a journal that does not open, is printed with how to repeat it, and the exit status is 1. Linux and
macOS only: children are copies (fork) of this process.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripted import NO_WALLS, Fill

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import drain
from napari_scutoid.proofread import journal_file
from napari_scutoid.proofread.edits.states import Accept, Flag, Note, Unlock
from napari_scutoid.proofread.session import Session
from napari_scutoid.volume import Labels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KINDS = ("killed", "rollback", "full", "torn")
SHAPE = (6, 32, 32)
LONGEST_S = 0.25
KILLS_A_JOURNAL = 20


class Lost(Exception):
    """An acknowledged edit is gone, or a journal does not open."""


def base() -> Labels:
    ids = np.arange(1, 3 * 4 * 4 + 1, dtype=np.uint32).reshape(3, 4, 4)
    return Labels(np.repeat(np.repeat(np.repeat(ids, 2, 0), 8, 1), 8, 2))


def begin(journal: Path) -> Session:
    return drain(Session.begin(base(), NO_WALLS, journal, "child"))


def digest(session: Session) -> str:
    lumen = b"" if session.lumen is None or not session.lumen.any() else session.lumen.tobytes()
    states = repr(sorted(session.states.items())).encode()
    return hashlib.sha256(session.labels.tobytes() + lumen + states).hexdigest()


def told(session: Session) -> dict[str, Any]:
    return {"moves": len(session.history.moves), "head": session.history.head, "digest": digest(session)}


def step(session: Session, chance: random.Random) -> None:
    """Do something, or be refused."""
    cell = int(chance.choice(session.index.cells))
    start = tuple(chance.randrange(n - 1) for n in SHAPE)
    box = Box(start, tuple(chance.randint(1, 12) for _ in SHAPE)).overlap(Box.whole(SHAPE))
    actions: list[Callable[[], object]] = [
        lambda: session.do(Fill(box, chance.choice([cell, 0, None]), chance.choice([None, None, True, False]))),
        lambda: session.do(chance.choice([Accept, Unlock, Flag])((cell,))),
        lambda: session.do(Note((cell,), chance.randbytes(chance.randrange(3000)).hex())),
        session.undo,
        session.redo,
        lambda: session.jump(chance.randrange(len(session.history) + 1)),
    ]
    try:
        chance.choices(actions, [8, 2, 2, 2, 2, 1])[0]()
    except ScutoidError:
        pass


def edit_until_killed(journal: Path, seed: int, kind: str, tell: int) -> None:
    """Correct, and acknowledge each step; what a child does."""
    chance = random.Random(seed)
    session = begin(journal)
    full_after = chance.randrange(6)
    while True:
        os.write(tell, (json.dumps(told(session)) + "\n").encode())
        if kind == "full" and full_after == 0:
            largest = max(file.stat().st_size for file in journal.parent.iterdir())
            # Beyond it a write fails, as on a full disk; Python ignores the signal that would end the program.
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest + chance.randrange(3000), resource.RLIM_INFINITY))
        full_after -= 1
        before = told(session)
        step(session, chance)
        after = told(session)
        if after["moves"] == before["moves"] and after != before:
            os.write(tell, b'{"broken": true}\n')


def run_child(act: Callable[[int], None], wait_s: float | None, *, started: bool = False) -> list[dict[str, Any]]:
    """Run something in a copy of this process, and return what it acknowledged.

    Parameters
    ----------
    act : callable
        What it does; takes the file descriptor to acknowledge at.
    wait_s : float or None
        When it is killed; None for one that ends by itself.
    started : bool
        Counted from its first word on, not from its birth.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read)
            act(write)
        except BaseException as error:
            os.write(write, (json.dumps({"error": repr(error)}) + "\n").encode())
        finally:
            os._exit(1)
    os.close(write)
    try:
        with open(read, "rb") as stream:
            first = stream.readline() if started else b""
            if wait_s is not None:
                time.sleep(wait_s)
                os.kill(child, signal.SIGKILL)
            lines = [line for line in (first, *stream) if line.endswith(b"\n")]
    finally:
        os.waitpid(child, 0)
    return [json.loads(line) for line in lines]


def check(journal: Path, acknowledged: dict[str, Any] | None, *, at_most: int = 1) -> int:
    """Open a journal again; raise Lost unless all is there. Return how many steps more there are."""
    try:
        session = begin(journal)
    except ScutoidError as error:
        raise Lost(f"it does not open: {error}") from error
    try:
        if acknowledged is None:
            return 0
        moves = session.history.moves
        more = len(moves) - acknowledged["moves"]
        if more < 0:
            raise Lost(f"{-more} of {acknowledged['moves']} acknowledged steps are gone")
        if more > at_most:
            raise Lost(f"{more} steps are there that nobody made")
        if acknowledged["moves"] and moves[acknowledged["moves"] - 1].head != acknowledged["head"]:
            raise Lost("the head is elsewhere")
        session.jump(acknowledged["head"])
        if digest(session) != acknowledged["digest"]:
            raise Lost("the labels are not as they were")
        return more
    finally:
        session.close()


def tear(journal: Path, seed: int) -> int:
    """Make an edit of which only a part reaches the disk; raise Lost unless all earlier ones are there.

    Return 1 where that part was enough for the edit itself.
    """
    chance = random.Random(seed)
    folder = journal.parent / "torn"
    shutil.copytree(journal.parent, folder, ignore=shutil.ignore_patterns("torn"))
    copy = folder / journal.name
    wal = copy.with_name(f"{copy.name}-wal")

    def edit(tell: int) -> None:
        session = begin(copy)
        n = len(session.history)
        while len(session.history) == n:
            before = {file: file.read_bytes() for file in (copy, wal)}
            os.write(tell, (json.dumps(told(session)) + "\n").encode())
            step(session, chance)
        after = wal.read_bytes()
        old = before[wal].ljust(len(after), b"\0")
        differing = [i for i in range(len(after)) if after[i] != old[i]]
        cut = chance.randint(differing[0], differing[-1])
        wal.write_bytes(after[:cut] + chance.choice([old[cut:], chance.randbytes(len(after) - cut), b""]))
        copy.write_bytes(before[copy])
        os.kill(os.getpid(), signal.SIGKILL)

    try:
        return check(copy, _last(run_child(edit, None)))
    finally:
        shutil.rmtree(folder)


def _last(acknowledged: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    wrong = [one for one in acknowledged if "digest" not in one]
    if wrong:
        raise Lost(f"the child went wrong: {wrong[0]}")
    return acknowledged[-1] if acknowledged else None


def kill_once(journal: Path, kind: str, seed: int) -> tuple[int, int]:
    """Kill a child once; return how many steps were acknowledged, and how many more were kept."""
    chance = random.Random(seed)
    network = journal_file.is_on_network
    if kind == "rollback":
        journal_file.is_on_network = lambda path: True
    try:
        wait_s, started = chance.uniform(0, LONGEST_S), chance.random() < 0.8
        found = run_child(lambda tell: edit_until_killed(journal, seed, kind, tell), wait_s, started=started)
        last = _last(found)
        more = check(journal, last)
        if kind == "torn":
            more = tear(journal, seed)
    finally:
        journal_file.is_on_network = network
    return 0 if last is None else last["moves"] - found[0]["moves"], more


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="of each kind")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args(arguments)
    counts: dict[str, collections.Counter[str]] = {kind: collections.Counter() for kind in wanted.kinds}
    drain(Session.begin(base(), NO_WALLS)).close()  # compiles what all children use
    for kind in wanted.kinds:
        for first in range(0, wanted.kills, KILLS_A_JOURNAL):
            with tempfile.TemporaryDirectory(prefix="scutoid-kill-") as folder:
                journal = Path(folder) / "stack.corrections.sqlite"
                for number in range(first, min(first + KILLS_A_JOURNAL, wanted.kills)):
                    try:
                        done, more = kill_once(journal, kind, wanted.seed + 1000 * KINDS.index(kind) + number)
                    except Lost as lost:
                        print(f"{kind}, kill {number}, seed {wanted.seed}: {lost}", file=sys.stderr)
                        counts[kind]["lost"] += 1
                        break
                    counts[kind].update({"kills": 1, "steps": done, "more": more})
    print(f"{'':<10}{'kills':>8}{'acknowledged':>14}{'kept unasked':>14}{'lost':>6}")
    for kind, count in counts.items():
        print(f"{kind:<10}{count['kills']:>8}{count['steps']:>14}{count['more']:>14}{count['lost']:>6}")
    return int(any(count["lost"] for count in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
