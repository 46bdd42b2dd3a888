"""The attention map some queries at a time, for statistics of long contexts."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from spikesink.measures.probes.shares import shares
from spikesink.model.attention import CausalAttention
from spikesink.model.context import Context


def attention_rows(body: CausalAttention, x_BTD: Tensor, context: Context, chunk: int) -> Iterator[tuple[int, Tensor]]:
    """Yields (first query, weights [B, N, C, J] in float32) for C queries at a time, J = first + C.

    The queries see no key from J on. The weights are those of ``body.weights``, in shares and without an extra key, but
    memory grows with T, not with its square. The rows are formed because a fused kernel does not show them: it gives
    the weight on a fixed set of keys, but neither the weight near a query's own position nor the entropy.
    """
    q, k = (tensor.float() for tensor in body.queries_keys(x_BTD, context))
    extra = 0
    if body.extra_key is not None:
        q, k, _ = body.extra_key.extended(q, k, torch.zeros_like(k))
        q, extra = q[:, :, 1:], 1
    k = body.per_query_head(k)
    for first in range(0, q.shape[2], chunk):
        last = min(first + chunk, q.shape[2])
        weights = body.weights(q[:, :, first:last], k[:, :, : extra + last])
        yield first, shares(body, weights)[..., extra:]


def attention_received(rows: Iterable[tuple[int, Tensor]], length: int, first: int = 0) -> Tensor:
    """alpha_k = mean over t of A[t, k] (2603.05498 Eq 27), the mean attention on every key k: [B, N, ``length``].

    Takes the rows of a map as ``attention_rows`` yields them; counts the queries t >= ``first``.
    """
    received: Tensor | None = None
    for start, weights in rows:
        if received is None:
            received = weights.new_zeros(*weights.shape[:2], length)
        received[..., : weights.shape[-1]] += weights[:, :, max(0, first - start) :].sum(dim=-2)
    return received / (length - first)
