"""What is measured: a model and the held-out text it is measured on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikesink.data.batches import TokenStream
from spikesink.data.drawn_rows import documents_of_targets, drawn_places, held_out_rows
from spikesink.model.decoder import Decoder
from spikesink.study.kinds import GATES
from spikesink.study.settings import Measures

Answers = Iterator[tuple[str, list[dict]]]
"""What a question module yields: the name of a question and the rows of its table."""


@dataclass(frozen=True)
class Subject:
    """The model of a run's last step, or a published model, with its held-out text."""

    model: Decoder
    context: int
    """Sequence length in tokens that a run was trained with, or that a published model is measured with."""
    window: tuple[int, int] | None
    """Positions [first, last) whose loss the model was trained on; None: all."""
    stream: TokenStream
    """Held-out tokens."""
    tokenizer: Path
    """tokenizer.json of these tokens."""
    snapshots: Path
    """Folder of the weights at earlier steps; it exists only where a run kept some."""
    document_starts: np.ndarray
    """Where every document of the held-out tokens starts."""
    warmup_steps: int = 0
    """Steps in which the learning rate of a run rose to its peak."""

    def rows(self, sequences: int, length: int | None = None) -> Tensor:
        """At most this many held-out rows [n, T + 1], T = ``length`` (default: the context), drawn from all documents.

        The table of a positional gate limits T to the context. Raises TokenError when the text holds no such row.
        """
        return torch.from_numpy(held_out_rows(self.stream, self.length_of(length), sequences))

    def documents(self, sequences: int, length: int | None = None) -> Tensor:
        """The number of the document that every target of ``rows`` is from: [n, T]."""
        length = self.length_of(length)
        places = drawn_places(self.stream, length, sequences)
        return torch.from_numpy(documents_of_targets(self.stream, self.document_starts, places, length))

    def length_of(self, length: int | None) -> int:
        """The length of rows that are asked for with ``length``."""
        length = length or self.context
        return min(length, self.context) if GATES[self.model.settings.gate.kind].per_position else length

    def tokens(self, sequences: int, length: int) -> Tensor:
        """At most this many held-out sequences [n, T] of this length, whatever the context."""
        return self.rows(sequences, length)[:, :-1]

    def sequences_in(self, tokens: int, length: int | None = None) -> int:
        """How many sequences of ``length`` (default: the context) make up at most this many tokens; at least one."""
        return max(1, tokens // (length or self.context))

    def loss_options(self, settings: Measures) -> dict[str, Any]:
        """Keyword arguments of the measures that take gradients of the training loss."""
        return {"window": self.window, "batch_size": settings.batch_size, "loss_chunk": settings.loss_chunk}
