"""How attention scores become weights, for each ``attention.softmax``; further facts of each: spikesink.study.kinds."""

from collections.abc import Callable

from torch import Tensor

from spikesink.model.softpick import softpick
from spikesink.study.kinds import Kinds


def softmax(scores: Tensor) -> Tensor:
    """e^x_i / sum_j e^x_j over the last dimension; -inf marks masked entries."""
    return scores.softmax(dim=-1)


WEIGHTS: Kinds[Callable[[Tensor], Tensor]] = Kinds(
    "attention.softmax",
    __name__,
    {
        "softmax": softmax,
        "softmax1": softmax,  # over one key more, as the next one: see extra_key.py
        "sink_logit": softmax,
        "softpick": softpick,
    },
)
"""Weights [..., T, T] from scores [..., T, T] in which -inf marks masked entries."""
