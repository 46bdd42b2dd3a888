"""Which standard tasks a study's models are given."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from spikesink.study.settings.checks import SPECIFICATION, not_negative, positive

AFFECTS_RESULTS = False

TASK = re.compile(r"\w[\w.:+-]*")
"""The name of a task, a group or a tag."""
LONGEST = 2**20
"""No text of RULER is longer."""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """Tasks of lm-evaluation-harness, which every run and every published model is given."""

    __pydantic_config__ = SPECIFICATION

    tasks: tuple[str, ...] = ()
    """Names of tasks, groups or tags of the harness, for example [wikitext, lambada_openai, arc_easy]. Without any,
    nothing is exported and nothing asked."""
    include_path: str | None = None
    """Folder with task files (YAML) of your own, and the data that they name."""
    num_fewshot: int | None = None
    """Examples before every question; null: what each task says."""
    limit: int | None = None
    """At most so many questions of every task, its first ones; null: all."""
    batch_size: int = 8
    """Sequences that pass through a model at a time."""
    quantisation: tuple[
        Literal[
            "smoothquant",
            "round_to_nearest",
            "gptq",
            "awq",
            "dynamic_per_token",
            "static_per_tensor",
            "down_projection_static",
        ],
        ...,
    ] = ()
    """Settings of the measure ``quantisation`` in which every model is asked too, after full precision. Each costs as
    much again. The first four are those of arXiv 2603.17771, Table 4, the others of its rebuttal."""
    calibration_sequences: int = 32
    """Held-out sequences of the study's text, of a model's context, that calibrate the quantisation."""
    context_lengths: tuple[int, ...] = (4096,)
    """Tokens of the texts that RULER makes, at most as many as the models take. Other tasks do not read it. Columns of
    runs.csv and mechanism.csv are for 2048, as in arXiv 2603.17771."""

    def __post_init__(self) -> None:
        positive(self, "limit", "batch_size", "calibration_sequences")
        if self.num_fewshot is not None:
            not_negative(self, "num_fewshot")
        for task in self.tasks:
            if not TASK.fullmatch(task):
                raise ValueError(f"tasks names {task!r}: a task has letters, digits and _ . : + - in its name")
        for key in ("tasks", "quantisation", "context_lengths"):
            named = getattr(self, key)
            for one in named:
                if named.count(one) > 1:
                    raise ValueError(f"{key} names {one!r} twice: write it once")
        if not self.context_lengths or not all(0 < length <= LONGEST for length in self.context_lengths):
            raise ValueError(f"context_lengths lists lengths of 1 to {LONGEST:,} tokens: [4096] is the default")
