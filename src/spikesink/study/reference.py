"""docs/config.md: every key of a study's config with its type, default and text, generated from the settings.

``python -m spikesink.study.reference > docs/config.md`` writes it.
"""

import json
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, get_type_hints

from spikesink.study.docstrings import field_texts
from spikesink.study.settings import Config

HEAD = """\
# Every key of a study's config

This page is generated from the docstrings of `src/spikesink/study/settings`. `make docs` writes it; a test fails where
the two differ. [`config.yaml`](../config.yaml) shows the keys that people change.

A config is made from several files, the later over the earlier, key by key:

1. the sections corpus, evaluation, tokenizer, model, training, pretrained, measures and resources of
   `workflow/scales/<scale>.yaml`,
2. `config.yaml`,
3. the files after `--configfile`, in their order. A file that names both `study` and `scale` is a whole study: nothing
   of the files before it remains,
4. what stands after `--config`, for example `--config 'seeds=[0, 1, 2]' 'training={steps: 300}'`.

A default below is the value where none of them has the key; "required" means that one of them must. An unknown key, or
a value of another type, stops the study with one line that names it.

In a variant's `model` and `training`, a number may be a multiple of the baseline's value of the same key: `0.25x` is a
quarter of it. In `loss_window` multiples are of the baseline's `sequence_length`; in a grid (`cross`) they are of the
value of the variant that the grid is crossed with. A setting that is a whole number must come out whole.
"""
PLACEHOLDERS = {
    "variants": "variants.<ablation>.<variant>",
    "cross": "cross.<ablation>",
    "pretrained": "pretrained.<name>",
}
"""Sections that are mappings of names: where their keys stand."""

TYPES = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`", type(None): "null", Any: "value"}
PLURALS = {"whole number": "whole numbers", "number": "numbers", "text": "texts"}


def page() -> str:
    """The whole page, in Markdown."""
    return "\n".join([HEAD, *sections(Config, "")])


def sections(kind: type, path: str) -> Iterator[str]:
    """The table of a section, then those of the sections inside it."""
    hints, texts = get_type_hints(kind), field_texts(kind)
    inner = {field.name: settings_in(hints[field.name]) for field in fields(kind)}
    yield f"## `{path}`\n" if path else "## The study\n"
    if path:
        yield f"{one_line(typing.cast(str, kind.__doc__))}\n"
    yield "| key | type | default | |"
    yield "|---|---|---|---|"
    for field in fields(kind):
        if inner[field.name] and is_dataclass(hints[field.name]):
            type_, default = "section", "see below"
        else:
            type_, default = type_text(hints[field.name]), default_text(field)
        cells = (f"`{field.name}`", type_, default, one_line(texts[field.name]))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""
    for name, section in inner.items():
        if section:
            place = f"{path}.{name}" if path else PLACEHOLDERS.get(name, name)
            yield from sections(section, place)


def settings_in(kind: Any) -> type | None:
    """The settings class that values of a type are, or hold; None for single values."""
    if is_dataclass(kind):
        return kind
    found = (settings_in(member) for member in typing.get_args(kind))
    return next((member for member in found if member), None)


def type_text(kind: Any) -> str:
    """A type in words: whole number, `a` or `b`, list of texts."""
    origin, members = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return " or ".join(f"`{member}`" for member in members)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_text(member) for member in members)
    if origin is tuple:
        number = "" if members[-1] is ... else f"{len(members)} "
        one = type_text(members[0])
        return f"list of {number}{PLURALS.get(one, one)}"
    if origin is dict or is_dataclass(kind):
        return "mapping"
    return TYPES[kind]


def default_text(field: Field) -> str:
    """The default as YAML has it."""
    value = field.default_factory() if field.default_factory is not MISSING else field.default
    if value is MISSING:
        return "required"
    if is_dataclass(value):
        return "see below"
    return f"`{json.dumps(value)}`"


def one_line(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return re.sub(r"\s+", " ", text).strip().replace("<", "\\<")


if __name__ == "__main__":
    print(page(), end="")
