"""What all settings share: how pydantic reads them, and the ranges of numbers."""

import math
from typing import Any

AFFECTS_RESULTS = False

SPECIFICATION = {"extra": "forbid"}
"""For pydantic: an unknown key is an error."""


def positive(settings: Any, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} = {value} must be a number greater than 0")


def not_negative(settings: Any, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(settings, name) < math.inf:
            raise ValueError(f"{name} = {getattr(settings, name)} must be a number, 0 or greater")
