"""config.yaml -> Study -> [Run]: files are merged, the scale is put beneath, ablations and grids become runs.

Imports no torch: reading a study must be quick, on a login node too.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from spikesink.study.ablations import ablations
from spikesink.study.checking import check
from spikesink.study.cross import grids, repeated
from spikesink.study.errors import ConfigError
from spikesink.study.file_ranges import check_ranges
from spikesink.study.labels import check_distinct, shown_names
from spikesink.study.measuring import CONTEXTS
from spikesink.study.names import BASELINE, check_capitals, check_name, check_study_name
from spikesink.study.overlays import NEEDED, OF_SCALE, overlaid, without_scale
from spikesink.study.recipe import Recipe
from spikesink.study.run import Run, Study
from spikesink.study.secrets import refuse_secrets
from spikesink.study.settings import Config, Corpus, Measures, Pretrained, Tokenizer
from spikesink.study.shared import SCALES, shared_file, shared_names
from spikesink.study.sizes import parameters
from spikesink.study.strict_yaml import merge, read_yaml, shortened

TO_COMPARE = (BASELINE, "v_scale", "v_scale_backward_only")
"""Variants that are compared in depth where the config names none and the study has them."""
LARGEST_SEED = 2**63
"""Seeds are below this: tables hold them as whole numbers of 64 bits."""
MOST_RUNS = 20_000
MOST_PARAMETERS = 10**13
COMPARED = "compared"
"""The name of the figures that show the compared variants side by side."""


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
    if len(recipes) * len(checked.seeds) > MOST_RUNS:
        raise ConfigError(
            f"{len(recipes):,} variants with {len(checked.seeds):,} seeds are more than {MOST_RUNS:,} runs, which no "
            "workflow can handle: take fewer seeds, or fewer values in grids"
        )
    check_capitals("variants", recipes)
    check_capitals("ablations", dict.fromkeys(recipe.ablation for recipe in recipes.values()))
    check_labels(recipes.values())
    check_sizes(checked, recipes.values())
    check_bos(checked.tokenizer, recipes.values())
    runs = (run_of(checked, recipe, seed) for recipe in recipes.values() for seed in checked.seeds)
    complete = with_compared(checked, recipes)
    in_depth = recipes if complete.mechanism.variants == "all" else complete.mechanism.compare
    check_caches(checked.measures, {f"variant {name!r}": recipes[name].training.sequence_length for name in in_depth})
    return Study(complete, tuple(runs))


def trains_nothing(config: Config) -> bool:
    """Whether a study is of published models alone: it has some, and no variants and no runs to compare."""
    compared = config.ablations or config.mechanism.compare
    return bool(config.pretrained) and not (compared or any(config.variants.values()) or any(config.cross.values()))


def check_trained(config: Config) -> None:
    """What a study needs that trains runs. Raises ConfigError."""
    for key in ("tokenizer", "model", "training"):
        if getattr(config, key) is None:
            raise ConfigError(f"{key}: missing; set it in config.yaml, or in the file of the scale")
    check_text("corpus", config.corpus, config.tokenizer)
    if config.evaluation is not None:
        check_text("evaluation", config.evaluation, config.tokenizer)
    if config.tokenizer.kind == "characters" and config.tokenizer.vocabulary != 67:
        raise ConfigError(
            f"tokenizer.vocabulary = {config.tokenizer.vocabulary}: the synthetic corpus has 67 symbols, set it to 67"
        )


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


def check_study(config: Config) -> None:
    """What no single setting can say. Raises ConfigError."""
    check_study_name(config.study)
    if not config.seeds:
        raise ConfigError("seeds = []: name at least one seed, for example [0]")
    seeds = shortened(list(config.seeds))
    seen: set[int] = set()
    for seed in config.seeds:
        if seed in seen:
            raise ConfigError(f"seeds = {seeds}: seeds must be different, and {seed} stands twice")
        if not 0 <= seed < LARGEST_SEED:
            raise ConfigError(f"seeds = {seeds}: seeds must be 0 or greater and below 2^63")
        seen.add(seed)
    check_capitals("pretrained", config.pretrained)
    for name in config.pretrained:
        check_name("pretrained", name)
        if name == COMPARED:
            raise ConfigError(f"pretrained.{name}: figures of the compared variants have that name, choose another")
        check_gguf(f"pretrained.{name}.source", config.pretrained[name])
    check_files_of("corpus", config.corpus)
    if config.evaluation is not None:
        check_files_of("evaluation", config.evaluation)


def check_gguf(path: str, model: Pretrained) -> None:
    """Raises ConfigError for a GGUF file in endless parts, and for one inside packages that is given with folders."""
    if not model.is_gguf:
        return
    try:
        check_ranges(path, [model.source])
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if model.packages and "/" in model.source:
        raise ConfigError(f"{path} = {model.source[:200]!r}: a file in packages is found by its name: use that alone")


def check_files_of(name: str, corpus: Corpus) -> None:
    """What a corpus, which is called ``name`` in the config, needs beside its own keys. Raises ConfigError."""
    try:
        check_ranges(f"{name}.files", corpus.files)
        check_ranges(f"{name}.validation_files", corpus.validation_files or ())
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if corpus.documents == 1 and not corpus.validation_files:
        raise ConfigError(f"{name}.documents = 1 leaves none to train on, or none to hold out: use at least 2")


def check_text(name: str, corpus: Corpus, tokenizer: Tokenizer) -> None:
    """Whether corpus and tokenizer go together. Raises ConfigError."""
    if (corpus.kind == "bigram_backcopy") != (tokenizer.kind == "characters"):
        raise ConfigError(
            f"tokenizer.kind = {tokenizer.kind!r} with {name}.kind = {corpus.kind!r}: "
            "'characters' and 'bigram_backcopy' go together"
        )


def check_sizes(config: Config, recipes: Iterable[Recipe]) -> None:
    """What only the model of a variant and the measures together can say. Raises ConfigError."""
    for recipe in recipes:
        count = parameters(recipe.model, config.tokenizer.vocabulary, recipe.training.sequence_length)
        if count > MOST_PARAMETERS:
            raise ConfigError(
                f"variant {recipe.variant!r} has {count:.1e} parameters, more than any machine holds: lower layers, "
                "d_model, heads, head_dim or width"
            )
        if 2 * config.measures.spike_channels > recipe.model.d_model:
            raise ConfigError(
                f"measures.spike_channels = {config.measures.spike_channels}: variant {recipe.variant!r} has d_model = "
                f"{recipe.model.d_model}, and as many ordinary channels are needed to compare with: lower it"
            )


def check_bos(tokenizer: Tokenizer, recipes: Iterable[Recipe]) -> None:
    """Raises ConfigError where a variant has a BOS and the text is packed without one."""
    for recipe in recipes:
        if tokenizer.bos == "none" and recipe.training.bos not in (None, "none"):
            raise ConfigError(
                f"training.bos = {recipe.training.bos!r} of variant {recipe.variant!r} with tokenizer.bos = 'none': "
                "the text is packed without a BOS; set tokenizer.bos: sequence, and training.bos: none in the baseline"
            )


def check_caches(measures: Measures, contexts: Mapping[str, int]) -> None:
    """Raises ConfigError for a cache that holds all the text that a model with one of these contexts streams."""
    largest = max(measures.caches or (0,))
    for model, context in contexts.items():
        if largest >= CONTEXTS * context:
            raise ConfigError(
                f"measures.caches = {list(measures.caches)}: {model} streams {CONTEXTS * context} tokens, {CONTEXTS} "
                f"times its context, and a cache of {largest} evicts none of them: name smaller ones, or null"
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


def check_labels(recipes: Collection[Recipe]) -> None:
    """Raises ConfigError where figures of an ablation would show two variants, or one and the baseline, by one name."""
    for ablation in dict.fromkeys(recipe.ablation for recipe in recipes):
        drawn = [recipe for recipe in recipes if recipe.ablation in (BASELINE, ablation)]
        names = [(recipe.variant, recipe.label or recipe.variant.replace("_", " ")) for recipe in drawn]
        check_distinct(f"ablation {ablation}", names)


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
