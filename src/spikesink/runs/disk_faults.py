"""What a disk can refuse, and what to do about it: said in one place, whatever library met the refusal."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spikesink.study.errors import ConfigError, InputError

AFFECTS_RESULTS = False

REMEDIES = {
    errno.ENOSPC: "free space there, then run the same command again",
    errno.EDQUOT: "free space of your quota there, then run the same command again",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), then run the same command again",
    errno.EIO: "the disk fails: copy what is on it to another one",
    errno.EACCES: "ask its owner for permission, or change its mode with chmod",
    errno.EPERM: "ask its owner for permission, or change its mode with chmod",
    errno.EROFS: "use a disk that can be written",
}
IN_TEXT = re.compile(r"\(os error (\d+)\)|\[Errno (\d+)\]")
"""How libraries in other languages pass the system's error on."""


def number_of(error: BaseException) -> int | None:
    """The system's number of an error that a disk caused; None for any other error."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if found := IN_TEXT.search(str(error)):
        return int(found[1] or found[2])
    if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):
        return error.__context__.errno  # torch.save speaks of its own format instead
    spoken = [number for number in REMEDIES if os.strerror(number) in str(error)]
    return spoken[0] if spoken else None


@contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """While ``path`` is written: what a library makes of the system's error becomes OSError again, with the path."""
    try:
        yield
    except (ConfigError, InputError):
        raise
    except Exception as error:
        number = number_of(error)
        if number is None or (isinstance(error, OSError) and error.filename):
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def in_one_line(error: OSError) -> str:
    """The file, the fault and what to do."""
    return f"{error.filename or 'output'}: {error.strerror}: {REMEDIES.get(error.errno, 'check the path')}"


def unreadable(path: Path, error: OSError, remedy: str) -> InputError:
    """The error of a file that cannot be read: ``remedy`` where it is missing, else what the disk needs."""
    said = error.strerror or os.strerror(error.errno or errno.ENOENT)
    return InputError(f"{path}: cannot be read ({said}): {REMEDIES.get(error.errno, remedy)}")
