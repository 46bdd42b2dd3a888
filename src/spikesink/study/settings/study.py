"""A whole study: what it trains and measures, and what its jobs may use."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from spikesink.study.settings.capabilities import Capabilities
from spikesink.study.settings.checks import SPECIFICATION
from spikesink.study.settings.measures import Measures
from spikesink.study.settings.model import Model
from spikesink.study.settings.pretrained import Pretrained
from spikesink.study.settings.resources import StageResources
from spikesink.study.settings.text import Corpus, Tokenizer
from spikesink.study.settings.training import Training

AFFECTS_RESULTS = False

STORE = re.compile(r"(https?|sqlite|(postgresql|mysql|mssql)(\+\w+)?)://.+", re.S)
"""Addresses that MLflow knows, of a server or a database."""


def no_store(uri: str) -> str:
    """What is wrong with the address of a store whose scheme is known; empty where nothing is."""
    if uri.startswith("sqlite"):
        file = uri.removeprefix("sqlite:///").partition("?")[0]
        named = uri.startswith("sqlite:///") and file.strip("/") and not file.endswith("/") and file != ":memory:"
        return "" if named else "names no file: write sqlite:///results/mlflow.db, for example"
    try:
        parts = urlsplit(uri)
        is_found = parts.port != 0 and (parts.hostname or not uri.startswith("http"))  # a database may be on a socket
        return "" if is_found else "names no machine: write it after //"
    except ValueError as error:
        return f"is no address ({error}): correct it"


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """Where MLflow keeps the study."""

    __pydantic_config__ = SPECIFICATION

    uri: str | None = None
    """MLflow tracking server, for example http://127.0.0.1:5000; null keeps everything in results/mlflow.db. It
    holds no password: MLflow reads MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD from the environment."""
    live: bool = True
    """Whether to log metrics to MLflow while runs train. When they have finished, the store is completed in any
    case."""

    def __post_init__(self) -> None:
        if self.uri is None:
            return
        if not STORE.fullmatch(self.uri):
            raise ValueError(
                f"uri = {self.uri!r} is no address of a store: begin with http://, https://, sqlite:///, "
                "postgresql://, mysql:// or mssql://"
            )
        if reason := no_store(self.uri):
            raise ValueError(f"uri = {self.uri!r} {reason}")
        if any(letter in "{}" or letter.isspace() or not letter.isprintable() for letter in self.uri):
            raise ValueError(f"uri = {self.uri!r}: an address has no braces and no spaces, write %7B, %7D or %20")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What ``spikesink plan`` assumes about the machine."""

    __pydantic_config__ = SPECIFICATION

    gpu: Literal["B200", "H200", "H100", "A100-80GB", "A100-40GB", "L40S", "RTX4090", "V100"] = "H100"
    """The GPU for which the plan computes GPU-hours and whether a run fits into memory."""
    utilisation: float = 0.4
    """Share of its peak throughput in matrix products that training reaches (model FLOPs utilisation): of float32 where
    training.precision is float32, else of bfloat16."""

    def __post_init__(self) -> None:
        if not 0 < self.utilisation <= 1:
            raise ValueError(f"utilisation = {self.utilisation} must be greater than 0 and at most 1, for example 0.4")


@dataclass(frozen=True, kw_only=True)
class Figures:
    """How figures are drawn."""

    __pydantic_config__ = SPECIFICATION

    width: Literal["auto", "column", "page"] = "auto"
    """column: 3.35 inches, a text column; page: 6.9 inches, a page's text; auto: each figure's natural width."""


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """Which models are analysed in depth: both papers' mechanisms, beyond sinks, spikes and perplexity."""

    __pydantic_config__ = SPECIFICATION

    compare: tuple[str, ...] | None = None
    """Variants drawn side by side, each with its first seed; up to three are easy to read. null: the baseline, and
    v_scale and v_scale_backward_only if the study has them; in a study of published models without ablations none, and
    nothing is trained."""
    variants: Literal["compared", "all"] = "compared"
    """Which runs are measured in depth. compared: every seed of the variants in compare; all: every run."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One change to the baseline. A number may be a multiple: 0.5x is half of the baseline's value for the same key."""

    __pydantic_config__ = SPECIFICATION

    label: str | None = None
    """Name in figures; null uses the variant's name. It may contain numbers of the variant in braces, for example
    {heads} x {head_dim}; also {width}, {sequence_length}, {steps}, {lr}, {first} and {last} (the positions whose loss
    counts)."""
    stands_for: str | None = None
    """The row of the papers' tables that this variant repeats at its own scale; null: the row of the same name, if
    any."""
    model: dict[str, Any] | None = None
    """What differs from the baseline's model, with the same nesting as the key model."""
    training: dict[str, Any] | None = None
    """What differs from the baseline's training, with the same nesting as the key training. A multiple in loss_window
    is of sequence_length."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A grid: some variants, each trained with every combination of some settings."""

    __pydantic_config__ = SPECIFICATION

    settings: dict[str, tuple[Any, ...]]
    """Settings and the values of each, for example training.optimiser.lr: [0.5x, 2x]. A multiple is of the variant's
    own value. With several settings, every combination of their values is trained."""
    variants: tuple[str, ...] = ("baseline",)
    """Variants of this study, baseline included, that are trained with every combination."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """A study: everything that config.yaml and the file of its scale may hold."""

    __pydantic_config__ = SPECIFICATION

    study: str
    """Name of the study; its files are in results/<study>."""
    scale: str
    """Name of the model scale, shown beside every result. workflow/scales/<scale>.yaml sets its corpus, tokenizer,
    model, training, pretrained, measures and resources; what the study's config sets of these takes precedence."""
    seeds: tuple[int, ...] = (0,)
    """Every variant is trained once per seed; a seed fixes initial weights and data order."""
    ablations: tuple[str, ...] = ()
    """Ablations to run; figures keep this order. norm: all of workflow/ablations/norm.yaml; norm/sandwich: one variant
    of it. The baseline is trained with them. A study of published models alone has none, and trains nothing."""
    variants: dict[str, dict[str, Variant | None] | None] = field(default_factory=dict)
    """The study's own variants: ablation, variant, what differs. They are added to an ablation of the same name. null
    in place of a variant removes it; null in place of an ablation removes the study's own variants of it."""
    cross: dict[str, Grid | None] = field(default_factory=dict)
    """Grids: the ablation, then the settings and variants that its grid combines. null removes a grid."""
    corpus: Corpus
    """Where the text comes from."""
    evaluation: Corpus | None = None
    """Another corpus whose held-out documents all measures use, for example C4, which both papers score. Training never
    reads it. It is encoded with the study's tokenizer, for a published model with the model's own. Its validation_files
    or validation_share say which documents are held out. null: those that corpus holds out."""
    tokenizer: Tokenizer | None = None
    """How text becomes tokens. A study that trains nothing may leave it out, and the next two keys too."""
    model: Model | None = None
    """The baseline's architecture."""
    training: Training | None = None
    """The baseline's training."""
    measures: Measures = Measures()  # noqa: RUF009 (frozen, which ruff cannot see across files)
    """What is measured."""
    capabilities: Capabilities = Capabilities()  # noqa: RUF009
    """Standard tasks that every run and published model is given."""
    mechanism: Mechanism = Mechanism()
    """Which models are analysed in depth."""
    pretrained: dict[str, Pretrained] = field(default_factory=dict)
    """Published models to measure in the same way, by the name that figures show."""
    figures: Figures = Figures()
    """How figures are drawn."""
    tracking: Tracking = Tracking()
    """Where MLflow keeps the study."""
    resources: StageResources = StageResources()  # noqa: RUF009
    """What jobs may use."""
    plan: Plan = Plan()
    """What the cost estimate of ``spikesink plan`` assumes."""

    @property
    def corpora(self) -> dict[str, Corpus]:
        """The texts of the study by the key that describes each."""
        return {"corpus": self.corpus} | ({"evaluation": self.evaluation} if self.evaluation else {})
