"""config.yaml -> Study -> [Run]. Imports no torch: reading a study must be quick, on a login node too."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from spikesink.study.checking import check, numbers
from spikesink.study.errors import ConfigError
from spikesink.study.names import BASELINE, TARGETS, check_name
from spikesink.study.run import Run, Study
from spikesink.study.settings import Config, Model, Training, Variant
from spikesink.study.strict_yaml import merge, read_yaml


def resolve(config: Mapping) -> Study:
    """Check a merged config and list its runs. Raises ConfigError."""
    config = numbers(config)
    checked = check(Config, config, "")
    for name, value in (("study", checked.study), ("scale", checked.scale)):
        check_name(name, value)
    if not checked.seeds:
        raise ConfigError("seeds = []: name at least one seed, for example [0]")
    if len(set(checked.seeds)) != len(checked.seeds) or min(checked.seeds) < 0:
        raise ConfigError(f"seeds = {list(checked.seeds)}: seeds must be different and 0 or greater")
    check_vocabulary(checked)
    check_models(checked)
    runs, owners = [], {}
    for ablation, name, variant, path in variants(checked):
        check_name(path, name)
        if name in owners:
            raise ConfigError(
                f"{path}: variant {name!r} also stands under {owners[name]!r}: variant names must be unique"
            )
        owners[name] = ablation
        model, training = checked.model, checked.training
        if variant.model:
            model = check(Model, merge(config["model"], variant.model), f"{path}.model")
        if variant.training:
            training = check(Training, merge(config["training"], variant.training), f"{path}.training")
        for seed in checked.seeds:
            runs.append(
                Run(
                    study=checked.study,
                    scale=checked.scale,
                    ablation=ablation,
                    variant=name,
                    seed=seed,
                    label=variant.label,
                    stands_for=variant.stands_for,
                    vocabulary=checked.tokenizer.vocabulary,
                    bos=checked.tokenizer.bos,
                    model=model,
                    training=training,
                )
            )
    return Study(checked, tuple(runs))


def variants(config: Config) -> Iterator[tuple[str, str, Variant, str]]:
    """Ablation, variant name, overrides and config path of every variant, the baseline first."""
    yield BASELINE, BASELINE, Variant(), BASELINE
    for ablation, members in config.ablations.items():
        check_name("ablations", ablation)
        if ablation == BASELINE:
            raise ConfigError("ablations.baseline: the baseline is always there, name the ablation otherwise")
        if ablation in TARGETS:
            raise ConfigError(
                f"ablations.{ablation}: the workflow has a rule of that name, name the ablation otherwise"
            )
        for name, variant in (members or {}).items():
            if variant is not None:
                yield ablation, name, variant, f"ablations.{ablation}.{name}"


def check_models(config: Config) -> None:
    """The models analysed in depth are variants; pretrained ones have names of their own."""
    known = [name for _, name, _, _ in variants(config)]
    if not config.mechanism.compare:
        raise ConfigError("mechanism.compare = []: name at least one variant, for example [baseline]")
    for name in config.mechanism.compare:
        if name not in known:
            raise ConfigError(
                f"mechanism.compare: {name!r} is not a variant of this study: name some of {', '.join(known[:20])}"
            )
    for name in config.pretrained:
        check_name("pretrained", name)
        if name == "compared":
            raise ConfigError("pretrained.compared: figures of the compared variants have that name, choose another")


def check_vocabulary(config: Config) -> None:
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


def load(overlays: Iterable[Path | str] = (), base: Path | str = "config.yaml") -> Study:
    """The study of ``base`` with overlays on top, in their order."""
    merged = read_yaml(base)
    for overlay in overlays:
        merged = merge(merged, read_yaml(overlay))
    return resolve(merged)
