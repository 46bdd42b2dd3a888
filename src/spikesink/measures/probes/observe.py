"""Watch the residual stream of a forward pass without changing the model."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from spikesink.model.attention import CausalAttention
from spikesink.model.context import Context
from spikesink.model.decoder import Block, Decoder

LOGITS_ON_CPU, LOGITS_ON_GPU = 2**25, 2**29
"""Bytes of logits that exist at a time."""


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


@torch.no_grad()
def observe(model: Decoder, tokens_BT: Tensor) -> Iterator[Observation]:
    """Run the blocks one by one: yields the embedding, then every block. Memory is that of one block."""
    h = model.embedding(tokens_BT)
    context = model.context(h)
    yield Observation(0, "embedding", None, h.float())
    for index, block in enumerate(model.blocks, start=1):
        output = block.post_norm(block.body(block.pre_norm(h), context))
        h = block.sum_norm(h + output)
        kind = "attention" if isinstance(block.body, CausalAttention) else "feed_forward"
        yield Observation(index, kind, output.float(), h.float())


def positions_together(model: Decoder) -> int:
    """How many positions' logits are formed at a time.

    On a CPU a larger tensor would be mapped and cleared by the system again each time, which takes a third of the time.
    """
    most = LOGITS_ON_CPU if model.device.type == "cpu" else LOGITS_ON_GPU
    return max(1, most // (4 * len(model.head_weight)))


@torch.no_grad()
def over_positions(model: Decoder, rows_BT: Tensor, score: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """``score`` of the logits [P, V] and targets [P] of some positions at a time: [B, T, ...] for rows [B, T + 1]."""
    rows_BT = rows_BT.to(model.device)
    states, targets = model.final_states(rows_BT[:, :-1]).flatten(0, 1), rows_BT[:, 1:].flatten()
    together = positions_together(model)
    pieces = zip(states.split(together), targets.split(together), strict=True)
    found = torch.cat([score(F.linear(h_PD, model.head_weight).float(), targets_P) for h_PD, targets_P in pieces])
    return found.unflatten(0, (len(rows_BT), -1))


@torch.no_grad()
def block_inputs(model: Decoder, tokens_BT: Tensor) -> Iterator[tuple[int, Block, Tensor, Context]]:
    """Run the blocks one by one: yields (number from 1, block, residual stream [B, T, D] that enters it, context)."""
    h = model.embedding(tokens_BT)
    context = model.context(h)
    for index, block in enumerate(model.blocks, start=1):
        yield index, block, h, context
        if index < len(model.blocks):  # nobody reads what the last block returns
            h = block(h, context)
