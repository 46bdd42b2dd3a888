"""Interventions on a model, each with controls that take as much away: in number, in norm, in attention mass."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from spikesink.measures.probes.attention_rows import attention_rows
from spikesink.measures.probes.edits import entries_set, keys_hidden
from spikesink.measures.probes.observe import block_inputs, observe
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Decoder

SINK = 0
"""Position of the token that is changed, and of the key that is hidden."""


class Intervention(NamedTuple):
    """What is done to the model, and how much of it that takes away."""

    name: str
    position: int | None
    context: AbstractContextManager[None]
    removed_norm: float | None = None
    removed_mass: float | None = None


def in_stream(
    model: Decoder, tokens: Tensor, after_ND: Tensor, block: int, channels: int, batch_size: int
) -> Iterator[Intervention]:
    """No intervention, and those that set entries of the stream after ``block`` (1-based).

    tokens: calibration sequences [n, T]; after_ND: the stream at position 0 of these.
    """
    order = after_ND.abs().mean(dim=0).argsort(descending=True)
    spike, ordinary = order[:channels], order[(len(order) - channels) // 2 :][:channels]
    mean_D = after_ND.mean(dim=0)
    energy_TD = mean_squares(model, tokens, block, batch_size)
    later = torch.ones_like(energy_TD, dtype=torch.bool)
    later[SINK] = False
    body = model.blocks[block - 1]
    yield Intervention("none", SINK, nullcontext(), 0.0)
    for name, chosen, values in (
        ("zero_spike", at_sink(energy_TD, spike), 0.0),
        ("mean_spike", at_sink(energy_TD, spike), mean_D),
        ("zero_median", at_sink(energy_TD, ordinary), 0.0),
        ("zero_equal_norm", drawn(energy_TD, later, energy_TD[SINK, spike].sum().item()), 0.0),
    ):
        spread = after_ND[:, spike].var(dim=0, correction=0).sum()
        removed = spread if name == "mean_spike" else energy_TD[chosen].sum()
        position = None if name == "zero_equal_norm" else SINK
        yield Intervention(name, position, entries_set(body, chosen, values), removed.item() ** 0.5)


def in_attention(model: Decoder, tokens: Tensor, controls: int, batch_size: int, chunk: int) -> Iterator[Intervention]:
    """The interventions that hide keys in every attention block; tokens: calibration sequences [n, T]."""
    masses = key_masses(model, tokens, batch_size, chunk)
    count = tokens.shape[1]
    others = torch.arange(count) != SINK
    matched = {body: drawn(mass, others, mass[SINK].item()).nonzero()[:, 0] for body, mass in masses.items()}

    def hiding(name: str, position: int | None, keys: dict[CausalAttention, Tensor]) -> Intervention:
        mass = torch.stack([masses[body][own].sum() for body, own in keys.items()]).mean().item()
        return Intervention(name, position, keys_hidden(keys), removed_mass=mass)

    yield hiding("mask_sink", SINK, dict.fromkeys(masses, torch.tensor([SINK])))
    yield hiding("mask_equal_mass", None, matched)
    for key in control_keys((count + 1) // 2, controls):
        yield hiding("mask_other", key, dict.fromkeys(masses, torch.tensor([key])))


def at_sink(energy_TD: Tensor, channels: Tensor) -> Tensor:
    """True in these channels of position 0."""
    chosen = torch.zeros_like(energy_TD, dtype=torch.bool)
    chosen[SINK, channels] = True
    return chosen


def drawn(amounts: Tensor, allowed: Tensor, target: float) -> Tensor:
    """True at entries in a random order (fixed seed) until their amounts sum to about ``target``, or none is left."""
    places = allowed.flatten().nonzero()[:, 0]
    places = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(0))]
    sums = amounts.flatten()[places].double().cumsum(dim=0)
    count = int((torch.cat((torch.zeros(1, dtype=torch.float64), sums)) - target).abs().argmin())
    chosen = torch.zeros(amounts.numel(), dtype=torch.bool)
    chosen[places[:count]] = True
    return chosen.view(amounts.shape)


def control_keys(keys: int, count: int) -> list[int]:
    """``count`` of the first ``keys`` keys other than the sink, drawn with a fixed seed."""
    others = [key for key in range(keys) if key != SINK]
    order = torch.randperm(len(others), generator=torch.Generator().manual_seed(0))
    return [others[place] for place in order[:count].tolist()]


def states_at(model: Decoder, tokens: Tensor, position: int, batch_size: int) -> Tensor:
    """The stream after each of the 2L blocks at one position of sequences [n, T]: [2L, n, D], float32."""
    parts = []
    for batch in tokens.split(batch_size):
        # Causal: what comes after the position does not change it.
        seen = list(observe(model, batch[:, : position + 1].to(model.device)))[1:]
        parts.append(torch.stack([one.stream_BTD[:, position].cpu() for one in seen]))
    return torch.cat(parts, dim=1)


def mean_squares(model: Decoder, tokens: Tensor, block: int, batch_size: int) -> Tensor:
    """The squared stream after a block, mean over sequences [n, T]: [T, D], float32."""
    total = 0
    for batch in tokens.split(batch_size):
        stream_BTD = next(one.stream_BTD for one in observe(model, batch.to(model.device)) if one.block == block)
        total = total + stream_BTD.square().sum(dim=0).cpu()
    return total / len(tokens)


@torch.no_grad()
def key_masses(model: Decoder, tokens: Tensor, batch_size: int, chunk: int) -> dict[CausalAttention, Tensor]:
    """Attention on every key [T] by attention block, mean over sequences, heads and queries, a key's own left out."""
    sums: dict[CausalAttention, Tensor] = {}
    count = tokens.shape[1]
    for batch in tokens.split(batch_size):
        for _, block, stream, context in block_inputs(model, batch.to(model.device)):
            if not isinstance(block.body, CausalAttention):
                continue
            total = torch.zeros(count)
            for first, weights in attention_rows(block.body, block.pre_norm(stream), context, chunk):
                received = weights.mean(dim=1).sum(dim=(0, 1)).cpu()
                received[first:] -= weights.diagonal(first, -2, -1).mean(dim=1).sum(dim=0).cpu()
                total[: len(received)] += received
            sums[block.body] = sums.get(block.body, 0) + total / (count * len(tokens))
    return sums
