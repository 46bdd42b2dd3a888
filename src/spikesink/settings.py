"""The settings of a study as immutable values.

Standard library only: a run's settings must be readable on a bare GPU machine. Every key of ``config.yaml`` is a field
here and the text under a field is its documentation; ``workflow/schemas/config.schema.json`` is generated from both.
Ranges that the types cannot express are checked in ``__post_init__``; the message names key, value and remedy.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

SPECIFICATION = {"extra": "forbid", "use_attribute_docstrings": True}


def _positive(settings: Any, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} = {value} must be a number greater than 0")


def _not_negative(settings: Any, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(settings, name) < math.inf:
            raise ValueError(f"{name} = {getattr(settings, name)} must be a number, 0 or greater")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Where the text comes from."""

    __pydantic_config__ = SPECIFICATION

    kind: Literal["embedded", "hub", "files", "bigram_backcopy"]
    """embedded: the public-domain sample in the repository; hub: a Hugging Face dataset; files: local txt, jsonl or
    parquet, also .gz or .zst; bigram_backcopy: the synthetic stream of Guo et al. (2410.13835)."""
    dataset: str | None = None
    """Hub id of the dataset (kind: hub), for example allenai/c4."""
    revision: str | None = None
    """Commit of the hub dataset, pinned so that the study can be repeated (kind: hub)."""
    files: tuple[str, ...] = ()
    """Files to read, in this order: paths inside the hub dataset, or local paths (kinds: hub, files). A range in braces
    stands for as many files: part-{00000..00063}.json.gz."""
    text_field: str = "text"
    """Column or JSON key that holds the text of a document."""
    documents: int | None = None
    """Use only this many documents; null uses all."""
    validation_share: float = 0.05
    """Share of the documents held out for every measure, spread evenly over the corpus; never trained on."""
    synthetic_tokens: int = 4_000_000
    """Length of the synthetic stream (kind: bigram_backcopy)."""
    synthetic_triggers: int = 3
    """How many of the most frequent characters copy the token before them (kind: bigram_backcopy)."""
    synthetic_length: int = 256
    """Tokens of one synthetic document, its BOS included (kind: bigram_backcopy)."""

    def __post_init__(self) -> None:
        _positive(self, "documents", "synthetic_tokens", "synthetic_triggers", "synthetic_length")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"validation_share = {self.validation_share} must lie between 0 and 1, for example 0.05")
        if self.kind == "hub":
            for name in ("dataset", "revision", "files"):
                if not getattr(self, name):
                    raise ValueError(f"{name} is missing: kind 'hub' needs dataset, revision and files")
        if self.kind == "files" and not self.files:
            raise ValueError("files is empty: kind 'files' needs at least one path")
        if self.kind != "hub" and (self.dataset or self.revision):
            raise ValueError(f"dataset and revision belong to kind 'hub', not to kind {self.kind!r}: set them to null")
        if self.kind in ("embedded", "bigram_backcopy") and self.files:
            raise ValueError(f"files = {list(self.files)} is not read by kind {self.kind!r}: set it to []")


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """How text becomes tokens, and which boundary tokens the stream carries."""

    __pydantic_config__ = SPECIFICATION

    kind: Literal["trained", "hub", "file", "characters"]
    """trained: byte-level BPE trained on the corpus; hub: a Hugging Face tokenizer; file: a local tokenizer.json;
    characters: the 67 symbols of the synthetic corpus."""
    vocabulary: int
    """Number of token ids, the model's vocabulary. A tokenizer that needs more is refused."""
    documents: int | None = None
    """Learn from only the first so many training documents (kind: trained); null: from all."""
    name: str | None = None
    """Hub id (kind: hub) or path of a tokenizer.json (kind: file)."""
    revision: str | None = None
    """Commit of the hub tokenizer (kind: hub)."""
    bos: Literal["sequence", "document", "none"]
    """sequence: every sequence that a model sees starts with the BOS token; document: the stream has one BOS before
    every document, wherever that falls; none: no BOS."""
    eos: bool = False
    """Whether the stream has an EOS token after every document."""

    def __post_init__(self) -> None:
        _positive(self, "vocabulary", "documents")
        if self.kind == "trained" and self.vocabulary < 258:
            raise ValueError(f"vocabulary = {self.vocabulary} is too small: 256 bytes and two boundary tokens need 258")
        if self.kind in ("hub", "file") and not self.name:
            raise ValueError(f"name is missing: kind {self.kind!r} needs a hub id or a path")
        if self.kind == "hub" and not self.revision:
            raise ValueError("revision is missing: kind 'hub' needs a pinned commit")
        if self.kind in ("trained", "characters") and (self.name or self.revision):
            raise ValueError(f"name and revision are not read by kind {self.kind!r}: set them to null")


@dataclass(frozen=True, kw_only=True)
class Norm:
    """What normalises the residual branches (2603.05498 Table 5)."""

    __pydantic_config__ = SPECIFICATION

    kind: Literal["rms", "sandwich", "sandwich_qk", "dyt"] = "rms"
    """rms: RMSNorm before each branch; sandwich: before and after; sandwich_qk: none before, RMSNorm on queries, keys
    and after each branch; dyt: DynamicTanh before each branch. The final norm is always RMSNorm."""
    eps: float = 1e-5
    """Added to the mean square inside RMSNorm."""
    dyt_alpha_attention: float = 0.8
    """Initial slope of DynamicTanh before attention."""
    dyt_alpha_feed_forward: float = 0.2
    """Initial slope of DynamicTanh before the feed-forward branch."""

    def __post_init__(self) -> None:
        _positive(self, "eps", "dyt_alpha_attention", "dyt_alpha_feed_forward")


@dataclass(frozen=True, kw_only=True)
class RopeScaling:
    """Llama 3's stretching of the slow rotary frequencies for contexts longer than those trained on."""

    __pydantic_config__ = SPECIFICATION

    factor: float
    """Division of the frequencies whose wavelength exceeds original_positions / low_frequency_factor."""
    low_frequency_factor: float
    """Upper end of the smooth transition, in turns over original_positions."""
    high_frequency_factor: float
    """Frequencies with more turns than this over original_positions stay as they are."""
    original_positions: int
    """Context length before the stretching."""

    def __post_init__(self) -> None:
        _positive(self, "factor", "low_frequency_factor", "high_frequency_factor", "original_positions")
        if self.high_frequency_factor <= self.low_frequency_factor:
            raise ValueError(
                f"high_frequency_factor = {self.high_frequency_factor} must exceed low_frequency_factor = "
                f"{self.low_frequency_factor}"
            )


@dataclass(frozen=True, kw_only=True)
class Attention:
    """The attention branch: its shape (2603.05498 Table 6) and how scores become weights."""

    __pydantic_config__ = SPECIFICATION

    heads: int
    """Query heads per layer."""
    head_dim: int
    """Width of one head; even, because rotary embeddings turn pairs."""
    kv_heads: int | None = None
    """Key and value heads per layer (grouped-query attention); null means as many as heads."""
    rope_theta: float = 10_000.0
    """Base of the rotary frequencies."""
    rope_scaling: RopeScaling | None = None
    """Llama 3's frequency scaling; null leaves the frequencies as they are."""
    qkv_bias: bool = False
    """Biases on the query, key and value projections (Qwen2)."""
    qk_norm: bool = False
    """RMSNorm on every head's queries and keys before the rotation (Qwen3)."""
    softmax: Literal["softmax", "softmax1", "sink_logit", "softpick"] = "softmax"
    """softmax; softmax1: e^x / (1 + sum e^x) (Miller 2023); sink_logit: a learned logit per head joins the sum and its
    weight is dropped (gpt-oss); softpick: relu(e^x - 1) / sum |e^x - 1| (2504.20966)."""
    extra_key: Literal["none", "key_bias", "key_value_bias"] = "none"
    """A learned key per head that every query may attend to: key_bias with value 0 (Gu et al. 2410.10781),
    key_value_bias with a learned value (Sun et al. 2402.17762)."""

    def __post_init__(self) -> None:
        _positive(self, "heads", "head_dim", "kv_heads", "rope_theta")
        if self.softmax != "softmax" and self.extra_key != "none":
            raise ValueError(
                f"extra_key = {self.extra_key!r} with softmax = {self.softmax!r}: both give attention a place to rest, "
                "choose one"
            )
        if self.head_dim % 2:
            raise ValueError(f"head_dim = {self.head_dim} is odd: rotary embeddings need an even head_dim")
        if self.heads % self.key_value_heads:
            raise ValueError(f"heads = {self.heads} is not divisible by kv_heads = {self.kv_heads}")

    @property
    def key_value_heads(self) -> int:
        return self.kv_heads or self.heads


@dataclass(frozen=True, kw_only=True)
class FeedForward:
    """The second branch of a layer (2603.05498 Table 4)."""

    __pydantic_config__ = SPECIFICATION

    kind: Literal["swiglu", "gelu", "linear", "attention"] = "swiglu"
    """swiglu; gelu: two matrices around an exact GELU; linear: one d x d matrix; attention: a second attention branch
    in this place."""
    width: int
    """Hidden width of swiglu and gelu (1.5 times the SwiGLU width matches parameters); unused by linear, attention."""

    def __post_init__(self) -> None:
        _positive(self, "width")


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A sigmoid gate in the attention branch (2603.05498 Table 7; positions G1 and G2 of Qiu et al. 2505.06708)."""

    __pydantic_config__ = SPECIFICATION

    kind: Literal["none", "conditional", "unconditional", "positional", "token_embedding", "value_state"] = "none"
    """conditional: from the layer's normalised input; unconditional: a learned constant; positional: a learned table
    over positions; token_embedding: from the raw input embedding; value_state: from the value vector that it gates
    (2510.09017), with at: value."""
    per: Literal["channel", "head", "single"] = "channel"
    """One gate value per channel of every head, per head, or a single one."""
    at: Literal["output", "value"] = "output"
    """output: on the attention output before the output projection; value: on the value vectors."""

    def __post_init__(self) -> None:
        if self.kind == "value_state" and self.at != "value":
            raise ValueError(
                f"at = {self.at!r} with kind = 'value_state': a gate from the values acts on them, use value"
            )


@dataclass(frozen=True, kw_only=True)
class Valve:
    """A contraction of short vectors, V-scale (2603.17771 section 5.1), on the values or on the keys."""

    __pydantic_config__ = SPECIFICATION

    kind: Literal["plain", "v_scale", "v_scale_backward_only", "v_scale_forward_only"] = "plain"
    """v_scale: v |v|^2 / (|v|^2 + C) per head; v_scale_backward_only: the forward pass is unchanged, the gradient
    passes through v_scale's Jacobian with the initial C; v_scale_forward_only: v is contracted, its gradient passes
    unchanged."""
    c: Literal["learned", "fixed"] = "learned"
    """C = c_factor d_model head_dim std^2 exp(theta), std that of the projection's initial weights, with one theta per
    key-value head, learned from 0 or fixed there."""
    c_factor: float = 1.0
    """Multiplier of C."""
    layers: tuple[int, ...] | None = None
    """Layers, counted from 0, that have it; null: all."""

    def __post_init__(self) -> None:
        _positive(self, "c_factor")

    def kind_in(self, layer: int) -> str:
        """The kind in a layer counted from 0."""
        return self.kind if self.layers is None or layer in self.layers else "plain"


@dataclass(frozen=True, kw_only=True)
class Initialisation:
    """Standard deviations of the normal distributions that weights start from."""

    __pydantic_config__ = SPECIFICATION

    embedding_std: float = 1.0
    """Token embeddings."""
    linear_std: float = 0.02
    """Every matrix inside the layers, gates included."""
    query_key_std: float | None = None
    """Query and key projections; null means linear_std. A narrow model needs more than 0.02, or its first attention
    logits, which grow with d_model * std^2, are nearly all equal."""
    head_std: float | None = None
    """Output head; null means 1 / sqrt(d_model)."""

    def __post_init__(self) -> None:
        _positive(self, "embedding_std", "linear_std", "query_key_std", "head_std")


@dataclass(frozen=True, kw_only=True)
class Model:
    """A Llama-style decoder."""

    __pydantic_config__ = SPECIFICATION

    layers: int
    """Layers; each has an attention branch and a feed-forward branch, two blocks in the papers' counting."""
    d_model: int
    """Width of the residual stream."""
    attention: Attention
    """Shape of the attention branch."""
    feed_forward: FeedForward
    """The second branch."""
    norm: Norm = Norm()
    """Normalisation of the branches."""
    gate: Gate = Gate()
    """Gate in the attention branch."""
    value: Valve = Valve()
    """Contraction of value vectors before attention mixes them."""
    key: Valve = Valve()
    """The same contraction on keys before the rotation; with v_scale_backward_only a valve on the key path alone."""
    tied_embeddings: bool = False
    """Whether the output head is the embedding matrix."""
    initialisation: Initialisation = Initialisation()
    """Initial weights."""

    def __post_init__(self) -> None:
        _positive(self, "layers", "d_model")
        for name in ("value", "key"):
            chosen = getattr(self, name).layers
            if chosen is not None and (not chosen or min(chosen) < 0 or max(chosen) >= self.layers):
                raise ValueError(
                    f"{name}.layers = {list(chosen)}: name layers from 0 to {self.layers - 1}, or null for all"
                )
        if self.attention.qk_norm and self.norm.kind == "sandwich_qk":
            raise ValueError(
                "attention.qk_norm = true with norm.kind = 'sandwich_qk', which normalises them already: choose"
            )


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """AdamW, or SGD with momentum."""

    __pydantic_config__ = SPECIFICATION

    kind: Literal["adamw", "sgd"] = "adamw"
    """adamw; sgd: momentum and no step-size adaptation, as torch.optim.SGD."""
    lr: float
    """Peak learning rate."""
    beta1: float = 0.9
    """Decay of AdamW's first moment."""
    beta2: float = 0.95
    """Decay of AdamW's second moment."""
    eps: float = 1e-8
    """Added to the root of AdamW's second moment."""
    momentum: float = 0.9
    """Momentum of sgd."""
    weight_decay: float = 0.1
    """Weight decay, decoupled from the gradient in AdamW and added to it in sgd."""
    decay: Literal["all", "matrices"] = "all"
    """all: every parameter decays (2603.05498); matrices: only parameters of two or more dimensions (2603.17771)."""
    clip_norm: float = 1.0
    """Largest global gradient norm."""

    def __post_init__(self) -> None:
        _positive(self, "lr", "eps", "clip_norm")
        _not_negative(self, "weight_decay")
        for name in ("beta1", "beta2", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Learning rate over the steps: warm-up, then half a cosine."""

    __pydantic_config__ = SPECIFICATION

    warmup_steps: int
    """Steps until the peak learning rate."""
    warmup: Literal["quadratic", "linear"] = "quadratic"
    """quadratic: 1 - (1 - step / warmup_steps)^2 (2603.05498); linear: step / warmup_steps (2603.17771)."""
    min_lr_ratio: float = 0.1
    """Final learning rate as a share of the peak; 1 keeps it constant after the warm-up."""

    def __post_init__(self) -> None:
        _not_negative(self, "warmup_steps")
        if not 0 <= self.min_lr_ratio <= 1:
            raise ValueError(f"min_lr_ratio = {self.min_lr_ratio} must lie between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a run is trained."""

    __pydantic_config__ = SPECIFICATION

    steps: int
    """Optimiser steps."""
    sequence_length: int
    """Context in tokens."""
    batch_size: int
    """Sequences per optimiser step."""
    loss_window: tuple[int, int] | None = None
    """Positions [first, last) whose next-token loss counts, 0-based; null counts all. Earlier tokens stay visible."""
    optimiser: Optimiser
    """The optimiser and its settings."""
    schedule: Schedule
    """Learning-rate schedule."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 on a GPU, float32 on a CPU; weights and optimiser state are always float32."""
    compile: bool = False
    """Whether to compile the decoder with torch.compile."""
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """How several devices share a run: ddp: a copy on each; fsdp: weights, gradients and optimiser state sharded over
    all (FSDP2); auto: ddp where there are several devices."""
    micro_batch_size: int | None = None
    """At most this many sequences per device and forward pass; gradients accumulate to batch_size. null: no limit."""
    activation_checkpointing: bool = False
    """Whether to keep only the input of every block and compute its inside again in the backward pass."""
    loss_chunk: int | None = None
    """Compute the loss over this many positions at a time, so that the logits never exist whole; null: at once."""
    log_every: int = 20
    """Steps between two rows of metrics.csv."""
    checkpoint_every: int = 500
    """Steps between two checkpoints to resume from."""
    snapshots: int = 0
    """Keep the weights at so many steps in geometric progression, the last one included, to see when things begin."""

    def __post_init__(self) -> None:
        _positive(self, "steps", "sequence_length", "batch_size", "log_every", "checkpoint_every")
        _positive(self, "micro_batch_size", "loss_chunk")
        _not_negative(self, "snapshots")
        if self.loss_window is not None:
            first, last = self.loss_window
            if not 0 <= first < last <= self.sequence_length:
                raise ValueError(
                    f"loss_window = [{first}, {last}] lies outside the context of {self.sequence_length} tokens: "
                    f"use 0 <= first < last <= {self.sequence_length}"
                )
        if self.schedule.warmup_steps >= self.steps:
            raise ValueError(
                f"schedule.warmup_steps = {self.schedule.warmup_steps} leaves nothing of steps = {self.steps}: lower it"
            )


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What is measured on a trained model; the defaults are the papers' definitions."""

    __pydantic_config__ = SPECIFICATION

    sink_epsilon: float = 0.3
    """A head is a sink head when a key receives more than this mean attention (2603.05498 Eq 27-28)."""
    sink_tokens: int = 64
    """Length T of the sequences on which sinks are measured, for every model."""
    sequences: int = 100
    """Held-out sequences for sinks and activations."""
    perplexity_tokens: int = 65_536
    """At most this many held-out tokens for the perplexity, in chunks of each run's context (paper: 4,194,304)."""
    batch_size: int = 32
    """Sequences per forward pass of a measure; bounds memory."""
    chunk: int = 512
    """Queries, or rows of a matrix, that a measure works on at a time; bounds memory."""
    loss_chunk: int | None = None
    """Positions whose logits exist at a time where a measure takes gradients; null: all."""
    spike_magnitude: float = 100.0
    """An activation is massive when it is larger than this (Sun et al. 2402.17762)."""
    spike_ratio: float = 1000.0
    """And larger than so many times the median magnitude of its hidden state (Sun et al.)."""
    step_share: float = 0.1
    """A block that adds, or takes away, at least this share of the spike is a step-up, or step-down, block."""
    spike_channels: int = 3
    """How many leading channels are followed, changed or set against ordinary ones."""
    delimiters: tuple[str, ...] = (".", ",", ";", ":", "\n")
    """Tokens that are looked for as spike tokens at later positions; those the tokenizer has."""
    gradient_sequences: int = 512
    """Held-out sequences of the run's context whose gradients are summed (2603.17771: a training batch, 512)."""
    consequence_tokens: int = 65_536
    """At most this many held-out tokens for quantisation, streaming and interventions, each in several settings."""
    calibration_sequences: int = 32
    """Held-out sequences that give quantisation its ranges and interventions their means; they are not scored."""
    caches: tuple[int, ...] | None = None
    """Cache sizes in tokens for streaming eviction; null: a quarter and half of the context."""

    def __post_init__(self) -> None:
        _positive(self, "sink_epsilon", "sink_tokens", "sequences", "perplexity_tokens", "batch_size", "chunk")
        _positive(self, "loss_chunk", "step_share", "spike_channels", "gradient_sequences", "calibration_sequences")
        _positive(self, "consequence_tokens")
        _not_negative(self, "spike_magnitude", "spike_ratio")
        if self.caches is not None and (not self.caches or min(self.caches) <= 4):
            raise ValueError(f"caches = {list(self.caches)}: name sizes above 4, the tokens that are kept, or null")


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
        _positive(self, "threads", "memory_mb", "runtime_minutes")
        _not_negative(self, "gpus_per_node")


@dataclass(frozen=True, kw_only=True)
class TrainingResources(Resources):
    """What one training job may use."""

    __pydantic_config__ = SPECIFICATION

    nodes: int = 1
    """Machines that a training job runs on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self, "nodes")


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
        _positive(self, "context")


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
    measures: Measures = Measures()
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


def build(kind: Any, value: Any) -> Any:
    """Make settings of type ``kind`` from the plain value that JSON holds; an unknown key raises TypeError."""
    if isinstance(value, Mapping):
        kind = next((member for member in typing.get_args(kind) if is_dataclass(member)), kind)  # of kind | None
    if is_dataclass(kind) and isinstance(value, Mapping):
        hints = typing.get_type_hints(kind)
        unknown = set(value) - {member.name for member in fields(kind)}
        if unknown:
            raise TypeError(f"{kind.__name__} has no key {sorted(unknown)[0]!r}")
        return kind(**{name: build(hints[name], item) for name, item in value.items()})
    if isinstance(value, list):
        return tuple(value)
    return value
