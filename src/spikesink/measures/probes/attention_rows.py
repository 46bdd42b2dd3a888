"""The attention map some queries at a time, for statistics of long contexts."""

from collections.abc import Iterator

import torch
from torch import Tensor

from spikesink.measures.probes.shares import shares
from spikesink.model.attention import CausalAttention
from spikesink.model.context import Context
from spikesink.model.visible import visible


def attention_rows(body: CausalAttention, x_BTD: Tensor, context: Context, chunk: int) -> Iterator[tuple[int, Tensor]]:
    """Yields (first query, weights [B, N, C, J] in float32) for C queries at a time, J = first + C.

    The queries see no key from J on. The numbers are those of ``body.probabilities``, in shares, but memory grows with
    T, not with its square. The rows are formed because a fused kernel does not show them: it gives the weight on a
    fixed set of keys, but neither the weight near a query's own position nor the entropy.
    """
    q, k = (tensor.float() for tensor in body.queries_keys(x_BTD, context))
    extra = 0
    if body.extra_key is not None:
        q, k, _ = body.extra_key.extended(q, k, torch.zeros_like(k))
        q, extra = q[:, :, 1:], 1
    k = body.per_query_head(k)
    for first in range(0, q.shape[2], chunk):
        queries = q[:, :, first : first + chunk]
        keys = k[:, :, : extra + first + queries.shape[2]]
        scores = queries @ keys.transpose(-1, -2) * body.scale
        seen = visible(*scores.shape[-2:], body.window, scores.device)
        scores = scores.masked_fill(~seen, float("-inf"))
        yield first, shares(body, body.scores_to_weights(scores))[..., extra:]
