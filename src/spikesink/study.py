"""config.yaml -> Study -> [Run]. Imports no torch: reading a study must be quick, on a login node too."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from spikesink.settings import SPECIFICATION, Config, Model, Training, Variant

BASELINE = "baseline"
# Rules of the workflow, whose names an ablation, which becomes a rule too, must not take.
TARGETS = {
    "all",
    "browsable_report",
    "claims",
    "collect",
    "corpus",
    "figure_overview",
    "figures",
    "judge_claims",
    "mechanism",
    "plan",
    "pretrained",
    "pretrained_tokens",
    "provenance",
    "provenance_page",
    "publish",
    "published",
    "runs",
    "table",
    "table_mechanism",
    "tables",
    "tokenizer",
    "tokens",
    "track",
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
# YAML 1.1 reads 6e-4 as a string; people write learning rates that way.
EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


class ConfigError(ValueError):
    """A config that cannot be run. The message is one line: key, value, remedy."""


# The same parser in C, where PyYAML was built with it, reads a large study in a seventh of the time.
SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UniqueKeys(SafeLoader):
    """YAML in which a mapping that names a key twice is an error instead of a silent loss."""

    def construct_document(self, node: yaml.Node) -> Any:
        """Plain values straight from the nodes: half the time of PyYAML's way, which allows for cycles."""
        if isinstance(node, yaml.MappingNode):
            return self.construct_unique(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.construct_document(item) for item in node.value]
        constructor = self.yaml_constructors.get(node.tag, self.yaml_constructors[None])
        return constructor(self, node)

    def construct_unique(self, node: yaml.MappingNode) -> dict:
        content = {}
        for key_node, value_node in node.value:
            key = self.construct_document(key_node)
            where = key_node.start_mark
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{where.name}, line {where.line + 1}: {key!r} cannot be a key: use a name")
            if key in content:
                raise ConfigError(
                    f"{where.name}, line {where.line + 1}: {key!r} stands twice here: rename or remove one"
                )
            content[key] = self.construct_document(value_node)
        return content


def read_yaml(path: Path | str) -> dict:
    """A YAML mapping from a file; a duplicate key, bad syntax or a missing file raises ConfigError."""
    try:
        with open(path) as file:
            content = yaml.load(file, UniqueKeys)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: not valid YAML ({getattr(error, 'problem', error)})") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds a {type(content).__name__}, not a mapping of keys")
    return content


def merge(base: Mapping, overlay: Mapping) -> dict:
    """``overlay`` over ``base``: mappings merge key by key, anything else replaces (as Snakemake merges configs)."""
    merged = dict(base)
    for key, value in overlay.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            value = merge(merged[key], value)
        merged[key] = value
    return merged


@dataclass(frozen=True, kw_only=True)
class Run:
    """One variant with one seed, everything resolved."""

    study: str
    scale: str
    ablation: str
    variant: str
    seed: int
    label: str | None
    stands_for: str | None
    vocabulary: int
    bos: str
    model: Model
    training: Training

    @property
    def folder(self) -> str:
        return f"results/{self.study}/runs/{self.variant}/seed{self.seed}"

    def resolved(self) -> dict:
        """What run.json holds: all that decides the weights, and the run's place in the study."""
        return {
            "study": self.study,
            "scale": self.scale,
            "ablation": self.ablation,
            "variant": self.variant,
            "seed": self.seed,
            "tokenizer": {"vocabulary": self.vocabulary, "bos": self.bos},
            "model": asdict(self.model),
            "training": asdict(self.training),
        }


@dataclass(frozen=True)
class Study:
    """A checked config and its runs, the baseline's first."""

    config: Config
    runs: tuple[Run, ...]

    @property
    def ablations(self) -> tuple[str, ...]:
        """Names of the ablations in config order, the baseline not among them."""
        return tuple(dict.fromkeys(run.ablation for run in self.runs if run.ablation != BASELINE))

    def of(self, ablation: str) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.ablation == ablation)


def canonical(value: Any) -> str:
    """One JSON text per value: sorted keys, no spaces. Equal texts mean equal settings."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


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


def check_name(path: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise ConfigError(f"{path}: the name {name!r} becomes a folder: use letters, digits and _ . + - only")


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


def numbers(value: Any) -> Any:
    """Turn numbers such as 6e-4, which YAML leaves as text, into floats, all through a config."""
    if isinstance(value, Mapping):
        return {key: numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [numbers(item) for item in value]
    if isinstance(value, str) and EXPONENT.fullmatch(value):
        return float(value)
    return value


@cache
def adapter(kind: type) -> TypeAdapter:
    """The checker of settings of type ``kind``."""
    # Only the schema needs the texts under the fields; parsing the source for them is most of the time this takes.
    SPECIFICATION["use_attribute_docstrings"] = False
    try:
        return TypeAdapter(kind)
    finally:
        SPECIFICATION["use_attribute_docstrings"] = True


def check(kind: type, value: Any, path: str) -> Any:
    """Build settings strictly from plain values; the first fault becomes a ConfigError that names its key."""
    try:
        # Strict JSON mode: lists may become tuples, but text never becomes a number nor a number a truth value.
        return adapter(kind).validate_json(to_json(value, inf_nan_mode="constants"), strict=True)
    except ValidationError as error:
        raise ConfigError(explain(kind, error.errors()[0], path)) from error
    except PydanticSerializationError as error:
        raise ConfigError(f"{path or 'config'}: {error}") from error


def explain(kind: type, fault: Mapping, path: str) -> str:
    """One line from a pydantic error: key, value, remedy."""
    location = [str(part) for part in fault["loc"] if str(part) not in ("Variant",)]
    key = ".".join([path, *location] if path else location) or "config"
    value = canonical(fault["input"])
    value = value if len(value) <= 80 else value[:77] + "..."
    if fault["type"] == "unexpected_keyword_argument":
        known = known_keys(kind, fault["loc"][:-1])
        close = difflib.get_close_matches(location[-1], known, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
        return f"{key} = {value}: unknown key; {remedy}"
    if fault["type"] == "missing":
        return f"{key}: missing; set it in config.yaml or in a scale overlay"
    if fault["type"] == "value_error":
        return f"{key}: {fault['ctx']['error']}"
    message = fault["msg"]
    if fault["type"] == "literal_error":
        message = "use one of " + fault["ctx"]["expected"].replace(" or ", ", ")
    return f"{key} = {value}: {message[0].lower()}{message[1:]}"


def known_keys(kind: Any, location: Iterable) -> list[str]:
    """Names of the keys at a place inside settings of type ``kind``."""
    for part in location:
        hints = get_type_hints(kind) if is_dataclass(kind) else {}
        kind = hints.get(str(part), Variant)
    return [field.name for field in fields(kind)] if is_dataclass(kind) else []


def load(overlays: Iterable[Path | str] = (), base: Path | str = "config.yaml") -> Study:
    """The study of ``base`` with overlays on top, in their order."""
    merged = read_yaml(base)
    for overlay in overlays:
        merged = merge(merged, read_yaml(overlay))
    return resolve(merged)
