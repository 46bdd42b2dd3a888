"""The ablations of a study: those of workflow/ablations that it lists, and its own variants."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from spikesink.study.checking import check
from spikesink.study.errors import ConfigError
from spikesink.study.labels import with_numbers
from spikesink.study.names import BASELINE, check_ablation, check_name
from spikesink.study.recipe import Recipe, changed
from spikesink.study.settings import Config, Model, Training, Variant
from spikesink.study.shared import ABLATIONS, read_shared, shared_file, shared_names
from spikesink.study.strict_yaml import merge, read_yaml


def ablations(config: Config, own: Mapping, baseline: Recipe, workflow: Path, is_whole: bool) -> Iterator[Recipe]:
    """Every variant but the baseline: listed ablations first, each with its own variants last. Raises ConfigError.

    ``own`` is the plain value of ``variants`` in the config, which ``config`` has checked. ``is_whole`` says that the
    config has every setting itself, as that of a published study: its variants need nothing of workflow/ablations.
    """
    listed = listed_variants(config, workflow)
    own = {ablation: variants for ablation, variants in own.items() if variants is not None}
    for ablation in dict.fromkeys([*listed, *own]):
        shared, added = listed.get(ablation, {}), own.get(ablation, {})
        if not shared:
            check_ablation(f"variants.{ablation}", ablation, workflow)
        check_added(ablation, added, shared, baseline, workflow, is_whole)
        for name, plain in merge(shared, added).items():
            if plain is None:
                continue
            path = (
                f"variants.{ablation}.{name}"
                if name in added
                else f"{shared_file(workflow, ABLATIONS, ablation)}: {name}"
            )
            try:
                yield recipe(baseline, ablation, name, check(Variant, plain, path), path)
            except ConfigError as error:
                if ablation not in config.ablations or name in added:
                    raise
                wanted = [f"{ablation}/{other}" for other in shared if settings_of(baseline, shared[other])]
                raise ConfigError(
                    f"{error}. To do without it, list the variants you want in ablations: {', '.join(wanted)}"
                ) from error


def check_added(
    ablation: str, added: Mapping, shared: Mapping, baseline: Recipe, workflow: Path, is_whole: bool
) -> None:
    """Raises ConfigError where the study's own part of an ablation removes nothing, leaves nothing, or is half there.

    ``shared`` are the variants of workflow/ablations that the study lists. In a whole config no variant is half there.
    """
    path = f"variants.{ablation}"
    unlisted = {} if is_whole else read_shared(workflow, ABLATIONS, ablation)
    for name, plain in added.items():
        check_name(f"{path}.{name}", name)
        if plain is None and name not in shared:
            known = f"{ablation} has {', '.join(shared)}" if shared else f"the study lists none of {ablation}"
            raise ConfigError(f"{path}.{name} = null removes nothing: {known}; correct the name or leave the key out")
        if name in unlisted and name not in shared and is_half(baseline, plain, unlisted[name]):
            file = shared_file(workflow, ABLATIONS, ablation)
            raise ConfigError(
                f"{path}.{name} adds to the variant of {file}, which the study does not list: list "
                f"{ablation}/{name} in ablations, or choose another name"
            )
    if not any(plain is not None for plain in merge(shared, added).values()):
        raise ConfigError(f"{path} leaves no variant in {ablation}: leave {ablation} out, in ablations and in variants")


def is_half(baseline: Recipe, own: Mapping, shared: Mapping) -> bool:
    """Whether a variant leaves out what the one of its name in workflow/ablations changes."""
    alone, both = (settings_of(baseline, plain) for plain in (own, merge(shared, own)))
    return both is not None and alone != both


def settings_of(baseline: Recipe, plain: Mapping) -> tuple[Model, Training] | None:
    """The settings of a plain variant; None where it cannot be made from this baseline."""
    try:
        made = recipe(baseline, BASELINE, BASELINE, check(Variant, plain, ""), "")
    except ConfigError:
        return None
    return made.model, made.training


def recipe(baseline: Recipe, ablation: str, name: str, variant: Variant, path: str) -> Recipe:
    """The baseline with a variant's changes."""
    model, training = changed(baseline, variant.model or {}, variant.training or {}, path)
    label = variant.label
    if label is not None:
        label = with_numbers(label, model, training, f"{path}.label")
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
        ablation, slash, name = entry.partition("/")
        shared = shared_variants(ablation, workflow)
        if slash and not name:
            raise ConfigError(f"ablations: {entry!r} names no variant: write {ablation}, or one of {', '.join(shared)}")
        if name and name not in shared:
            raise ConfigError(f"ablations: {entry[:100]!r} is unknown: {ablation} has {', '.join(shared)}")
        wanted = [name] if name else list(shared)
        for variant in wanted:
            if variant in listed.setdefault(ablation, {}):
                raise ConfigError(f"ablations: {entry!r} lists {ablation}/{variant} a second time: remove one")
            listed[ablation][variant] = shared[variant]
    return listed


def shared_variants(ablation: str, workflow: Path) -> dict:
    """The variants of workflow/ablations/<ablation>.yaml, plain."""
    check_ablation(f"ablations.{ablation[:100]}", ablation, workflow)
    path = shared_file(workflow, ABLATIONS, ablation)
    if not path.exists():
        known = shared_names(workflow, ABLATIONS)
        raise ConfigError(
            f"ablations: {ablation!r} is unknown: there is no {path}; use some of {', '.join(known)}, or write "
            "variants of your own under variants:"
        )
    return read_yaml(path, as_text=True)
