"""Which standard tasks a study's models are given."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spikesink.study.settings.checks import SPECIFICATION, not_negative, positive

AFFECTS_RESULTS = False

TASK = re.compile(r"\w[\w.:+-]*")
"""The name of a task, a group or a tag."""


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

    def __post_init__(self) -> None:
        positive(self, "limit", "batch_size")
        if self.num_fewshot is not None:
            not_negative(self, "num_fewshot")
        for task in self.tasks:
            if not TASK.fullmatch(task):
                raise ValueError(f"tasks names {task!r}: a task has letters, digits and _ . : + - in its name")
            if self.tasks.count(task) > 1:
                raise ValueError(f"tasks names {task!r} twice: write it once")
