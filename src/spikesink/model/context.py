"""What all blocks of one forward pass share."""

from typing import NamedTuple

from torch import Tensor


class Context(NamedTuple):
    """Inputs of a block beside the residual stream."""

    embedding_BTD: Tensor
    """The raw, un-normed input embedding."""
    cos_TH: Tensor
    """Rotary cosines."""
    sin_TH: Tensor
    """Rotary sines."""
