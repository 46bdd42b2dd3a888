"""Multiples of the baseline's numbers: a quarter of its head dimension is written "0.25x" and holds at every scale."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from spikesink.study.errors import ConfigError

MULTIPLE = re.compile(r"(\d+(?:\.\d+)?)x")


def absolute(change: Mapping, baseline: Mapping, path: str) -> dict:
    """``change`` with a number in place of every multiple of ``baseline``, nested like it. Raises ConfigError."""
    numbers = {}
    for key, value in change.items():
        own, place = baseline.get(key), f"{path}.{key}"
        if isinstance(value, Mapping):
            numbers[key] = absolute(value, own if isinstance(own, Mapping) else {}, place)
        elif isinstance(value, list | tuple) and key == "loss_window":
            numbers[key] = [multiplied(item, baseline["sequence_length"], place) for item in value]
        elif key == "kv_heads" and own is None:
            numbers[key] = key_value_heads(value, change.get("heads", "1x"), baseline["heads"], place)
        else:
            numbers[key] = multiplied(value, own, place)
    return numbers


def key_value_heads(value: Any, heads: Any, own_heads: int, path: str) -> Any:
    """``kv_heads`` where the baseline has as many as heads; a multiple that is again as many as heads stays null."""
    number = multiplied(value, own_heads, path)
    return None if number != value and number == multiplied(heads, own_heads, path) else number


def multiplied(value: Any, own: Any, path: str) -> Any:
    """``own`` times the factor where ``value`` is a multiple; any other value as it is."""
    match = MULTIPLE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    if isinstance(own, bool) or not isinstance(own, int | float):
        raise ConfigError(f"{path} = {value}: the baseline has no number here: write the value itself")
    product = Decimal(match[1]) * Decimal(repr(own))
    if isinstance(own, float):
        return float(product)
    if product != int(product):
        raise ConfigError(
            f"{path} = {value}: {match[1]} times the baseline's {own} is {product.normalize():f}, and it must be a "
            "whole number: use another multiple"
        )
    return int(product)
