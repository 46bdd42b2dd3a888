"""A variant with all its settings: the baseline's, with its own in their place."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TypeVar

from spikesink.study.checking import check
from spikesink.study.multiples import absolute
from spikesink.study.settings import Model, Training
from spikesink.study.strict_yaml import merge

Settings = TypeVar("Settings", Model, Training)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained, seeds aside."""

    ablation: str
    variant: str
    label: str | None
    stands_for: str | None
    model: Model
    training: Training


def changed(base: Recipe, model: Mapping, training: Mapping, path: str) -> tuple[Model, Training]:
    """Settings of ``base`` with changes to its model and training. Raises ConfigError with keys that start at path."""
    return (
        changed_settings(base.model, model, f"{path}.model"),
        changed_settings(base.training, training, f"{path}.training"),
    )


def changed_settings(base: Settings, change: Mapping, path: str) -> Settings:
    if not change:
        return base
    plain = asdict(base)
    return check(type(base), merge(plain, absolute(change, plain, path)), path)
