"""Watch the residual stream and the attention maps of a forward pass without changing the model."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from spikesink.model.attention import CausalAttention
from spikesink.model.context import Context
from spikesink.model.decoder import Block, Decoder


class Observation(NamedTuple):
    """What a block did: its output before the residual sum, the stream after it, its attention map if any."""

    block: int
    """1-based as in the papers; 0 is the embedding."""
    kind: str
    """embedding, attention or feed_forward."""
    output_BTD: Tensor | None
    stream_BTD: Tensor
    attention_BNTT: Tensor | None


@torch.no_grad()
def observe(model: Decoder, tokens_BT: Tensor, *, attention: bool = False) -> Iterator[Observation]:
    """Run the blocks one by one and yield the embedding, then every block, in float32.

    Memory is that of one block. Attention maps are formed eagerly, so keep T short when asking for them.
    """
    h = model.embedding(tokens_BT)
    context = model.context(h)
    yield Observation(0, "embedding", None, h.float(), None)
    for index, block in enumerate(model.blocks, start=1):
        x = block.pre_norm(h)
        is_attention = isinstance(block.body, CausalAttention)
        probabilities = block.body.probabilities(x, context) if attention and is_attention else None
        output = block.post_norm(block.body(x, context))
        h = h + output
        kind = "attention" if is_attention else "feed_forward"
        yield Observation(index, kind, output.float(), h.float(), probabilities)


@torch.no_grad()
def block_inputs(model: Decoder, tokens_BT: Tensor) -> Iterator[tuple[int, Block, Tensor, Context]]:
    """Run the blocks one by one and yield each (1-based) with the residual stream [B, T, D] that enters it."""
    h = model.embedding(tokens_BT)
    context = model.context(h)
    for index, block in enumerate(model.blocks, start=1):
        yield index, block, h, context
        h = block(h, context)
