"""What settings share: how pydantic reads them, the ranges of numbers, and what a command line may hold."""

import math
import re
import shlex
from typing import Any

AFFECTS_RESULTS = False

SPECIFICATION = {"extra": "forbid"}
"""For pydantic: an unknown key is an error."""


LARGEST = 10**15
"""No number of a study is as large."""

SHORTEST = 4
"""Tokens in a context: of fewer some measures have no position left, once the first ones are cut off."""


def positive(settings: Any, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} = {value} must be a number greater than 0")
        at_most(settings, LARGEST, name)


def at_most(settings: Any, largest: int, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None and value > largest:
            raise ValueError(f"{name} = {value:,} must be at most {largest:,}")


def at_least(settings: Any, smallest: int, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None and value < smallest:
            raise ValueError(f"{name} = {value} must be at least {smallest}")


def shares(settings: Any, *names: str) -> None:
    for name in names:
        if not 0 < getattr(settings, name) <= 1:
            raise ValueError(
                f"{name} = {getattr(settings, name)} must be greater than 0 and at most 1, for example 0.1"
            )


def not_negative(settings: Any, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(settings, name) < math.inf:
            raise ValueError(f"{name} = {getattr(settings, name)} must be a number, 0 or greater")
        at_most(settings, LARGEST, name)


def names_for_slurm(settings: Any, *names: str, also: str = "") -> None:
    """Names that SLURM knows become words of a command: letters, digits and a few signs, with ``also`` a few more."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and not re.fullmatch(rf"[A-Za-z0-9_.,:+@/{re.escape(also)}-]+", value):
            raise ValueError(f"{name} = {value!r} is no name in SLURM: use letters, digits and _ . , : + @ / - {also}")


def words_of_a_command(settings: Any, *names: str) -> None:
    """Options of a command on one line, quoted as in a shell."""
    for name in names:
        value = getattr(settings, name)
        try:
            words = shlex.split(value or "")
        except ValueError as error:
            raise ValueError(f"{name} = {value!r} cannot be split into words ({error}): close the quotes") from None
        if value is not None and not (words and words[0].startswith("-") and value.isprintable()):
            raise ValueError(f"{name} = {value!r} must be options on one line, for example --exclusive")
