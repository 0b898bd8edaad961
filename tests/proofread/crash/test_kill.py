"""Programs killed in the middle of their corrections lose nothing; ``kill.py`` tries as many as one likes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the children are copies of the process, which Windows cannot make")
def test_killed_programs_lose_nothing():
    # A process of its own: what has started threads, as other tests' libraries have, cannot be copied.
    program = Path(__file__).with_name("kill.py")
    run = subprocess.run([sys.executable, program, "--kills", "2"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    rows = [line.split() for line in run.stdout.splitlines()[1:]]
    assert [row[0] for row in rows] == ["killed", "rollback", "full", "torn"]
    assert [row[1] for row in rows] == ["2"] * 4
