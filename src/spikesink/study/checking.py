"""Settings from plain values, strictly: a fault becomes one line that names its key."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from spikesink.study.errors import ConfigError
from spikesink.study.run import canonical
from spikesink.study.settings import SPECIFICATION, Variant

# YAML 1.1 reads 6e-4 as a string; people write learning rates that way.
EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


def numbers(value: Any) -> Any:
    """Turn numbers such as 6e-4, which YAML leaves as text, into floats, all through a config."""
    if isinstance(value, Mapping):
        return {key: numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [numbers(item) for item in value]
    if isinstance(value, str) and EXPONENT.fullmatch(value):
        return float(value)
    return value


@cache
def adapter(kind: type) -> TypeAdapter:
    """The checker of settings of type ``kind``."""
    # Only the schema needs the texts under the fields; parsing the source for them is most of the time this takes.
    SPECIFICATION["use_attribute_docstrings"] = False
    try:
        return TypeAdapter(kind)
    finally:
        SPECIFICATION["use_attribute_docstrings"] = True


def check(kind: type, value: Any, path: str) -> Any:
    """Build settings strictly from plain values; the first fault becomes a ConfigError that names its key."""
    try:
        # Strict JSON mode: lists may become tuples, but text never becomes a number nor a number a truth value.
        return adapter(kind).validate_json(to_json(value, inf_nan_mode="constants"), strict=True)
    except ValidationError as error:
        raise ConfigError(explain(kind, error.errors()[0], path)) from error
    except PydanticSerializationError as error:
        raise ConfigError(f"{path or 'config'}: {error}") from error


def explain(kind: type, fault: Mapping, path: str) -> str:
    """One line from a pydantic error: key, value, remedy."""
    location = [str(part) for part in fault["loc"] if str(part) not in ("Variant",)]
    key = ".".join([path, *location] if path else location) or "config"
    value = canonical(fault["input"])
    value = value if len(value) <= 80 else value[:77] + "..."
    if fault["type"] == "unexpected_keyword_argument":
        known = known_keys(kind, fault["loc"][:-1])
        close = difflib.get_close_matches(location[-1], known, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
        return f"{key} = {value}: unknown key; {remedy}"
    if fault["type"] == "missing":
        return f"{key}: missing; set it in config.yaml or in a scale overlay"
    if fault["type"] == "value_error":
        return f"{key}: {fault['ctx']['error']}"
    message = fault["msg"]
    if fault["type"] == "literal_error":
        message = "use one of " + fault["ctx"]["expected"].replace(" or ", ", ")
    return f"{key} = {value}: {message[0].lower()}{message[1:]}"


def known_keys(kind: Any, location: Iterable) -> list[str]:
    """Names of the keys at a place inside settings of type ``kind``."""
    for part in location:
        hints = get_type_hints(kind) if is_dataclass(kind) else {}
        kind = hints.get(str(part), Variant)
    return [field.name for field in fields(kind)] if is_dataclass(kind) else []
