"""What values a JSON object must hold: a file that a person edited or a foreign study brought may hold anything."""

from collections.abc import Iterator
from typing import Any

from spikesink.study.errors import InputError

AFFECTS_RESULTS = False

NUMBER = (int, float)
ANY = "*"
"""In place of a key: every key of a mapping."""
ABSENT = object()
"""In place of the value of a key that is missing."""
WORDS = {str: "line of text", int: "whole number", NUMBER: "number", bool: "truth value", dict: "mapping", list: "list"}

RUN = {
    **dict.fromkeys(("study", "scale", "ablation", "variant"), str),
    **dict.fromkeys(("code?", "label?", "stands_for?"), str),
    "seed": int,
    "tokenizer?": {"vocabulary": int, "bos": str},
    "model": {"attention": {"heads": int, "head_dim": int}, "feed_forward": dict, "gate": dict},
    "training": {"sequence_length": int, "steps": int, "loss_window?": [NUMBER], "optimiser": dict},
}
"""run.json: the settings that later stages read. A key with a question mark may be null, and one with an exclamation
mark must be there."""
TRAINED_RUN = {
    **{f"{key}!": RUN[key] for key in ("study", "scale", "ablation", "variant", "seed", "model")},
    "tokenizer!": {"vocabulary!": int, "bos": str},
    "training!": {"sequence_length!": int, "steps!": int, "loss_window?": [NUMBER], "optimiser!": dict},
}
"""run.json, with the keys that training needs."""
MANIFEST = {
    "status": str,
    **dict.fromkeys(("why?", "digest?", "code?", "tokens_sha256?", "tokenizer_sha256?"), str),
    **dict.fromkeys(("steps?", "parameters?", "tokens?", "devices?"), int),
    **dict.fromkeys(("tokens_per_second?", "wall_seconds?"), NUMBER),
    **{key: {f"{ANY}?": str} for key in ("modules?", "versions?", "sha256?")},
    "git?": {"commit?": str, "dirty?": bool, "reason?": str},
    "hardware?": dict,
    "sources?": [{"file": str, "sha256": str}],
}
"""manifest.json of a run."""
PROGRESS = {"updated": str, "run": str, "step": int, "tokens_per_second?": NUMBER, "seconds_left?": NUMBER}
"""progress.json beside a run's checkpoints."""
CORPUS = {
    "kind!": str,
    "files!": [{"name": str, "bytes": int, "digest": str}],
    **dict.fromkeys(("dataset?", "revision?"), str),
    "tokenizer": {"name!": str, "kind!": str, "digest!": str, "beside!": {ANY: str}},
}
"""corpus.json: the files of a text, and of a tokenizer that is not made here."""
TOKENS = {"splits": {"train": {"sha256": str}}}
"""tokens.json of a text."""
PRETRAINED = {
    **dict.fromkeys(("source", "folder", "tokenizer", "bos"), str),
    **dict.fromkeys(("vocabulary", "parameters", "context"), int),
    **dict.fromkeys(("revision?", "bos_token?", "sha256?", "stored_as?"), str),
    "positions?": int,
    "files?": {ANY: {"digest!": str}},
    "packages?": [str],
    "converted_by?": {ANY: str},
}
"""pretrained.json of a published model."""
NEEDED = ("source", "folder", "tokenizer", "bos", "vocabulary", "parameters", "context")
MEASURED_MODEL = PRETRAINED | {f"{key}!": PRETRAINED[key] for key in NEEDED}
"""pretrained.json, with the keys that the jobs need which encode a text for the model and measure it."""


def check_kinds(content: dict[str, Any], kinds: dict[str, Any], name: str, remedy: str) -> None:
    """Raise InputError where a value that ``kinds`` names is something else; ``name`` is the file, for the message.

    A key may be missing, but not one with an exclamation mark, nor one in an item of a list.
    """
    for path, value, kind in faults(content, kinds, ""):
        if value is ABSENT:
            raise InputError(f"{name}: has no {path!r}: {remedy}")
        raise InputError(f"{name}: {path} = {str(value)[:80]!r} is no {WORDS.get(kind, 'mapping')}: {remedy}")


def faults(value: Any, kind: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """The path, value and kind of everything that is not of its kind."""
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            yield path, value, dict
            return
        for key in kind:
            if key.endswith("!") and key[:-1] not in value:
                yield f"{path}.{key[:-1]}".lstrip("."), ABSENT, kind[key]
        for key, item in value.items():
            names = (f"{key}?", f"{ANY}?", key, ANY) if item is None else (key, f"{key}?", ANY, f"{ANY}?")
            names += (f"{key}!",)
            found = next((name for name in names if name in kind), None)
            if found and not (item is None and found.endswith("?")):
                yield from faults(item, kind[found], f"{path}.{key}".lstrip("."))
    elif isinstance(kind, list):
        if not isinstance(value, list):
            yield path, value, list
            return
        for number, item in enumerate(value):
            complete = dict.fromkeys(kind[0]) | item if isinstance(kind[0], dict) and isinstance(item, dict) else item
            yield from faults(complete, kind[0], f"{path}[{number}]")
    elif not is_of(value, kind):
        yield path, value, kind


def is_of(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind: true and false are no numbers, and a text has no control characters."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, kind) and (kind is not str or value.isprintable())
