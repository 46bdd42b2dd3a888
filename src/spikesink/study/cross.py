"""Grids: every combination of some settings, for each of some variants."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, get_type_hints

from spikesink.study.errors import ConfigError
from spikesink.study.from_text import from_text
from spikesink.study.labels import called, check_label, in_words
from spikesink.study.names import check_ablation, check_name
from spikesink.study.recipe import Recipe, changed
from spikesink.study.settings import Grid, Model, Training

MOST_VARIANTS = 10_000


def grids(cross: Mapping[str, Grid | None], recipes: Mapping[str, Recipe], workflow: Path) -> Iterator[Recipe]:
    """The variants of all grids; ``recipes`` are the study's other variants by name. Raises ConfigError."""
    taken = {recipe.ablation for recipe in recipes.values()}
    for ablation, grid in cross.items():
        if grid is None:
            continue
        path = f"cross.{ablation}"
        check_ablation(path, ablation, workflow)
        if ablation in taken:
            raise ConfigError(f"{path}: the study has an ablation of that name, name the grid otherwise")
        check_settings(grid, f"{path}.settings")
        check_variants(grid, recipes, f"{path}.variants")
        if not (found := [recipe for name in grid.variants for recipe in crossed(ablation, grid, recipes[name])]):
            raise ConfigError(f"{path}: no combination changes anything: use other values, or remove it")
        yield from found


def crossed(ablation: str, grid: Grid, base: Recipe) -> Iterator[Recipe]:
    """For one of the grid's variants, a variant for each combination of the settings that changes something.

    Raises ConfigError where two combinations are the same.
    """
    trained: dict[tuple, str] = {}
    for values in product(*grid.settings.values()):
        chosen = {key: from_text(SETTINGS[key], value) for key, value in zip(grid.settings, values, strict=True)}
        names = {short(key): text(value) for key, value in chosen.items()}
        name = "_".join([base.variant, *(f"{key}_{value}" for key, value in names.items())])
        path = f"cross.{ablation}.{name}"
        check_name(path, name)
        changes = nested(chosen)
        model, training = changed(base, changes.get("model", {}), changes.get("training", {}), path)
        if (model, training) == (base.model, base.training):
            continue  # the variant itself, which is trained already
        if (model, training) in trained:
            raise ConfigError(f"{path} is the same as {trained[model, training]}: remove one of the two values")
        trained[model, training] = name
        shown = ", ".join(f"{in_words(key)} {value}" for key, value in names.items())
        label = f"{called(base.variant, base.label)}, {shown}"
        check_label(label, f"{path}.label")
        yield Recipe(ablation=ablation, variant=name, label=label, stands_for=None, model=model, training=training)


def check_variants(grid: Grid, recipes: Mapping[str, Recipe], path: str) -> None:
    """Raises ConfigError where a grid names no variants, one twice, or one that the study lacks."""
    if not grid.variants:
        raise ConfigError(f"{path} = []: name at least one variant, for example [baseline]")
    for variant in grid.variants:
        if variant not in recipes:
            known = ", ".join(list(recipes)[:20])
            raise ConfigError(f"{path}: {variant[:100]!r} is not a variant of this study: name some of {known}")
    if twice := repeated(grid.variants):
        raise ConfigError(f"{path}: {twice!r} stands twice: remove one")


def check_settings(grid: Grid, path: str) -> None:
    """Raises ConfigError where a setting is none of model or training, or has no values."""
    if not grid.settings:
        raise ConfigError(f"{path} = {{}}: name at least one setting, for example training.optimiser.lr: [0.5x, 2x]")
    for key, values in grid.settings.items():
        if key not in SETTINGS:
            raise ConfigError(f"{path}.{key}: unknown setting: write its path, for example training.optimiser.lr")
        if not values:
            raise ConfigError(f"{path}.{key} = []: name at least one value, for example [0.5x, 2x]")
    combinations = prod(map(len, grid.settings.values()))
    if combinations * len(grid.variants) > MOST_VARIANTS:
        raise ConfigError(
            f"{path} have {combinations:,} combinations for {len(grid.variants)} variants: a grid has at most "
            f"{MOST_VARIANTS:,} variants, leave values out"
        )


def repeated(names: Iterable[Any]) -> Any:
    """The first name that stands twice; None where there is none."""
    return next((name for name, times in Counter(names).items() if times > 1), None)


def paths(kind: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Dotted path and type of all single settings in settings of type ``kind``."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        if is_dataclass(hints[field.name]):
            yield from paths(hints[field.name], f"{path}.{field.name}")
        else:
            yield f"{path}.{field.name}", hints[field.name]


SETTINGS = dict([*paths(Model, "model"), *paths(Training, "training")])
"""Type of every setting by its path."""
TIMES = Counter(path.split(".")[-1] for path in SETTINGS)
"""How many settings end with a name, for example kind."""


def short(key: str) -> str:
    """lr for training.optimiser.lr; gate_kind for model.gate.kind, because several settings end with kind."""
    parts = key.split(".")
    return parts[-1] if TIMES[parts[-1]] == 1 else "_".join(parts[-2:])


def text(value: Any) -> str:
    """A value as part of a name."""
    if isinstance(value, list | tuple):
        return "-".join(map(text, value))
    if value is None or isinstance(value, bool):
        return {None: "none", True: "on", False: "off"}[value]
    return f"{value:.10g}" if isinstance(value, int | float) else str(value)


def nested(chosen: Mapping[str, Any]) -> dict:
    """{"model": {"gate": {"kind": value}}} from {"model.gate.kind": value}."""
    tree: dict = {}
    for key, value in chosen.items():
        *parents, last = key.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[last] = value
    return tree
