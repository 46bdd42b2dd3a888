"""A disk that cannot be written ends a run in one line that says what to do."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from torch.distributed.checkpoint.api import CheckpointException

from spikesink.runs.disk_faults import REMEDIES, number_of

AFFECTS_RESULTS = False


class DiskError(Exception):
    """A folder that cannot be written. The message is one line that names it and says what to do."""


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn whatever keeps the body from writing in ``folder`` into a DiskError."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError, CheckpointException) as error:
        # Of shards: the exception holds an error for every rank that could not write.
        cause = next(iter(error.failures.values()))[0] if isinstance(error, CheckpointException) else error
        number = number_of(cause)
        if isinstance(error, RuntimeError) and number is None:
            raise
        reason = os.strerror(number) if number else " ".join(str(cause).split())
        remedy = REMEDIES.get(number, "free space there or make it writable, then run the same command again")
        raise DiskError(
            f"{folder} cannot be written ({reason}): {remedy}; the run resumes from its last checkpoint"
        ) from error
