"""The numbers in the definitions of the measures."""

from __future__ import annotations

from dataclasses import dataclass

from spikesink.study.settings.checks import SPECIFICATION, at_least, not_negative, positive, shares

AFFECTS_RESULTS = False


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What is measured on a trained model; the defaults are the papers' definitions."""

    __pydantic_config__ = SPECIFICATION

    sink_epsilon: float = 0.3
    """A head is a sink head when a key receives more than this mean attention (2603.05498 Eq 27-28)."""
    sink_tokens: int = 64
    """Length T of the sequences on which sinks are measured, for every model."""
    sequences: int = 100
    """Held-out sequences for sinks and activations; as many as there are, where the held-out text has fewer."""
    perplexity_tokens: int = 65_536
    """The perplexity is of at most this many held-out tokens, in chunks of each run's context (paper: 4,194,304)."""
    ability_sequences: int = 64
    """Sequences of repeated random tokens, and of text with planted keys per seed and distance."""
    batch_size: int | None = None
    """Sequences that pass through the model at a time. A smaller number needs less memory. null: as many as fit into
    the memory that is free, at most 32."""
    chunk: int | None = None
    """Queries, or rows of a matrix, that a measure works on at a time. null: as many as fit, at most 512."""
    loss_chunk: int | None = None
    """Measures that take gradients compute the logits of this many positions at a time. null: as many as fit."""
    spike_magnitude: float = 100.0
    """An activation is massive when its magnitude is larger than this (Sun et al. 2402.17762) and than
    spike_over_median says."""
    spike_over_median: float = 1000.0
    """An activation is massive when it is also larger than this many times the median magnitude of its hidden state
    (Sun et al. 2402.17762)."""
    step_share: float = 0.1
    """A block that adds at least this share of the spike is a step-up block; one that takes as much away, a step-down
    block."""
    spike_channels: int = 3
    """How many leading channels are followed, changed or compared with ordinary ones."""
    vocabulary_tokens: int | None = None
    """Token ids that pass through a model alone, at position 0: at most so many, evenly spaced. null: all of them."""
    delimiters: tuple[str, ...] = (".", ",", ";", ":", "\n")
    """Tokens that may be spike tokens at later positions. Those that the tokenizer lacks are skipped."""
    gradient_sequences: int = 512
    """Held-out sequences, as long as the run's context, whose gradients are summed (2603.17771: a training batch,
    512); as many as there are, where the held-out text has fewer."""
    consequence_tokens: int = 65_536
    """Quantisation, streaming and interventions each use at most this many held-out tokens, in each of their
    settings."""
    calibration_sequences: int = 32
    """Held-out sequences from which quantisation takes its ranges and interventions their means; they are not
    scored."""
    caches: tuple[int, ...] | None = None
    """Cache sizes in tokens for streaming eviction, each below four contexts; null: a quarter and half of the
    context."""

    def __post_init__(self) -> None:
        positive(self, "sink_epsilon", "sink_tokens", "sequences", "perplexity_tokens", "batch_size", "chunk")
        positive(self, "ability_sequences", "vocabulary_tokens")
        positive(self, "loss_chunk", "step_share", "spike_channels", "gradient_sequences", "calibration_sequences")
        positive(self, "consequence_tokens")
        at_least(self, 2, "sink_tokens", "gradient_sequences")
        shares(self, "step_share")
        if self.sink_epsilon >= 1:
            raise ValueError(
                f"sink_epsilon = {self.sink_epsilon} must be a share of attention below 1, for example 0.3"
            )
        not_negative(self, "spike_magnitude", "spike_over_median")
        if self.caches is not None and (not self.caches or min(self.caches) <= 4):
            raise ValueError(f"caches = {list(self.caches)}: name sizes above 4, the tokens that are kept, or null")
