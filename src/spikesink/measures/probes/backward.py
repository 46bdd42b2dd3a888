"""Watch the backward pass of the training loss without changing the model, as observe.py watches the forward pass."""

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Decoder


class Tap(NamedTuple):
    """A hidden state and the gradient of the loss with respect to it, both [B, T, width] in float32."""

    value: Tensor
    gradient: Tensor


def backward(
    model: Decoder,
    rows: Tensor,
    sites: Collection[str],
    *,
    window: tuple[int, int] | None = None,
    loss_chunk: int | None = None,
) -> dict[str, dict[int, Tap]]:
    """site -> block (1-based) -> Tap, for rows [B, T + 1] of inputs and, one later, targets.

    The loss is that of an optimisation step, the mean next-token cross-entropy over these rows and the positions
    ``window`` = [first, last). Sites of every block: stream, the residual stream before it (2L + 1: after the last
    block), through both branch and skip connection; branch, the same stream through the branch alone; input, what
    pre_norm hands to the body (h~ of 2603.17771); sum, the residual sum, before a norm on it. Of attention blocks too:
    query, key, value, outputs of the three projections, before norms, rotation and valves, heads side by side; mixed,
    the values as attention mixes them, after valve and gate; mixture, the attention output of every query head before
    an output gate.

    Parameters need no gradient and get none: their ``grad`` stays as it was. Memory is that of one training step
    without parameter gradients.
    """
    found: dict[str, dict[int, Tensor]] = {site: {} for site in sites}

    def tap(site: str, block: int, x: Tensor) -> Tensor:
        if site in found:
            x = x.view_as(x)  # a node of its own, even where a norm is the identity and the stream has other readers
            found[site][block] = x
        return x

    inputs = rows[:, :-1].to(model.device)
    first, last = window or (0, inputs.shape[1])
    targets = rows[:, 1:].to(model.device)[:, first:last]
    with torch.enable_grad(), tapped(model, tap):
        loss = model(inputs, window, targets, loss_chunk)
    places = [(site, block) for site in found for block in found[site]]
    gradients = torch.autograd.grad(loss, [found[site][block] for site, block in places])
    taps: dict[str, dict[int, Tap]] = {site: {} for site in sites}
    for (site, block), gradient in zip(places, gradients, strict=True):
        taps[site][block] = Tap(found[site][block].detach().float(), gradient.float())
    return taps


@contextmanager
def tapped(model: Decoder, tap: Callable[[str, int, Tensor], Tensor]) -> Iterator[None]:
    """Hooks that pass the model's hidden states through ``tap`` (site, block, state) while they are in place."""
    with ExitStack() as stack:

        def after(module: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
            handle = module.register_forward_hook(lambda module, arguments, output: change(output))
            stack.callback(handle.remove)

        def before(module: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
            handle = module.register_forward_pre_hook(lambda module, arguments: (change(arguments[0]), *arguments[1:]))
            stack.callback(handle.remove)

        # The graph starts at the embedding's output, whether or not parameters require gradients.
        after(model.embedding, lambda h: h.detach().requires_grad_())
        for number, block in enumerate(model.blocks, start=1):
            before(block, lambda h, number=number: tap("stream", number, h))
            before(block.pre_norm, lambda h, number=number: tap("branch", number, h))
            after(block.pre_norm, lambda x, number=number: tap("input", number, x))
            before(block.sum_norm, lambda h, number=number: tap("sum", number, h))
            if isinstance(block.body, CausalAttention):
                tap_attention(block.body, before, after, lambda site, x, number=number: tap(site, number, x))
        after(model.blocks[-1], lambda h: tap("stream", len(model.blocks) + 1, h))
        yield


def tap_attention(body: CausalAttention, before: Callable, after: Callable, tap: Callable[[str, Tensor], Tensor]):
    """Hooks inside an attention branch."""
    for site, projection in (("query", body.q), ("key", body.k), ("value", body.v)):
        after(projection, lambda x, site=site: tap(site, x))
    heads = (body.kv_heads, body.head_dim)
    if body.value_gate is not None:
        after(body.value_gate, lambda v_BTKH: tap("mixed", v_BTKH.flatten(2)).unflatten(-1, heads))
    else:
        after(
            body.value_valve,
            lambda v_BKTH: tap("mixed", v_BKTH.transpose(1, 2).flatten(2)).unflatten(-1, heads).transpose(1, 2),
        )
    if body.gate is not None:
        after_heads = (body.heads, body.head_dim)
        before(body.gate, lambda y_BTNH: tap("mixture", y_BTNH.flatten(2)).unflatten(-1, after_heads))
    else:
        before(body.o, lambda y_BTD: tap("mixture", y_BTD))
