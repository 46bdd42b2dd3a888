"""Sigmoid gates in the attention branch (2603.05498 Table 7; 2505.06708; 2510.09017)."""

import torch
from torch import Tensor, nn

from spikesink.study.settings import Gate

PART = "gates"


class AttentionGate(nn.Module):
    """y * sigmoid(g), where y is the attention output or the values. g has no bias, so a gate starts near one half.

    g is one of
    * conditional: a projection of the layer's normalised input;
    * token_embedding: a projection of the raw input embedding;
    * value_state: a projection of y itself, the same for all heads;
    * unconditional: a learned constant;
    * positional: a learned table over positions.
    It has one value per channel of every head, per head, or a single one (``per``).
    """

    def __init__(self, settings: Gate, *, d_model: int, heads: int, head_dim: int, positions: int) -> None:
        super().__init__()
        self.kind = settings.kind
        self.shape = {"channel": (heads, head_dim), "head": (heads, 1), "single": (1, 1)}[settings.per]
        if self.kind == "value_state":
            self.whole = settings.per == "single"
            self.projection = nn.Linear(heads * head_dim if self.whole else head_dim, self.shape[1], bias=False)
        elif self.kind in ("conditional", "token_embedding"):
            self.projection = nn.Linear(d_model, self.shape[0] * self.shape[1], bias=False)
        elif self.kind == "positional":
            self.table = nn.Parameter(torch.empty(positions, *self.shape))
        elif self.kind == "unconditional":
            # One-dimensional, so that weight decay on matrices leaves it out, as in the code of 2603.05498.
            self.table = nn.Parameter(torch.empty(self.shape[0] * self.shape[1]))
        else:
            raise ValueError(f"gate.kind = {self.kind!r} is no gate that {__name__} can build: add the kind there")

    def forward(self, y_BTNH: Tensor, x_BTD: Tensor, embedding_BTD: Tensor, first: int = 0) -> Tensor:
        """``first``: the position of the first token."""
        if self.kind == "conditional":
            g = self.projection(x_BTD).unflatten(-1, self.shape)
        elif self.kind == "token_embedding":
            g = self.projection(embedding_BTD).unflatten(-1, self.shape)
        elif self.kind == "value_state":
            g = self.projection(y_BTNH.flatten(2)).unsqueeze(-1) if self.whole else self.projection(y_BTNH)
        elif self.kind == "positional":
            end = first + y_BTNH.shape[1]
            if end > self.table.shape[0]:
                raise ValueError(
                    f"{end} positions, but the positional gate has a table of {self.table.shape[0]}: "
                    "use shorter sequences"
                )
            g = self.table[first:end]
        else:  # unconditional
            g = self.table.view(self.shape)
        return y_BTNH * torch.sigmoid(g)
