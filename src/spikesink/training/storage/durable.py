"""Files and folders that appear whole or not at all, and stay: after a kill, a full disk or a power cut.

What is written grows in a hidden folder until it is complete and on the disk; what is removed is renamed to that folder
first. So whatever a process leaves behind that dies in the middle of either is in there, and ``clear`` finds it. A
folder rather than a file, because libraries write through files of their own beside the one they are asked for.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError
from torch.distributed.checkpoint.api import CheckpointException


class DiskError(Exception):
    """A folder that cannot be written. The message is one line that names it and says what to do."""


def part_of(path: Path) -> Path:
    """The hidden folder of what is to become ``path``, or is no longer it."""
    return path.with_name(f".{path.name}.part")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Whatever keeps the body from writing in ``folder`` becomes a DiskError."""
    try:
        yield
    except (OSError, SafetensorError, CheckpointException) as error:
        raise DiskError(
            f"{folder} cannot be written ({reason(error)}): free space there or make it writable, then start the run "
            "again; it resumes from its last checkpoint"
        ) from error


def reason(error: BaseException) -> str:
    """What the system says, without the paths and tracebacks that libraries put around it."""
    if isinstance(error, CheckpointException):  # of shards, a reason for every rank that could not write its own
        error = next(iter(error.failures.values()))[0]
    text = " ".join(str(error).split())
    if number := re.search(r"\(os error (\d+)\)", text):  # how safetensors passes the system's error on
        return os.strerror(int(number[1]))
    return getattr(error, "strerror", None) or text


def growing(path: Path) -> Path:
    """Where what is to become ``path`` grows."""
    return part_of(path) / path.name


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """``growing(path)`` for a new file or folder, which becomes ``path`` when the body has written all of it.

    Nothing of it stays when the body, or the disk, fails. Raises DiskError.
    """
    with writing(path.parent):
        delete(part_of(path))
        try:
            part_of(path).mkdir()
            yield growing(path)
            synchronise(growing(path))
            if path.is_dir():  # which os.replace would not replace
                shutil.rmtree(path)
            os.replace(growing(path), path)
            synchronise_names(path.parent)
        finally:
            with suppress(OSError):
                delete(part_of(path))


def remove(path: Path) -> None:
    """Remove a folder as one: nobody finds a half of it."""
    with writing(path.parent):
        delete(part_of(path))
        os.replace(path, part_of(path))
        synchronise_names(path.parent)
        delete(part_of(path))


def clear(folder: Path) -> None:
    """Delete what a process that died left of its writing and removing, in ``folder`` and as which it was removed."""
    with writing(folder):
        for part in (part_of(folder), *folder.rglob(".*.part")):
            delete(part)


def delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def synchronise(path: Path) -> None:
    """Have a file, or a folder and all in it, on the disk."""
    if path.is_dir():
        for entry in path.iterdir():
            synchronise(entry)
        synchronise_names(path)
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def synchronise_names(folder: Path) -> None:
    """Have the names of what is in ``folder`` on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network disks have no such thing for folders
            raise
    finally:
        os.close(descriptor)
