"""Grids: every combination of some settings, for each of some variants."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from itertools import product
from pathlib import Path
from typing import Any, get_type_hints

from spikesink.study.errors import ConfigError
from spikesink.study.names import check_ablation, check_name
from spikesink.study.recipe import Recipe, changed
from spikesink.study.settings import Grid, Model, Training


def grids(cross: Mapping[str, Grid | None], recipes: Mapping[str, Recipe], workflow: Path) -> Iterator[Recipe]:
    """The variants of all grids; ``recipes`` are the study's other variants by name. Raises ConfigError."""
    taken = {recipe.ablation for recipe in recipes.values()}
    for ablation, grid in cross.items():
        if grid is None:
            continue
        check_ablation(f"cross.{ablation}", ablation, workflow)
        if ablation in taken:
            raise ConfigError(f"cross.{ablation}: the study has an ablation of that name, name the grid otherwise")
        yield from crossed(ablation, grid, recipes)


def crossed(ablation: str, grid: Grid, recipes: Mapping[str, Recipe]) -> Iterator[Recipe]:
    """One variant for each of the grid's variants and each combination of its settings that changes something."""
    path = f"cross.{ablation}"
    check_settings(grid, f"{path}.settings")
    if not grid.variants:
        raise ConfigError(f"{path}.variants = []: name at least one variant, for example [baseline]")
    for variant in grid.variants:
        if variant not in recipes:
            known = ", ".join(list(recipes)[:20])
            raise ConfigError(f"{path}.variants: {variant!r} is not a variant of this study: name some of {known}")
        base = recipes[variant]
        for values in product(*grid.settings.values()):
            chosen = dict(zip(grid.settings, values, strict=True))
            names = {short(key): text(value) for key, value in chosen.items()}
            name = "_".join([variant, *(f"{key}_{value}" for key, value in names.items())])
            check_name(f"{path}.{name}", name)
            changes = nested(chosen)
            model, training = changed(base, changes.get("model", {}), changes.get("training", {}), f"{path}.{name}")
            if (model, training) == (base.model, base.training):
                continue  # the variant itself, which is trained already
            shown = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in names.items())
            yield Recipe(
                ablation=ablation,
                variant=name,
                label=f"{base.label or variant.replace('_', ' ')}, {shown}",
                stands_for=None,
                model=model,
                training=training,
            )


def check_settings(grid: Grid, path: str) -> None:
    """Raises ConfigError where a setting is none of model or training, or has no values."""
    if not grid.settings:
        raise ConfigError(f"{path} = {{}}: name at least one setting, for example training.optimiser.lr: [0.5x, 2x]")
    for key, values in grid.settings.items():
        if key not in SETTINGS:
            raise ConfigError(f"{path}.{key}: unknown setting: write its path, for example training.optimiser.lr")
        if not values:
            raise ConfigError(f"{path}.{key} = []: name at least one value, for example [0.5x, 2x]")


def paths(kind: Any, path: str) -> Iterator[str]:
    """Dotted paths of all single settings in settings of type ``kind``."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        if is_dataclass(hints[field.name]):
            yield from paths(hints[field.name], f"{path}.{field.name}")
        else:
            yield f"{path}.{field.name}"


SETTINGS = (*paths(Model, "model"), *paths(Training, "training"))
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
