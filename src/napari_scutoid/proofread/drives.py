"""Which folders lie on another computer: SQLite's write-ahead log does not work there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NETWORK_TYPES = frozenset(
    "nfs nfs4 cifs smb smb2 smb3 smbfs afpfs webdav davfs fuse.davfs 9p afs ncpfs fuse.sshfs fuse.rclone beegfs ceph"
    " fuse.glusterfs lustre gpfs".split()
)
"""Types of file systems on other computers, as Linux and macOS name them; Windows says of each drive if it is one."""


def is_on_network(path: str | Path) -> bool:
    """Whether a file lies, or would lie, on a drive of another computer, as far as the system says so."""
    import psutil

    real = os.path.realpath(path)
    if real.startswith("\\\\"):
        return True
    try:
        drives = psutil.disk_partitions(all=True)
    except (OSError, RuntimeError):
        return False
    around = [drive for drive in drives if _holds(drive.mountpoint, real)]
    if not around:
        return False
    # Of two drives at one place, the one mounted last is seen.
    drive = max(enumerate(around), key=lambda one: (len(one[1].mountpoint), one[0]))[1]
    return "remote" in drive.opts.split(",") or drive.fstype.lower() in NETWORK_TYPES


def _holds(mountpoint: str, real: str) -> bool:
    folder = os.path.normcase(mountpoint)
    return os.path.normcase(real).startswith(folder if folder.endswith(os.sep) else folder + os.sep)
