"""Texts to numbers and truth values, where a setting's type expects them.

A config file gives texts (``spikesink.study.strict_yaml``), as ``snakemake --config 'seeds=[0, 1]'`` does inside a list
or a mapping. The type of a setting says what is meant: a label 1e-3 stays text, a learning rate 1e-3 is a number.
"""

import re
import types
import typing
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from typing import Any

from spikesink.study.settings import Model, Training, Variant

INTEGER = re.compile(r"[+-]?\d{1,40}")
NUMBER = re.compile(r"[+-]?((\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|\.inf)|\.nan", re.I)
TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
"""The words of YAML 1.1, also with a capital or in capitals."""
NULL = ("null", "~", "")


def from_text(kind: Any, value: Any) -> Any:
    """``value`` for a setting of type ``kind``, its texts converted where the type wants no text."""
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    members = typing.get_args(kind) if union else (kind,)
    if isinstance(value, Mapping):
        return {key: from_text(kind_of(members, key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [from_text(kind_at(members, place), item) for place, item in enumerate(value)]
    if not isinstance(value, str) or str in members or len(value) > 400:
        return value
    if type(None) in members and value.lower() in NULL:
        return None
    if bool in members and value in (word := value.lower(), word.capitalize(), word.upper()):
        return TRUTH.get(word, value)
    if int in members and INTEGER.fullmatch(value):
        return int(value)
    is_number = (int in members or float in members) and NUMBER.fullmatch(value)
    return float(value.replace(".inf", "inf").replace(".nan", "nan")) if is_number else value


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
    """The types of a class of settings. A variant holds parts of a model and of a training."""
    return typing.get_type_hints(kind) | ({"model": Model, "training": Training} if kind is Variant else {})
