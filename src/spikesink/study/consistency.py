"""Whether the settings of a study go together: what no single setting can say."""

from collections.abc import Collection, Iterable, Mapping

from spikesink.study.errors import ConfigError
from spikesink.study.file_ranges import check_ranges
from spikesink.study.labels import called, check_distinct
from spikesink.study.measure_cost import CONTEXTS
from spikesink.study.names import BASELINE, COMPARED, check_capitals, check_name, check_study_name
from spikesink.study.recipe import Recipe
from spikesink.study.settings import Config, Corpus, Measures, Pretrained, Tokenizer
from spikesink.study.sizes import parameters
from spikesink.study.strict_yaml import shortened

LARGEST_SEED = 2**63
"""Seeds are below this: tables hold them as whole numbers of 64 bits."""
MOST_RUNS = 20_000
MOST_PARAMETERS = 10**13


def check_study(config: Config) -> None:
    """Raises ConfigError for seeds, names and files that a study cannot have, whether or not it trains runs."""
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
    for name, corpus in config.corpora.items():
        check_files_of(name, corpus)


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


def check_trained(config: Config) -> None:
    """What a study needs that trains runs. Raises ConfigError."""
    for key in ("tokenizer", "model", "training"):
        if getattr(config, key) is None:
            raise ConfigError(f"{key}: missing; set it in config.yaml, or in the file of the scale")
    for name, corpus in config.corpora.items():
        check_text(name, corpus, config.tokenizer)
    if config.tokenizer.kind == "characters" and config.tokenizer.vocabulary != 67:
        raise ConfigError(
            f"tokenizer.vocabulary = {config.tokenizer.vocabulary}: the synthetic corpus has 67 symbols, set it to 67"
        )


def check_text(name: str, corpus: Corpus, tokenizer: Tokenizer) -> None:
    """Whether corpus and tokenizer go together. Raises ConfigError."""
    if (corpus.kind == "bigram_backcopy") != (tokenizer.kind == "characters"):
        raise ConfigError(
            f"tokenizer.kind = {tokenizer.kind!r} with {name}.kind = {corpus.kind!r}: "
            "'characters' and 'bigram_backcopy' go together"
        )


def check_variants(config: Config, recipes: Mapping[str, Recipe]) -> None:
    """Raises ConfigError where the variants of a study, given by name, are too many, or do not go together."""
    if len(recipes) * len(config.seeds) > MOST_RUNS:
        raise ConfigError(
            f"{len(recipes):,} variants with {len(config.seeds):,} seeds are more than {MOST_RUNS:,} runs, which no "
            "workflow can handle: take fewer seeds, or fewer values in grids"
        )
    check_capitals("variants", recipes)
    check_capitals("ablations", dict.fromkeys(recipe.ablation for recipe in recipes.values()))
    check_labels(recipes.values())
    check_sizes(config, recipes.values())
    check_bos(config.tokenizer, recipes.values())


def check_labels(recipes: Collection[Recipe]) -> None:
    """Raises ConfigError where figures of an ablation would show two variants, or one and the baseline, by one name."""
    for ablation in dict.fromkeys(recipe.ablation for recipe in recipes):
        drawn = [recipe for recipe in recipes if recipe.ablation in (BASELINE, ablation)]
        names = [(recipe.variant, called(recipe.variant, recipe.label)) for recipe in drawn]
        check_distinct(f"ablation {ablation}", names)


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
