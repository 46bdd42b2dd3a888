"""Files and folders that appear whole or not at all, and that survive a kill, a full disk or a power cut.

A new file is written inside a hidden folder beside its final place. When it is complete and on the disk, it is renamed.
A folder that is removed is first renamed to such a hidden folder. So whatever a process leaves behind when it dies lies
in hidden folders, and ``clear`` finds them. It is a hidden folder and not a hidden file, because some libraries write
through further files beside the one that they are asked for.

Uses the standard library only.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

AFFECTS_RESULTS = False


def part_folder(path: Path) -> Path:
    """The hidden folder beside ``path`` for a new file that is not complete yet, or an old one on its way out."""
    return path.with_name(f".{path.name[:240]}.part")  # file systems allow 255 bytes


def part(path: Path) -> Path:
    """Path of the temporary file or folder that replaces ``path`` when it is complete."""
    return part_folder(path) / path.name


@contextmanager
def whole(path: str | Path, durable: bool = True) -> Iterator[Path]:
    """Yield ``part(path)``, to be written as a file or a folder; it becomes ``path`` when the body has ended.

    Creates the folders around ``path`` and replaces what is there. Files get the permissions of the umask, whatever the
    library that writes them prefers. When the body or the disk fails, nothing of the new file stays and ``path`` is
    left as it was. With ``durable`` the new file is on the disk before it gets its name. Without, it may be lost in a
    power cut: this is for many small files that can be made again.
    """
    path = Path(path)
    delete(part_folder(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        part_folder(path).mkdir()
        yield part(path)
        set_permissions(part(path), part_folder(path).stat().st_mode & 0o666)
        if durable:
            synchronise(part(path))
        if path.is_dir():  # os.replace does not replace folders
            shutil.rmtree(path)
        os.replace(part(path), path)
        if durable:
            synchronise_names(path.parent)
    finally:
        with suppress(OSError):
            delete(part_folder(path))


def remove(path: Path) -> None:
    """Remove a folder in one step: nobody finds half of it."""
    delete(part_folder(path))
    os.replace(path, part_folder(path))
    synchronise_names(path.parent)
    delete(part_folder(path))


def clear(folder: Path) -> None:
    """Delete the hidden folders that a killed process left: those inside ``folder``, and that of ``folder`` itself."""
    for left in (part_folder(folder), *folder.rglob(".*.part")):
        delete(left)


def delete(path: Path) -> None:
    """Delete a file or a folder, which need not exist."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def set_permissions(path: Path, mode: int) -> None:
    """Give a file, or every file in a folder, the permissions ``mode``."""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file() and file.stat().st_mode & 0o777 != mode:
            file.chmod(mode)


def synchronise(path: Path) -> None:
    """Return when a file, or a folder and everything in it, is on the disk."""
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
    """Return when the names of the files in ``folder`` are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network disks cannot do this for folders
            raise
    finally:
        os.close(descriptor)
