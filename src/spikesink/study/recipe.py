"""A variant with all its settings: the baseline's, with its own in their place."""

import re
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


def with_numbers(label: str, model: Model, training: Training) -> str:
    """The label with the variant's numbers in place of {heads}, {head_dim} and so on."""
    first, last = training.loss_window or (0, training.sequence_length)
    numbers = {
        "heads": model.attention.heads,
        "head_dim": model.attention.head_dim,
        "width": model.feed_forward.width,
        "sequence_length": training.sequence_length,
        "steps": training.steps,
        "lr": training.optimiser.lr,
        "first": first + 1,
        "last": last,
    }
    return re.sub(rf"\{{({'|'.join(numbers)})\}}", lambda match: f"{numbers[match[1]]:.10g}", label)
