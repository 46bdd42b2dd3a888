"""Change what a model computes for a while, without touching its weights: entries of its stream, keys of attention."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikesink.measures.probes.replaced import replaced
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Block
from spikesink.model.visible import visible


@contextmanager
def entries_set(block: Block, chosen_TD: Tensor, values_D: Tensor | float) -> Iterator[None]:
    """While it is open, the stream after ``block`` holds ``values_D`` at the chosen entries (true) of every sequence.

    A longer sequence keeps its stream behind the last row of ``chosen_TD``. Done at the norm on the residual sum, the
    last of the block, so that it holds whether the block runs whole or in parts.
    """

    def change(module: nn.Module, inputs: tuple[Tensor, ...], stream: Tensor) -> Tensor:
        length = stream.shape[1]
        chosen = chosen_TD[:length].to(stream.device)
        chosen = F.pad(chosen, (0, 0, 0, length - len(chosen)))
        return torch.where(chosen, torch.as_tensor(values_D).to(stream), stream)

    handle = block.sum_norm.register_forward_hook(change)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def keys_hidden(keys: Mapping[CausalAttention, Tensor]) -> Iterator[None]:
    """While it is open, no query but its own attends to the keys at these positions, attention block by block."""
    with (
        replaced(keys, "attend", lambda body: partial(attend, body, keys[body])),
        replaced(keys, "weights", lambda body: partial(weights, body, keys[body])),
    ):
        yield


def attend(body: CausalAttention, keys: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """What ``body.attend`` gives, on the keys that are left."""
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=left(body, keys, q, k),
        scale=body.scale,
        enable_gqa=body.heads != body.kv_heads,
    )


def weights(body: CausalAttention, keys: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """What ``body.weights`` gives, on the keys that are left."""
    scores = q @ body.per_query_head(k).transpose(-1, -2) * body.scale
    return body.scores_to_weights(scores.masked_fill(~left(body, keys, q, k), float("-inf")))


def left(body: CausalAttention, keys: Tensor, q_BNTH: Tensor, k_BKTH: Tensor) -> Tensor:
    """Which key every query still sees, [queries, keys]; an extra key stands in front and is never hidden.

    Fewer queries than keys are those of the last positions.
    """
    place = torch.arange(k_BKTH.shape[2], device=q_BNTH.device)
    queries = place[-q_BNTH.shape[2] :]
    hidden = torch.isin(place - int(body.extra_key is not None), keys.to(place.device))
    own = queries[:, None] == place
    return visible(len(queries), len(place), body.window, place.device) & (own | ~hidden)
