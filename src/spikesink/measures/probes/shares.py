"""What a measure calls attention where weights may sum to more than 1."""

from torch import Tensor

from spikesink.model.attention import CausalAttention


def shares(body: CausalAttention, weights: Tensor) -> Tensor:
    """Attention weights [..., key] as they are where a query's sum to at most 1, else divided by their sum.

    Gu et al. (2410.10781) measure sinks so in attention without normalisation. Otherwise sigmoid attention, whose
    weights start near 1/2, would have a sink in every head. A query without any weight keeps 0 everywhere.
    """
    if body.softmax.bounded:
        return weights
    total = weights.sum(dim=-1, keepdim=True)
    return weights / total.where(total > 0, 1.0)
