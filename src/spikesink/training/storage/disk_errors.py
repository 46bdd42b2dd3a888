"""A disk that cannot be written ends a run in one line that says what to do."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from torch.distributed.checkpoint.api import CheckpointException

from spikesink.runs.disk_faults import number_of

AFFECTS_RESULTS = False


class DiskError(Exception):
    """A folder that cannot be written. The message is one line that names it and says what to do."""


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn whatever keeps the body from writing in ``folder`` into a DiskError."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError, CheckpointException) as error:
        if isinstance(error, RuntimeError) and number_of(error) is None:
            raise
        raise DiskError(
            f"{folder} cannot be written ({reason(error)}): free space there or make it writable, then start the run "
            "again; it resumes from its last checkpoint"
        ) from error


def reason(error: BaseException) -> str:
    """What the system says, without the paths and tracebacks that libraries put around it."""
    if isinstance(error, CheckpointException):  # of shards: it holds an error for every rank that could not write
        error = next(iter(error.failures.values()))[0]
    text = " ".join(str(error).split())
    number = number_of(error)
    return os.strerror(number) if number else text
