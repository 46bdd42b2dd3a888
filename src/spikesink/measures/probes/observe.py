"""Watch the residual stream and the attention maps of a forward pass without changing the model."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from spikesink.measures.probes.shares import shares
from spikesink.model.attention import CausalAttention
from spikesink.model.context import Context
from spikesink.model.decoder import Block, Decoder


class Observation(NamedTuple):
    """What a block did, in float32."""

    block: int
    """1-based as in the papers; 0 is the embedding."""
    kind: str
    """embedding, attention or feed_forward."""
    output_BTD: Tensor | None
    """The block's own output, before the residual sum; None for the embedding."""
    stream_BTD: Tensor
    """The residual stream after the block."""
    attention_BNTT: Tensor | None
    """The attention map (query, key) in shares, where one was asked for and the block has one."""


@torch.no_grad()
def observe(model: Decoder, tokens_BT: Tensor, *, attention: bool = False) -> Iterator[Observation]:
    """Run the blocks one by one: yields the embedding, then every block.

    Memory is that of one block. With ``attention`` the maps are formed whole, so keep T short.
    """
    h = model.embedding(tokens_BT)
    context = model.context(h)
    yield Observation(0, "embedding", None, h.float(), None)
    for index, block in enumerate(model.blocks, start=1):
        x = block.pre_norm(h)
        is_attention = isinstance(block.body, CausalAttention)
        probabilities = shares(block.body, block.body.probabilities(x, context)) if attention and is_attention else None
        output = block.post_norm(block.body(x, context))
        h = block.sum_norm(h + output)
        kind = "attention" if is_attention else "feed_forward"
        yield Observation(index, kind, output.float(), h.float(), probabilities)


@torch.no_grad()
def block_inputs(model: Decoder, tokens_BT: Tensor) -> Iterator[tuple[int, Block, Tensor, Context]]:
    """Run the blocks one by one: yields (number from 1, block, residual stream [B, T, D] that enters it, context)."""
    h = model.embedding(tokens_BT)
    context = model.context(h)
    for index, block in enumerate(model.blocks, start=1):
        yield index, block, h, context
        h = block(h, context)
