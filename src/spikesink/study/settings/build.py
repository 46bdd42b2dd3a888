"""Build settings from plain values, without pydantic."""

import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

AFFECTS_RESULTS = False


def build(kind: Any, value: Any) -> Any:
    """Settings of type ``kind`` from the plain value that JSON holds. Raises TypeError for an unknown key."""
    if isinstance(value, Mapping):
        kind = next((member for member in typing.get_args(kind) if is_dataclass(member)), kind)  # of X | None take X
    if is_dataclass(kind) and isinstance(value, Mapping):
        hints = typing.get_type_hints(kind)
        unknown = set(value) - {member.name for member in fields(kind)}
        if unknown:
            raise TypeError(f"{kind.__name__} has no key {sorted(unknown)[0]!r}")
        return kind(**{name: build(hints[name], item) for name, item in value.items()})
    if isinstance(value, list):
        return tuple(value)
    return value
