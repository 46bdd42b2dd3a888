"""How attention scores become weights, for each ``attention.softmax``; further facts of each: spikesink.study.kinds."""

from collections.abc import Callable

from torch import Tensor

from spikesink.model.softpick import softpick
from spikesink.model.unnormalised import relu, sigmoid
from spikesink.study.kinds import SOFTMAX

FORMED: dict[str, Callable[[Tensor], Tensor]] = {
    "softpick": softpick,
    "sigmoid": sigmoid,
    "relu": relu,
}
"""Weights from scores, both [..., T, T], of the kinds that form their attention map; -inf marks masked scores."""


def softmax(scores: Tensor) -> Tensor:
    """e^x_i / sum_j e^x_j over the last dimension; -inf marks masked scores."""
    return scores.softmax(dim=-1)


def scores_to_weights(kind: str) -> Callable[[Tensor], Tensor]:
    """The function of this kind: softmax for all that a fused kernel computes, an extra key among the scores or not.

    Raises ValueError for an unknown kind, and for one whose facts and function contradict each other.
    """
    if SOFTMAX[kind].forms_map != (kind in FORMED):
        raise ValueError(
            f"attention.softmax = {kind!r} forms its map (it has map_bytes in spikesink.study.kinds) if and only if "
            f"{__name__}.FORMED has a function for it: change one of the two"
        )
    return FORMED.get(kind, softmax)
