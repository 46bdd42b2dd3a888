"""What is measured: a model and the held-out text it is measured on."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from spikesink.data.batches import TokenStream, chunks
from spikesink.model.decoder import Decoder


@dataclass(frozen=True)
class Subject:
    """A model of a run's last step, or a pretrained one."""

    model: Decoder
    context: int
    """Sequence length in tokens that it was trained with, or is measured with."""
    window: tuple[int, int] | None
    """Positions whose loss it was trained on; None: all."""
    stream: TokenStream
    """Held-out tokens."""
    tokenizer: Path
    """tokenizer.json of these tokens."""
    snapshots: Path
    """Folder of the weights at earlier steps; it exists only where a run kept some."""

    def rows(self, sequences: int, length: int | None = None) -> Tensor:
        """At most so many held-out rows [n, T + 1] of ``length``, by default the context.

        A positional gate's table bounds the length. Raises TokenError when there is not a single row.
        """
        length = length or self.context
        if self.model.settings.gate.kind == "positional":
            length = min(length, self.context)
        return torch.from_numpy(chunks(self.stream, length, sequences * length))

    def tokens(self, sequences: int, length: int) -> Tensor:
        """At most so many held-out sequences [n, T] of this length, whatever the context."""
        return self.rows(sequences, length)[:, :-1]
