"""Settings from plain values, strictly: a fault becomes one line that names its key."""

import difflib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from spikesink.study.errors import ConfigError
from spikesink.study.from_text import from_text
from spikesink.study.run import canonical
from spikesink.study.settings import Measures, Model, Valve

UNKNOWN = "unexpected_keyword_argument"
FORMER_KEYS = {
    (Measures, "spike_ratio"): "spike_over_median",
    (Model, "value"): "value_valve",
    (Model, "key"): "key_valve",
}
"""Former names of keys, and what they are called now."""
REMEDIES = {
    "string_type": ": write a text, in quotes",
    "tuple_type": ": write a list, for example [0, 1]",
    "dict_type": ": write a mapping, for example {key: value}",
    "dataclass_type": ": write a mapping, for example {key: value}",
    "bool_type": ": write true or false",
    "int_type": ": write a whole number",
    "float_type": ": write a number",
}
"""What to do about a value of a wrong type, where pydantic says only what is wrong."""
FORMER_KINDS = {(Valve, "plain"): "none"}


@cache
def adapter(kind: type) -> TypeAdapter:
    """The checker of settings of type ``kind``."""
    return TypeAdapter(kind)


def check(kind: type, value: Any, path: str) -> Any:
    """Settings of type ``kind`` from plain values. Raises ConfigError that names a wrong key, an unknown one first."""
    try:
        # Strict JSON mode: lists may become tuples, but text never becomes a number nor a number a truth value.
        plain = to_json(from_text(kind, value), inf_nan_mode="constants")
        return adapter(kind).validate_json(plain, strict=True)
    except ValidationError as error:
        # A key that is unknown before one that is missing: it may be the missing one, misspelt.
        fault = min(error.errors(), key=lambda fault: fault["type"] != UNKNOWN)
        raise ConfigError(explain(kind, fault, path)) from error
    except PydanticSerializationError as error:
        raise ConfigError(f"{path or 'config'}: {error}") from error


def explain(kind: type, fault: Mapping, path: str) -> str:
    """One line from a pydantic error: key, value, remedy."""
    location = [str(part) for part in fault["loc"]]
    key = ".".join([path, *location] if path else location) or "config"
    value = canonical(fault["input"])
    value = value if len(value) <= 80 else value[:77] + "..."
    holder = settings_at(kind, fault["loc"][:-1])
    if fault["type"] == UNKNOWN:
        return f"{key} = {value}: unknown key; {known_name(holder, location[-1])}"
    if fault["type"] == "missing":
        return f"{key}: missing; set it in config.yaml, or in the file of the scale"
    if fault["type"] == "value_error":
        return f"{key}: {fault['ctx']['error']}"
    message, remedy = fault["msg"], REMEDIES.get(fault["type"], "")
    if fault["type"] == "literal_error":
        message = "use one of " + fault["ctx"]["expected"].replace(" or ", ", ")
        if isinstance(fault["input"], str) and (now := FORMER_KINDS.get((holder, fault["input"]))):
            message = f"it is called {now!r} now"
    if fault["loc"] == ("ablations",):
        message = "use a list of names, for example [norm, ffn/gelu]; variants of your own stand under variants:"
        remedy = ""
    return f"{key} = {value}: {message[0].lower()}{message[1:]}{remedy}"


def known_name(holder: Any, name: str) -> str:
    """What to write in place of an unknown key ``name`` in settings of type ``holder``."""
    if now := FORMER_KEYS.get((holder, name)):
        return f"it is called {now!r} now"
    known = [field.name for field in fields(holder)] if is_dataclass(holder) else []
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"


def settings_at(kind: Any, location: Iterable) -> Any:
    """The type of the settings at a place inside settings of type ``kind``."""
    for part in location:
        for member in (kind, *typing.get_args(kind)):
            if is_dataclass(member):
                kind = typing.get_type_hints(member).get(str(part))
                break
            if typing.get_origin(member) is dict:
                kind = typing.get_args(member)[1]
                break
    return next((member for member in (kind, *typing.get_args(kind)) if is_dataclass(member)), kind)
