"""A whole study: what it trains and measures, and what its jobs may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from spikesink.settings.checks import SPECIFICATION, not_negative, positive
from spikesink.settings.measures import Measures
from spikesink.settings.model import Model
from spikesink.settings.text import Corpus, Tokenizer
from spikesink.settings.training import Training


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """Where MLflow keeps the study."""

    __pydantic_config__ = SPECIFICATION

    uri: str | None = None
    """MLflow tracking server, for example http://127.0.0.1:5000; null keeps everything in results/mlflow.db."""
    live: bool = True
    """Mirror metrics while runs train; either way the store is completed when they have finished."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one job may use; a scheduler such as SLURM reads it."""

    __pydantic_config__ = SPECIFICATION

    threads: int = 1
    """CPU threads of a job."""
    gpus_per_node: int = 1
    """GPUs of a job, or of each of its machines; 0 keeps it on the CPU, as does a machine without one. A measuring job
    uses one."""
    memory_mb: int = 2000
    """Memory of a job in megabytes."""
    runtime_minutes: int = 60
    """Time limit of a job."""

    def __post_init__(self) -> None:
        positive(self, "threads", "memory_mb", "runtime_minutes")
        not_negative(self, "gpus_per_node")


@dataclass(frozen=True, kw_only=True)
class TrainingResources(Resources):
    """What one training job may use."""

    __pydantic_config__ = SPECIFICATION

    nodes: int = 1
    """Machines that a training job runs on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "nodes")


@dataclass(frozen=True, kw_only=True)
class StageResources:
    """Resources by stage."""

    __pydantic_config__ = SPECIFICATION

    train: TrainingResources = TrainingResources()
    """A training run."""
    measure: Resources = Resources()
    """The measures of one run."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What ``spikesink plan`` assumes of the machine."""

    __pydantic_config__ = SPECIFICATION

    gpu: Literal["B200", "H200", "H100", "A100-80GB", "A100-40GB", "L40S", "RTX4090", "V100"] = "H100"
    """The GPU that GPU-hours and the fit in memory are computed for."""
    utilisation: float = 0.4
    """Share of its peak bfloat16 matrix throughput that training reaches (model FLOPs utilisation)."""

    def __post_init__(self) -> None:
        if not 0 < self.utilisation <= 1:
            raise ValueError(f"utilisation = {self.utilisation} must be greater than 0 and at most 1, for example 0.4")


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A published model that is measured like a run, without training."""

    __pydantic_config__ = SPECIFICATION

    source: str
    """Hub id, or folder in the hub's format, of a Llama, Qwen2 or Qwen3 checkpoint with its tokenizer.json."""
    revision: str | None = None
    """Commit of the hub model; a hub id needs one."""
    bos: Literal["sequence", "none"]
    """sequence: every sequence starts with the tokenizer's BOS, as Llama's do; none: without, as Qwen's."""
    context: int = 2048
    """Sequence length in tokens that it is measured with (2603.17771: 2048)."""

    def __post_init__(self) -> None:
        positive(self, "context")


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """Which models are analysed in depth: both papers' mechanisms, beyond sinks, spikes and perplexity."""

    __pydantic_config__ = SPECIFICATION

    compare: tuple[str, ...] = ("baseline",)
    """Variants drawn side by side, first seed; one or two read best."""
    variants: Literal["compared", "all"] = "compared"
    """compared: only those are measured in depth; all: every run is."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One change to the baseline."""

    __pydantic_config__ = SPECIFICATION

    label: str | None = None
    """Name in figures; null uses the variant's name."""
    stands_for: str | None = None
    """The row of the papers' tables that a scaled-down variant stands for; null: the row of the same name, if any."""
    model: dict[str, Any] | None = None
    """Overrides of the baseline's model, nested like it."""
    training: dict[str, Any] | None = None
    """Overrides of the baseline's training, nested like it."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """A study: everything in config.yaml."""

    __pydantic_config__ = SPECIFICATION

    study: str
    """Name of the study; its files are in results/<study>."""
    scale: str
    """Name of the model scale, shown beside every result."""
    seeds: tuple[int, ...]
    """Every variant is trained once per seed; a seed fixes initial weights and data order."""
    corpus: Corpus
    """Where the text comes from."""
    tokenizer: Tokenizer
    """How text becomes tokens."""
    model: Model
    """The baseline's architecture."""
    training: Training
    """The baseline's training."""
    measures: Measures = Measures()  # noqa: RUF009 (frozen, which ruff cannot see across files)
    """What is measured."""
    tracking: Tracking = Tracking()
    """MLflow."""
    resources: StageResources = StageResources()
    """What jobs may use."""
    plan: Plan = Plan()
    """Assumptions of the cost estimate."""
    mechanism: Mechanism = Mechanism()
    """Which models are analysed in depth."""
    pretrained: dict[str, Pretrained] = field(default_factory=dict)
    """Published models to measure in the same way, by the name that figures show."""
    ablations: dict[str, dict[str, Variant | None] | None]
    """Ablation, variant, overrides. null in place of a variant or an ablation leaves it out (for overlays)."""
