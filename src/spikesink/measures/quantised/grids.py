"""The values that quantised weights and inputs can have.

INT8 is symmetric: 255 levels around 0. INT4 is asymmetric, as in GPTQ's and AWQ's code: 16 levels from the smallest to
the largest weight of a group of ``GROUP_SIZE`` inputs of one output; the last group of a row may be smaller.
"""

from collections.abc import Iterator
from typing import NamedTuple, Self

import torch
from torch import Tensor

LARGEST = 127
"""INT8 levels are -127..127, symmetric."""
SMALLEST_RANGE = 1e-5
"""Ranges are at least this, as in SmoothQuant's code, so that a vector of zeros has a scale."""
INT4_LEVELS = 15
"""INT4 levels are 0..15."""
GROUP_SIZE = 128
"""Weights of an output that share an INT4 grid."""


def rounded(x: Tensor, absmax: Tensor) -> Tensor:
    """x on the INT8 grid of step absmax / 127, beyond which it saturates; absmax broadcasts against x."""
    step = absmax.float().clamp(min=SMALLEST_RANGE) / LARGEST
    return ((x.float() / step).round().clamp(-LARGEST, LARGEST) * step).to(x.dtype)


def per_row(x: Tensor) -> Tensor:
    """Range of each last-dimension vector: of a weight's output channels, of an activation's tokens."""
    return x.float().abs().amax(dim=-1, keepdim=True)


class Int4(NamedTuple):
    """The INT4 grid of a group of weights, for every output."""

    step_O1: Tensor
    zero_O1: Tensor
    """The level that stands for 0, so that 0 is always on the grid."""

    @classmethod
    def of(cls, weight_OG: Tensor) -> Self:
        """The grid of each row from its smallest to its largest weight, 0 included."""
        low = weight_OG.amin(dim=1, keepdim=True).clamp(max=0)
        high = weight_OG.amax(dim=1, keepdim=True).clamp(min=0)
        step = ((high - low) / INT4_LEVELS).clamp(min=torch.finfo(weight_OG.dtype).tiny)
        return cls(step, (-low / step).round())

    def nearest(self, weight_OG: Tensor) -> Tensor:
        """The weights on the grid."""
        levels = ((weight_OG / self.step_O1).round() + self.zero_O1).clamp(0, INT4_LEVELS)
        return (levels - self.zero_O1) * self.step_O1


def groups(inputs: int, size: int = GROUP_SIZE) -> Iterator[slice]:
    """The groups of a matrix with so many inputs, in order."""
    for first in range(0, inputs, size):
        yield slice(first, min(first + size, inputs))


def round_to_nearest(weight_OI: Tensor, size: int = GROUP_SIZE) -> Tensor:
    """Every weight on the nearest point of its group's INT4 grid."""
    weight = weight_OI.float()
    parts = [Int4.of(weight[:, group]).nearest(weight[:, group]) for group in groups(weight.shape[1], size)]
    return torch.cat(parts, dim=1).to(weight_OI.dtype)
