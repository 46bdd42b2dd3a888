"""Texts to numbers, where a number is expected.

YAML 1.1 reads 6e-4 as text, and ``snakemake --config 'seeds=[0, 1]'`` passes every value inside a list or a mapping as
text. The type of a setting says whether a number is meant: a label "1e-3" stays text.
"""

import re
import types
import typing
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from typing import Any

INTEGER = re.compile(r"[+-]?\d+")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
WORDS = {bool: {"true": True, "false": False}, type(None): {"null": None}}


def from_text(kind: Any, value: Any) -> Any:
    """``value`` for a setting of type ``kind``, its texts converted where the type wants no text."""
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    members = typing.get_args(kind) if union else (kind,)
    if isinstance(value, Mapping):
        return {key: from_text(kind_of(members, key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [from_text(kind_at(members, place), item) for place, item in enumerate(value)]
    if not isinstance(value, str) or str in members:
        return value
    for member, words in WORDS.items():
        if member in members and value in words:
            return words[value]
    if int in members and INTEGER.fullmatch(value):
        return int(value)
    return float(value) if float in members and NUMBER.fullmatch(value) else value


def kind_of(members: tuple, key: str) -> Any:
    """Type of the value under ``key`` in a mapping; Any where the key is unknown."""
    for member in members:
        if is_dataclass(member):
            return hints(member).get(key, Any)
        if typing.get_origin(member) is dict:
            return typing.get_args(member)[1]
    return Any


def kind_at(members: tuple, place: int) -> Any:
    """Type of the item at ``place`` in a list."""
    for member in members:
        if typing.get_origin(member) is tuple:
            kinds = typing.get_args(member)
            return kinds[0] if kinds[-1] is ... else (*kinds, *[Any] * place)[place]
    return Any


@cache
def hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)
