"""config.yaml -> Study -> [Run]: files are merged, the scale is put beneath, ablations and grids become runs.

Imports no torch: reading a study must be quick, on a login node too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from spikesink.study.ablations import ablations
from spikesink.study.checking import check
from spikesink.study.cross import grids
from spikesink.study.errors import ConfigError
from spikesink.study.names import BASELINE, check_name
from spikesink.study.recipe import Recipe
from spikesink.study.run import Run, Study
from spikesink.study.secrets import refuse_secrets
from spikesink.study.settings import Config
from spikesink.study.strict_yaml import merge, read_yaml

OF_SCALE = ("corpus", "tokenizer", "model", "training", "measures", "resources")
"""Sections that a study takes from the file of its scale."""
TO_COMPARE = (BASELINE, "v_scale", "v_scale_backward_only")
"""Variants that are compared in depth where the config names none and the study has them."""
COMPARED = "compared"
"""The name of the figures that show the compared variants side by side."""


def load(overlays: Iterable[Path | str] = (), base: Path | str = "config.yaml") -> Study:
    """The study of ``base`` with overlays on top, in their order. Raises ConfigError.

    Scales and ablations are read from the folder workflow beside ``base``.
    """
    return resolve(read_config(overlays, base), Path(base).parent / "workflow")


def read_config(overlays: Iterable[Path | str], base: Path | str, changes: Mapping | None = None) -> dict:
    """The config of ``base``, with overlays on top, in their order, and ``changes`` last. Raises ConfigError.

    A file that names both study and scale describes a whole study: nothing of the files before it remains.
    """
    merged: dict = {}
    for path in (base, *overlays):
        content = read_yaml(path)
        merged = content if {"study", "scale"} <= content.keys() else merge(merged, content)
    return merge(merged, changes or {})


def resolve(config: Mapping, workflow: Path | str = "workflow") -> Study:
    """The study of a merged config. Raises ConfigError.

    ``workflow`` is the folder that has scales/ and ablations/.
    """
    workflow = Path(workflow)
    refuse_secrets(config)
    plain = with_scale(config, workflow)
    checked = check(Config, plain, "")
    check_study(checked)
    baseline = Recipe(
        ablation=BASELINE,
        variant=BASELINE,
        label=None,
        stands_for=None,
        model=checked.model,
        training=checked.training,
    )
    recipes: dict[str, Recipe] = {}
    add(recipes, [baseline, *ablations(checked, plain.get("variants") or {}, baseline, workflow)])
    add(recipes, list(grids(checked.cross, recipes, workflow)))
    runs = (run_of(checked, recipe, seed) for recipe in recipes.values() for seed in checked.seeds)
    return Study(with_compared(checked, recipes), tuple(runs))


def with_scale(config: Mapping, workflow: Path) -> dict:
    """The config, with what it leaves out taken from the file of its scale. Without such a file it must be complete."""
    name = config.get("scale")
    if not isinstance(name, str):
        return dict(config)  # its check says what is wrong
    check_name("scale", name)
    path = workflow / "scales" / f"{name}.yaml"
    if path.exists():
        scale = read_yaml(path)
        return merge({key: scale[key] for key in OF_SCALE if key in scale}, config)
    missing = [key for key in ("corpus", "tokenizer", "model", "training") if key not in config]
    if missing:
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml"))) or "(none)"
        raise ConfigError(
            f"scale = {name!r}: there is no {path}, and the config has no {', '.join(missing)}: use one of {known}"
        )
    return dict(config)


def check_study(config: Config) -> None:
    """What no single setting can say. Raises ConfigError."""
    check_name("study", config.study)
    if not config.seeds:
        raise ConfigError("seeds = []: name at least one seed, for example [0]")
    if len(set(config.seeds)) != len(config.seeds) or min(config.seeds) < 0:
        raise ConfigError(f"seeds = {list(config.seeds)}: seeds must be different and 0 or greater")
    for name in config.pretrained:
        check_name("pretrained", name)
        if name == COMPARED:
            raise ConfigError(f"pretrained.{name}: figures of the compared variants have that name, choose another")
    synthetic, characters = config.corpus.kind == "bigram_backcopy", config.tokenizer.kind == "characters"
    if synthetic != characters:
        raise ConfigError(
            f"tokenizer.kind = {config.tokenizer.kind!r} with corpus.kind = {config.corpus.kind!r}: "
            "'characters' and 'bigram_backcopy' go together"
        )
    if characters and config.tokenizer.vocabulary != 67:
        raise ConfigError(
            f"tokenizer.vocabulary = {config.tokenizer.vocabulary}: the synthetic corpus has 67 symbols, set it to 67"
        )


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
    if not compare:
        raise ConfigError("mechanism.compare = []: name at least one variant, for example [baseline]")
    for name in compare:
        if name not in recipes:
            raise ConfigError(
                f"mechanism.compare: {name!r} is not a variant of this study: name some of {', '.join([*recipes][:20])}"
            )
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
        bos=config.tokenizer.bos,
        model=recipe.model,
        training=recipe.training,
    )
