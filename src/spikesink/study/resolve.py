"""config.yaml -> Study -> [Run]: files are merged, the scale is put beneath, ablations and grids become runs.

Imports no torch: reading a study must be quick, on a login node too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from spikesink.study.ablations import ablations
from spikesink.study.checking import check
from spikesink.study.consistency import check_caches, check_study, check_trained, check_variants
from spikesink.study.cross import grids, repeated
from spikesink.study.errors import ConfigError
from spikesink.study.labels import check_distinct, shown_names
from spikesink.study.names import BASELINE, check_name
from spikesink.study.overlays import NEEDED, OF_SCALE, overlaid, without_scale
from spikesink.study.recipe import Recipe
from spikesink.study.run import Run, Study
from spikesink.study.secrets import refuse_secrets
from spikesink.study.settings import Config
from spikesink.study.shared import SCALES, shared_file, shared_names
from spikesink.study.strict_yaml import merge, read_yaml

TO_COMPARE = (BASELINE, "v_scale", "v_scale_backward_only")
"""Variants that are compared in depth where the config names none and the study has them."""


def load(overlays: Iterable[Path | str] = (), base: Path | str = "config.yaml") -> Study:
    """The study of ``base`` with overlays on top, in their order. Raises ConfigError.

    Scales and ablations are read from the folder workflow beside ``base``.
    """
    return resolve(read_config(overlays, base), Path(base).parent / "workflow")


def read_config(
    overlays: Iterable[Path | str],
    base: Path | str,
    changes: Mapping | None = None,
    workflow: Path | str | None = None,
) -> dict:
    """The config of ``base``, with overlays on top, in their order, and ``changes`` last. Raises ConfigError.

    A file that names both study and scale describes a whole study: nothing of the files before it remains. Scales and
    ablations are in ``workflow``, by default the folder of that name beside ``base``.
    """
    workflow = Path(base).parent / "workflow" if workflow is None else Path(workflow)
    merged: dict = {}
    for path in (base, *overlays):
        content = without_scale(read_yaml(path, as_text=True), workflow)
        is_whole = {"study", "scale"} <= content.keys()
        merged = overlaid({} if is_whole else merged, content, workflow, str(path))
    return overlaid(merged, dict(changes or {}), workflow, "--config")


def resolve(config: Mapping, workflow: Path | str = "workflow") -> Study:
    """The study of a merged config. Raises ConfigError.

    ``workflow`` is the folder that has scales/ and ablations/.
    """
    workflow = Path(workflow)
    refuse_secrets(config)
    plain = with_scale(config, workflow)
    checked = check(Config, plain, "")
    check_study(checked)
    check_caches(checked.measures, {f"pretrained.{name}": model.context for name, model in checked.pretrained.items()})
    if trains_nothing(checked):
        return Study(replace(checked, mechanism=replace(checked.mechanism, compare=())), ())
    check_trained(checked)
    baseline = Recipe(
        ablation=BASELINE,
        variant=BASELINE,
        label=None,
        stands_for=None,
        model=checked.model,
        training=checked.training,
    )
    recipes: dict[str, Recipe] = {}
    is_whole = set(OF_SCALE) <= config.keys()
    add(recipes, [baseline, *ablations(checked, plain.get("variants") or {}, baseline, workflow, is_whole)])
    add(recipes, list(grids(checked.cross, recipes, workflow)))
    check_variants(checked, recipes)
    runs = (run_of(checked, recipe, seed) for recipe in recipes.values() for seed in checked.seeds)
    complete = with_compared(checked, recipes)
    in_depth = recipes if complete.mechanism.variants == "all" else complete.mechanism.compare
    check_caches(checked.measures, {f"variant {name!r}": recipes[name].training.sequence_length for name in in_depth})
    return Study(complete, tuple(runs))


def trains_nothing(config: Config) -> bool:
    """Whether a study is of published models alone: it has some, and no variants and no runs to compare."""
    compared = config.ablations or config.mechanism.compare
    return bool(config.pretrained) and not (compared or any(config.variants.values()) or any(config.cross.values()))


def with_scale(config: Mapping, workflow: Path) -> dict:
    """The config, with what it leaves out taken from the file of its scale. Without such a file it must be complete."""
    name = config.get("scale")
    if not isinstance(name, str):
        return dict(config)  # its check says what is wrong
    check_name("scale", name)
    path = shared_file(workflow, SCALES, name)
    if path.exists():
        scale = read_yaml(path, as_text=True)
        # The models that a config names are all that it wants; a published study would get others added to it.
        taken = [key for key in OF_SCALE if key in scale and not (key == "pretrained" and key in config)]
        return merge({key: scale[key] for key in taken}, config)
    missing = [key for key in (("corpus",) if config.get("pretrained") else NEEDED) if key not in config]
    if missing:
        known = ", ".join(shared_names(workflow, SCALES)) or "(none)"
        raise ConfigError(
            f"scale = {name!r}: there is no {path}, and the config has no {', '.join(missing)}: use one of {known}"
        )
    return dict(config)


def add(recipes: dict[str, Recipe], more: list[Recipe]) -> None:
    """Put ``more`` into ``recipes`` by name. Raises ConfigError where a name stands twice."""
    for recipe in more:
        if recipe.variant in recipes:
            raise ConfigError(
                f"{recipe.ablation}.{recipe.variant}: variant {recipe.variant!r} also stands under "
                f"{recipes[recipe.variant].ablation!r}: variant names must be unique"
            )
        recipes[recipe.variant] = recipe


def with_compared(config: Config, recipes: Mapping[str, Recipe]) -> Config:
    """The config with the variants that are compared in depth, all of them variants of the study."""
    compare = config.mechanism.compare
    if compare is None:
        compare = tuple(name for name in TO_COMPARE if name in recipes)
    if twice := repeated(compare):
        raise ConfigError(f"mechanism.compare: {twice!r} stands twice: remove one")
    if not compare:
        raise ConfigError("mechanism.compare = []: name at least one variant, for example [baseline]")
    for name in compare:
        if name not in recipes:
            raise ConfigError(
                f"mechanism.compare: {name[:100]!r} is not a variant of this study: name some of "
                f"{', '.join([*recipes][:20])}"
            )
    names = shown_names([(name, recipes[name].label) for name in compare])
    check_distinct("mechanism.compare", zip(compare, names, strict=True))
    return replace(config, mechanism=replace(config.mechanism, compare=compare))


def run_of(config: Config, recipe: Recipe, seed: int) -> Run:
    return Run(
        study=config.study,
        scale=config.scale,
        ablation=recipe.ablation,
        variant=recipe.variant,
        seed=seed,
        label=recipe.label,
        stands_for=recipe.stands_for,
        vocabulary=config.tokenizer.vocabulary,
        bos=recipe.training.bos or config.tokenizer.bos,
        model=recipe.model,
        training=recipe.training,
    )
