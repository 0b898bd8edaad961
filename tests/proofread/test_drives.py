"""Drives of other computers are told from those of this one."""

from __future__ import annotations

import os
from types import SimpleNamespace

import psutil
import pytest

from napari_scutoid.proofread import drives


def drive(mountpoint, fstype, opts="rw"):
    return SimpleNamespace(mountpoint=mountpoint, fstype=fstype, opts=opts)


@pytest.mark.skipif(os.name == "nt", reason="the paths are those of Linux and macOS")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/lab/stack.sqlite", True),
        ("/lab/local/stack.sqlite", False),
        ("/laboratory/stack.sqlite", False),
        ("/share/a/b.sqlite", True),
        ("/disk/a.sqlite", True),
        ("/over/a.sqlite", False),
    ],
)
def test_the_innermost_drive_counts(monkeypatch, path, expected):
    found = [
        drive("/", "ext4"),
        drive("/lab", "nfs4"),
        drive("/lab/local", "xfs"),
        drive("/share", "CIFS"),
        drive("/disk", "NTFS", "rw,remote"),
        drive("/over", "nfs"),
        drive("/over", "ext4"),
    ]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: found)
    assert drives.is_on_network(path) is expected


def test_a_system_that_says_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [])
    assert not drives.is_on_network(tmp_path)

    def fail(all):
        raise OSError

    monkeypatch.setattr(psutil, "disk_partitions", fail)
    assert not drives.is_on_network(tmp_path)
