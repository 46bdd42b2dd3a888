"""The weight and the score that all queries give to one key, without the T x T map."""

import torch
from torch import Tensor

from spikesink.measures.probes.shares import shares
from spikesink.model.attention import CausalAttention


def attention_on(
    body: CausalAttention, q_BNTH: Tensor, k_BKTH: Tensor, position: int, *, in_shares: bool = True
) -> Tensor:
    """a_ts for the key s = ``position``: [B, N, T] over queries t, float32, zero for t < s.

    Takes rotated queries and keys, as ``body.queries_keys`` returns them. It is the attention output for values that
    are 1 at that key and 0 elsewhere, so it is exact on every backend. Weight on an extra key does not count. A softmax
    that forms its map in the model forms it here too; its weights are in shares, unless they are asked for as they mix
    values.
    """
    q, k = q_BNTH.float(), k_BKTH.float()
    indicator = torch.zeros_like(k)
    indicator[:, :, position, 0] = 1
    if body.softmax.forms_map:
        weights = body.weights(q, k)
        weights = shares(body, weights) if in_shares else weights
        return (weights @ body.per_query_head(indicator))[..., 0]
    if body.extra_key is None:
        return body.attend(q, k, indicator)[..., 0]
    q, k, v = body.extra_key.extended(q, k, indicator)
    v[:, :, 0] = 0  # a learned value of the extra key is no attention on the position
    return body.attend(q, k, v)[:, :, 1:, 0]


def keys_seen(body: CausalAttention, length: int) -> Tensor:
    """How many keys each of the first T queries attends to, a window and an extra key counted: [T]."""
    seen = torch.arange(1, length + 1, device=body.q.weight.device).clamp(max=body.window or length)
    return seen + int(body.extra_key is not None)


def uniform_mass(body: CausalAttention, length: int) -> float:
    """Mean attention on position 0 over T queries that attend to all keys they see alike."""
    return (1 / keys_seen(body, length))[: body.window].sum().item() / length


def products(q_BNTH: Tensor, k_BNTH: Tensor, window: int | None) -> tuple[Tensor, Tensor]:
    """q_t . k_0 and the mean over 1 <= j <= t of q_t . k_j, for the queries t >= 1 that see key 0: two [B, N, T'].

    T' is T - 1, or the window - 1 where that is shorter. No T x T map is formed.
    """
    q, others = q_BNTH[:, :, 1:window], k_BNTH[:, :, 1:window]
    visible = torch.arange(1, others.shape[2] + 1, device=k_BNTH.device)[:, None]
    return (q * k_BNTH[:, :, :1]).sum(dim=-1), (q * (others.cumsum(dim=2) / visible)).sum(dim=-1)


def logit_gap(body: CausalAttention, q_BNTH: Tensor, k_BKTH: Tensor) -> Tensor:
    """Mean over queries t >= 1 of q_t.(k_0 - mean over 1 <= j <= t of k_j) times the scale, mostly 1 / sqrt(H): [B, N].

    How far the score of key 0 stands above the mean score of the other visible keys, in float32. Queries whose window
    has passed key 0 do not count.
    """
    first, others = products(q_BNTH.float(), body.per_query_head(k_BKTH.float()), body.window)
    return (first - others).mean(dim=-1) * body.scale
