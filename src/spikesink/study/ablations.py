"""The ablations of a study: those of workflow/ablations that it lists, and its own variants."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from spikesink.study.checking import check
from spikesink.study.errors import ConfigError
from spikesink.study.names import check_ablation, check_name
from spikesink.study.recipe import Recipe, changed, with_numbers
from spikesink.study.settings import Config, Variant
from spikesink.study.strict_yaml import merge, read_yaml


def ablations(config: Config, own: Mapping, baseline: Recipe, workflow: Path) -> Iterator[Recipe]:
    """Every variant but the baseline: listed ablations first, each with its own variants last. Raises ConfigError.

    ``own`` is the plain value of ``variants`` in the config, which ``config`` has checked.
    """
    listed = listed_variants(config, workflow)
    for ablation in dict.fromkeys([*listed, *own]):
        shared, added = listed.get(ablation, {}), own.get(ablation) or {}
        if not shared:
            check_ablation(f"variants.{ablation}", ablation, workflow)
        for name, plain in merge(shared, added).items():
            if plain is None:
                continue
            path = f"variants.{ablation}.{name}" if name in added else f"{library(workflow, ablation)}: {name}"
            check_name(path, name)
            try:
                yield recipe(baseline, ablation, name, check(Variant, plain, path), path)
            except ConfigError as error:
                if ablation not in config.ablations or name in added:
                    raise
                wanted = [
                    f"{ablation}/{other}" for other in shared if possible(baseline, ablation, other, shared[other])
                ]
                raise ConfigError(
                    f"{error}. To do without it, list the variants you want in ablations: {', '.join(wanted)}"
                ) from error


def possible(baseline: Recipe, ablation: str, name: str, plain: Mapping) -> bool:
    """Whether a variant can be made from this baseline."""
    try:
        recipe(baseline, ablation, name, check(Variant, plain, name), name)
    except ConfigError:
        return False
    return True


def recipe(baseline: Recipe, ablation: str, name: str, variant: Variant, path: str) -> Recipe:
    """The baseline with a variant's changes."""
    model, training = changed(baseline, variant.model or {}, variant.training or {}, path)
    label = variant.label and with_numbers(variant.label, model, training)
    return Recipe(
        ablation=ablation,
        variant=name,
        label=label,
        stands_for=variant.stands_for,
        model=model,
        training=training,
    )


def listed_variants(config: Config, workflow: Path) -> dict[str, dict]:
    """Ablation, variant and its plain value, of what the study lists, in that order."""
    listed: dict[str, dict] = {}
    for entry in config.ablations:
        ablation, _, name = entry.partition("/")
        shared = shared_variants(ablation, workflow)
        if name and name not in shared:
            raise ConfigError(f"ablations: {entry!r} is unknown: {ablation} has {', '.join(shared)}")
        wanted = [name] if name else list(shared)
        for variant in wanted:
            if variant in listed.setdefault(ablation, {}):
                raise ConfigError(f"ablations: {entry!r} lists {ablation}/{variant} a second time: remove one")
            listed[ablation][variant] = shared[variant]
    return listed


def shared_variants(ablation: str, workflow: Path) -> dict:
    """The variants of workflow/ablations/<ablation>.yaml, plain."""
    check_ablation(f"ablations.{ablation}", ablation, workflow)
    path = library(workflow, ablation)
    if not path.exists():
        known = sorted(file.stem for file in path.parent.glob("*.yaml"))
        raise ConfigError(
            f"ablations: {ablation!r} is unknown: there is no {path}; use some of {', '.join(known)}, or write "
            "variants of your own under variants:"
        )
    return read_yaml(path)


def library(workflow: Path, ablation: str) -> Path:
    return workflow / "ablations" / f"{ablation}.yaml"
