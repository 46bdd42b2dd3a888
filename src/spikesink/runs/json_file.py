"""Reading JSON objects: one that is missing or damaged stops with one line."""

import json
from pathlib import Path

from spikesink.study.errors import InputError

AFFECTS_RESULTS = False


def read_json(path: Path, remedy: str) -> dict:
    """The JSON object in a file. Raises InputError, whose message ends with ``remedy``: what the user should do."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): {remedy}") from error
    return json_object(content, str(path), remedy)


def json_object(text: str | bytes, name: str, remedy: str) -> dict:
    """The JSON object in a text; ``name`` says in the error where the text is from. Raises InputError."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{name}: not valid JSON ({error}): {remedy}") from error
    if not isinstance(content, dict):
        raise InputError(f"{name}: holds no JSON object: {remedy}")
    return content
