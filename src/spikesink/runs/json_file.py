"""Reading JSON objects: one that is missing or damaged stops with one line."""

import hashlib
import json
from pathlib import Path

from spikesink.runs.disk_faults import unreadable
from spikesink.runs.json_kinds import check_kinds
from spikesink.runs.sums import delete_and_run, intact
from spikesink.study.errors import InputError

AFFECTS_RESULTS = False

OWN_SUM = "sum"
"""The key under which an object states its own sum."""


def read_json(path: Path, remedy: str, kinds: dict | None = None) -> dict:
    """The JSON object in a file, whose values are of these ``kinds``, see ``json_kinds``.

    Raises InputError, whose message ends with ``remedy``: what the user should do.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error, remedy) from error
    found = json_object(content, str(path), remedy)
    check_kinds(found, kinds or {}, str(path), remedy)
    return found


def read_intact_json(path: Path, remedy: str, kinds: dict | None = None) -> dict:
    """The JSON object in a file that is what was written. Raises InputError.

    What says so is a note beside it, or the sum that the object states of itself.
    """
    content = read_json(intact(path, remedy), remedy, kinds)
    if content.get(OWN_SUM) not in (None, sum_of(content)):
        raise InputError(f"{path}: is not what was written, its sum differs: {delete_and_run(path)}")
    return content


def with_sum(content: dict) -> dict:
    """The object with a statement of its own sum."""
    return content | {OWN_SUM: sum_of(content)}


def sum_of(content: dict) -> str:
    """The SHA-256 of all that an object says but its own sum."""
    rest = {key: value for key, value in content.items() if key != OWN_SUM}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def json_object(text: str | bytes, name: str, remedy: str) -> dict:
    """The JSON object in a text; ``name`` says in the error where the text is from. Raises InputError."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not valid JSON ({error}): {remedy}") from error
    if not isinstance(content, dict):
        raise InputError(f"{name}: holds no JSON object: {remedy}")
    return content
