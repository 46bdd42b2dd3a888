"""One run at a time on a folder, on one machine or on several that share a disk.

The lock is a POSIX record lock (fcntl), the kind that most network disks pass between machines (NFS from version 3 on,
CephFS, GPFS, Lustre and BeeGFS when mounted with locks). It belongs to the process: it ends with it however that ends,
so a killed run is never in the way of its retry, and no child inherits it. The file itself means nothing.
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
"""A retry may start while the process before it is still ending."""


class InUse(Exception):
    """Another process works on the folder. The message is one line that names it and says what to do."""


@contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Hold the lock of ``folder``, a file beside it. Raises InUse after ``PATIENCE_SECONDS``, DiskError."""
    path = folder.with_name(f".{folder.name}.lock")
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = acquire(path, folder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {os.uname().nodename}".encode(), 0)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: nobody else's file is removed
        os.close(descriptor)


def acquire(path: Path, folder: Path) -> int:
    """The descriptor of the locked file."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # systems differ in how they say that it is taken
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
            os.close(descriptor)  # whoever held it has just removed it


def is_file(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one that has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
