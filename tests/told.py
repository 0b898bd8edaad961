"""Run the command as a person does, and hold what it says to the one form of all messages."""

from __future__ import annotations

import pytest

from napari_scutoid import cli


def scutoid(*arguments: object) -> int:
    """Run a command and return its exit status."""
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


def assert_is_message(printed: str, *words: str) -> None:
    """Check that the last of the lines is the one message, and has the one form."""
    *progress, message = printed.splitlines()
    what, _, rest = message.removeprefix("Error: ").partition(": ")
    why, _, try_this = rest.rpartition(". What to try: ")
    assert message.startswith("Error: ") and what and why and try_this.endswith("."), message
    assert [word for word in words if word not in message] == [], message
    assert not any(line.startswith(("Error", "Traceback", " ")) for line in progress)
