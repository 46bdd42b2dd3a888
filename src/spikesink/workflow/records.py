"""Snakemake's records, kept beside the results that they describe.

Snakemake notes for every output what it was made from: parameters, inputs and their checksums. By these it decides
what to run again, but keeps them in .snakemake, away from the results. Where they are missing it goes by file times
alone: it runs what a copy has given a new time, and misses what a setting has changed. So every study has a copy of its
notes, in results/<study>/records/, and of two that differ the newer counts.
"""

import base64
import binascii
import json
import os
from contextlib import suppress
from pathlib import Path

from spikesink.runs.atomic import whole

LIVE = Path(".snakemake/metadata")
TIME = "time"
"""A file beside the records that states its own time."""


def exchange_records(results: str | Path, live: Path = LIVE) -> None:
    """Make the records of the outputs under ``results`` (relative to the working directory) the same in both places."""
    kept = Path(results) / "records"
    belongs = f"{Path(results).as_posix()}/"
    there = {path for path in record_files(live) if described(path).startswith(belongs)}
    for path in there | set(record_files(kept)):
        one, other = content(live / path), content(kept / path)
        if one != other:
            newer, target = (one, kept / path) if ended(one) > ended(other) else (other, live / path)
            write(target, newer)
    if kept.is_dir() and has_lost_times(kept):
        restore_times(kept)


def has_lost_times(kept: Path) -> bool:
    """Whether this is a copy whose files have other times than the original: a file that states its own time tells."""
    note = kept / TIME
    try:
        known = note.stat().st_mtime == float(content(note))
    except (FileNotFoundError, ValueError):
        known = False
    if not known:
        write(note, b"1e9\n")
        os.utime(note, (1e9, 1e9))
    return not known


def restore_times(kept: Path) -> None:
    """Give every output the time at which it was made: by these times Snakemake sees which input came later."""
    for path in record_files(kept):
        time = ended(content(kept / path))
        with suppress(OSError):  # there may be none any more
            if time > 0:
                os.utime(described(path), (time, time))


def record_files(folder: Path) -> list[Path]:
    """Paths of all records relative to ``folder``; that of a long output path lies in folders."""
    return [
        Path(parent, name).relative_to(folder)
        for parent, _, names in os.walk(folder)
        for name in names
        if not parent.endswith(".part") and name != TIME
    ]


def described(record: Path) -> str:
    """The output that a record describes, from its name: base64 in parts, all but the last after an @."""
    try:
        return base64.urlsafe_b64decode("".join(part.removeprefix("@") for part in record.parts)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def content(record: Path) -> bytes:
    """Nothing where there is no record."""
    try:
        return record.read_bytes()
    except FileNotFoundError:
        return b""


def ended(record: bytes) -> float:
    """When the job ended; a record that is missing or damaged is older than any."""
    try:
        return float(json.loads(record)["endtime"])
    except (ValueError, KeyError, TypeError):
        return -1.0


def write(target: Path, record: bytes) -> None:
    """Whole or not at all."""
    with whole(target, durable=False) as part:  # a study has tens of thousands of records
        part.write_bytes(record)
