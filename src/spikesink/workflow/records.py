"""Snakemake's records, kept beside the results that they describe.

Snakemake notes for every output what it was made from: parameters, inputs and their checksums. By these it decides what
to run again. It keeps its notes in .snakemake, away from the results. Where they are missing it goes by file times
alone: it runs again what a copy has given a new time, and does not see that a setting has changed. So every study has a
copy of its notes in results/<study>/records/. Where the two differ, the newer one counts.

How Snakemake stores its notes is not documented. What is assumed here was tested with Snakemake 9.27: a JSON file per
output in .snakemake/metadata, named by the base64 of the output's path, with the time ``endtime`` at which the output
was made, and the format of the record, 6, in ``record_format_version``. Where it looks otherwise, one line says so, and
Snakemake works on without the copies.
"""

import base64
import binascii
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from spikesink.runs.atomic import whole
from spikesink.runs.inside import inside

LIVE = Path(".snakemake/metadata")
FORMATS = (6,)
"""The formats of records that this module was tested with."""
TIME = "time"
"""A file beside the records that states its own time."""


def exchange_records(results: str | Path) -> None:
    """Make the records of the outputs under ``results`` (relative to the working directory) the same in both places."""
    results = Path(results)
    kept = results / "records"
    found = record_files(LIVE)
    if found and (fault := unknown_layout(f"{LIVE}/{found[0]}")):
        print(f"{fault}, unlike in Snakemake 9.27: {kept} stays as it is, so copies may be made anew", file=sys.stderr)
        return
    there = {name for name in (*found, *record_files(kept)) if belongs(name, f"{results.as_posix()}/")}
    for name in there:
        here, copy = f"{LIVE}/{name}", f"{kept}/{name}"
        one, other = content(here), content(copy)
        if one == other:
            continue
        newer, target = (one, copy) if ended(one) > ended(other) else (other, here)
        if ended(newer) >= 0:
            write(target, newer)
        elif one:  # Snakemake would stop on it
            print(f"{here}: damaged, and there is no other copy: removed", file=sys.stderr)
            os.unlink(here)
    if kept.is_dir() and has_lost_times(kept):
        restore_times(kept, results)


def belongs(record: str, results: str) -> bool:
    """Whether a record describes an output in ``results``, which ends in /: the records of a copy may name any file."""
    output = described(record)
    return output.startswith(results) and ".." not in output.split("/")


def unknown_layout(path: str) -> str:
    """How a record of Snakemake differs from those that are known here; empty where it does not."""
    try:
        record = json.loads(content(path))
    except ValueError:
        return ""  # being written, or cut off
    if not isinstance(record, dict) or "endtime" not in record:
        return f"{path} states no time"
    version = record.get("record_format_version")
    return "" if version in FORMATS else f"{path} has format {version}"


def has_lost_times(kept: Path) -> bool:
    """Whether this is a copy whose files do not have their original times: a file that states its own time shows it."""
    note = kept / TIME
    try:
        known = note.stat().st_mtime == float(content(str(note)))
    except (FileNotFoundError, ValueError):
        known = False
    if not known:
        write(str(note), b"1e9\n")
        os.utime(note, (1e9, 1e9))
    return not known


def restore_times(kept: Path, results: Path) -> None:
    """Give every output the time at which it was made. By these times Snakemake sees which input came later."""
    root = f"{results.as_posix()}/"
    for name in record_files(kept):
        time = ended(content(f"{kept}/{name}"))
        with suppress(OSError, OverflowError, ValueError):  # no file any more, no time, a file outside the folder
            if time > 0 and belongs(name, root):
                os.utime(inside(results, described(name).removeprefix(root), Path(name)), (time, time))


def record_files(folder: Path) -> list[str]:
    """Names of all records in ``folder``, as text because they are many; that of a long output path has folders."""
    return [
        f"{parent}/{name}".removeprefix(f"{folder}/")
        for parent, _, names in os.walk(folder)
        if not parent.endswith(".part")
        for name in names
        if name != TIME
    ]


def described(record: str) -> str:
    """The output that a record describes, from its name: base64 in parts, all but the last after an @."""
    try:
        return base64.urlsafe_b64decode("".join(part.removeprefix("@") for part in record.split("/"))).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def content(record: str) -> bytes:
    """The text of a record; nothing where there is none."""
    try:
        with open(record, "rb", buffering=0) as file:
            return file.read()
    except FileNotFoundError:
        return b""


def ended(record: bytes) -> float:
    """The time at which the job ended; -1 for a record that is missing or damaged, so that it is older than any."""
    try:
        return float(json.loads(record)["endtime"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return -1.0


def write(target: str, record: bytes) -> None:
    """Write a record whole, or not at all."""
    with whole(target, durable=False) as part:  # a study has tens of thousands of records
        part.write_bytes(record)
