"""A lock on a run's folder: only one process trains into it, on one machine or on several that share a disk.

The lock is a POSIX record lock (fcntl). Most network disks pass this kind between machines: NFS from version 3 on, and
CephFS, GPFS, Lustre and BeeGFS when mounted with locks. The lock belongs to the process. It is released when the
process ends, in whatever way, so a killed run never blocks its retry. Child processes do not inherit it. That the lock
file exists means nothing: only the lock on it counts.
"""

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spikesink.training.storage.disk_errors import disk_errors

AFFECTS_RESULTS = False

PATIENCE_SECONDS = 5.0
"""How long to wait for the lock: a retry may start while the process before it is still ending."""


class InUse(Exception):
    """Another process works on the folder. The message is one line that names it and says what to do."""


@contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Hold the lock of ``folder``; its file lies beside the folder.

    Raises InUse if another process still holds it after ``PATIENCE_SECONDS``, and DiskError.
    """
    path = folder.with_name(f".{folder.name}.lock")
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = acquire(path, folder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {os.uname().nodename}".encode(), 0)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # the lock is still held, so the file is not another process's
        os.close(descriptor)


def acquire(path: Path, folder: Path) -> int:
    """Lock the file ``path``; returns its descriptor. A disk without locks: prints a warning, returns it unlocked."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # a lock that is taken: which error depends on the system
            holder = os.pread(descriptor, 1000, 0).decode(errors="replace") or "another process"
            os.close(descriptor)
            if time.monotonic() > deadline:
                raise InUse(
                    f"{folder} is in use by {holder}, which trains into it: wait until it has ended, or end it first"
                ) from None
            time.sleep(0.1)
        except OSError as error:
            print(
                f"{path.parent} has no locks ({error.strerror}): nothing will stop a second process that trains into "
                f"{folder} at the same time",
                file=sys.stderr,
            )
            return descriptor
        else:
            if is_file(descriptor, path):
                return descriptor
            os.close(descriptor)  # the previous holder has just removed this file: try again


def is_file(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
