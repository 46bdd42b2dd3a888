"""What all blocks of one forward pass share."""

from typing import NamedTuple, Protocol

from torch import Tensor

from spikesink.model.rotary import Rotary


class Cache(Protocol):
    """Keys and values of the positions before this forward pass; transformers' caches are of this kind."""

    def update(self, k_BKTH: Tensor, v_BKTH: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Keep the keys and values that attention ``number`` adds; return all of its keys and values so far."""


class Context(NamedTuple):
    """Inputs of a block beside the residual stream."""

    embedding_BTD: Tensor
    """The raw, un-normed input embedding."""
    rotary: Rotary
    """Tables for attention that sees all positions before."""
    window_rotary: Rotary
    """Tables for attention with a sliding window."""
    first: int = 0
    """Position of the first token: how many came in forward passes before."""
    cache: Cache | None = None
    """Their keys and values; None: there were none, and nothing is kept."""
