"""How a model is trained: optimiser, schedule and the loop around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spikesink.study.settings.checks import SHORTEST, SPECIFICATION, at_least, at_most, not_negative, positive

AFFECTS_RESULTS = False


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """What turns gradients into steps."""

    __pydantic_config__ = SPECIFICATION

    kind: Literal["adamw", "sgd", "rmsprop", "muon"] = "adamw"
    """adamw; sgd: with momentum and without adaptive step sizes, as torch.optim.SGD; rmsprop: adaptive and without
    momentum, as torch.optim.RMSprop; muon: torch.optim.Muon for the matrices inside the layers, with the root mean
    square of AdamW's steps, and AdamW for all other parameters."""
    lr: float
    """Peak learning rate."""
    beta1: float = 0.9
    """Decay of AdamW's first moment."""
    beta2: float = 0.95
    """Decay of the second moment of AdamW and RMSProp."""
    eps: float = 1e-8
    """Added to the square root of the second moment of AdamW and RMSProp."""
    momentum: float = 0.9
    """Momentum of sgd and muon."""
    weight_decay: float = 0.1
    """Weight decay: added to the gradient in sgd, decoupled from it in all others."""
    decay: Literal["all", "matrices"] = "all"
    """all: every parameter decays (2603.05498); matrices: only parameters of two or more dimensions (2603.17771), so
    no gains, biases, constant gates, extra keys and sink logits. V-scale's theta decays with neither, unless
    decay_theta says so."""
    decay_theta: bool = False
    """Whether V-scale's theta decays too. 2603.17771 decays matrices only, so it does not."""
    clip_norm: float = 1.0
    """Gradients with a larger global norm are scaled down to this norm."""

    def __post_init__(self) -> None:
        positive(self, "lr", "eps", "clip_norm")
        not_negative(self, "weight_decay")
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
    """With steps counted from 0, quadratic: 1 - (1 - step / warmup_steps)^2, which begins at 0 (released code of
    2603.05498); linear: (step + 1) / warmup_steps (2603.17771 says no more than linear, and its code is not
    released)."""
    min_lr_ratio: float = 0.1
    """Final learning rate as a share of the peak. With 1 the learning rate is constant after the warm-up."""

    def __post_init__(self) -> None:
        not_negative(self, "warmup_steps")
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
    bos: Literal["sequence", "document", "none"] | None = None
    """Where the model sees a BOS, in training and in every measure, as for tokenizer.bos; null: as tokenizer.bos says.
    The text is packed once for all variants. A BOS needs one in tokenizer.bos."""
    loss_window: tuple[int, int] | None = None
    """Only the next-token loss at positions [first, last) counts, 0-based; null: at all positions. Earlier tokens stay
    visible."""
    distinct_share: float | None = None
    """Share of the run's sequences that differ from each other: with 0.02 it trains on 2 % of steps x batch_size
    sequences, drawn from all of the text by the seed, about 50 times each (Gu et al. 2410.10781, who train on less
    data). null: on all of the text."""
    optimiser: Optimiser
    """The optimiser and its settings."""
    schedule: Schedule
    """Learning-rate schedule."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of matrix products. auto: bfloat16 on a GPU, float32 on a CPU; weights and optimiser state are always float32."""
    residual: Literal["float32", "bfloat16"] = "float32"
    """Of the residual stream and the loss, and with fsdp of the gradients that devices exchange. bfloat16, as the
    released code of 2603.05498 has it, needs precision: bfloat16; a spike near 3,800 is rounded to multiples of 16
    then."""
    compile: bool = False
    """Whether to compile the decoder with torch.compile."""
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """How several devices share a run: ddp: a copy on each; fsdp: weights, gradients and optimiser state sharded over
    all (FSDP2); auto: ddp if there are several devices."""
    micro_batch_size: int | None = None
    """At most this many sequences per device and forward pass; gradients accumulate to batch_size. null: no limit."""
    activation_checkpointing: bool = False
    """Whether to keep only the input of every block and compute the rest again in the backward pass. Saves memory."""
    loss_chunk: int | None = None
    """Compute the loss over this many positions at a time, so that all logits are never in memory together; null: over
    all at once."""
    log_every: int = 20
    """Steps between two rows of metrics.csv."""
    checkpoint_every: int = 500
    """Steps between two checkpoints to resume from."""
    snapshots: int = 0
    """Keep the weights at this many steps in geometric progression, the last step included, to see when sinks and
    spikes begin. Onsets between the same two snapshots cannot be ordered; with 32, each is 16 % later than the last."""

    def __post_init__(self) -> None:
        positive(self, "steps", "sequence_length", "batch_size", "log_every", "checkpoint_every")
        positive(self, "micro_batch_size", "loss_chunk", "distinct_share")
        not_negative(self, "snapshots")
        at_least(self, SHORTEST, "sequence_length")
        at_most(self, 99_999_999, "steps")  # files of checkpoints have eight digits
        at_most(self, 10_000_000, "batch_size")
        if self.snapshots > self.steps:
            raise ValueError(f"snapshots = {self.snapshots} are more than steps = {self.steps}: lower it")
        if self.distinct_share is not None and self.distinct_share > 1:
            raise ValueError(f"distinct_share = {self.distinct_share} is a share: use at most 1, or null for all text")
        if self.residual == "bfloat16" and self.precision != "bfloat16":
            raise ValueError(
                f"residual = 'bfloat16' with precision = {self.precision!r}: set precision to bfloat16 as well"
            )
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

    @property
    def distinct_sequences(self) -> int | None:
        """How many different sequences the run trains on; None: as many as the text has."""
        if self.distinct_share is None:
            return None
        return max(1, round(self.distinct_share * self.steps * self.batch_size))
