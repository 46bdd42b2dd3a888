"""What is measured: a model and the held-out text it is measured on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikesink.data.batches import TokenStream, chunks
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

    def rows(self, sequences: int, length: int | None = None) -> Tensor:
        """At most this many held-out rows [n, T + 1], T = ``length`` (default: the context).

        The table of a positional gate limits T to the context. Raises TokenError when the text holds no such row.
        """
        length = length or self.context
        if GATES[self.model.settings.gate.kind].per_position:
            length = min(length, self.context)
        return torch.from_numpy(chunks(self.stream, length, sequences * length))

    def tokens(self, sequences: int, length: int) -> Tensor:
        """At most this many held-out sequences [n, T] of this length, whatever the context."""
        return self.rows(sequences, length)[:, :-1]

    def sequences_in(self, tokens: int, length: int | None = None) -> int:
        """How many sequences of ``length`` (default: the context) make up at most this many tokens; at least one."""
        return max(1, tokens // (length or self.context))

    def loss_options(self, settings: Measures) -> dict[str, Any]:
        """Keyword arguments of the measures that take gradients of the training loss."""
        return {"window": self.window, "batch_size": settings.batch_size, "loss_chunk": settings.loss_chunk}
