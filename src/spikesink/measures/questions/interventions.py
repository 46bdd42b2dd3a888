"""Does the model need its spike or its sink? Interventions with matched controls (Sun et al., 2402.17762)."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikesink.measures.probes.observe import observe
from spikesink.measures.probes.replaced import replaced
from spikesink.measures.questions.attention import attention_sinks
from spikesink.measures.questions.normalisation import starts
from spikesink.measures.questions.perplexity import mean_nll
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Block, Decoder

BARRED = -1e4
"""Score of a masked key: its weight underflows to exactly 0 in float32."""


@contextmanager
def channels_set(block: Block, position: int, channels: Tensor, values: Tensor | float) -> Iterator[None]:
    """For a while the stream after ``block`` holds ``values`` in these channels of the token at ``position``.

    Done at the block's norms, one of which sees the stream before it and one its output, so that it holds whether the
    block runs whole or in parts.
    """
    before: list[Tensor] = []

    def remember(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        before[:] = inputs

    def change(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        output = output.clone()
        output[:, position, channels] = (values - before[0][:, position, channels].float()).to(output.dtype)
        return output

    handles = block.pre_norm.register_forward_pre_hook(remember), block.post_norm.register_forward_hook(change)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def barred(body: CausalAttention, position: int, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and keys with one more channel, in which all queries but its own meet a bar at the key."""
    key = position + int(body.extra_key is not None)
    query_bar, key_bar = torch.ones_like(q[..., :1]), torch.zeros_like(k[..., :1])
    query_bar[:, :, key : key + 1] = 0
    key_bar[:, :, key : key + 1] = BARRED / body.head_dim**-0.5
    return torch.cat((q, query_bar), dim=-1), torch.cat((k, key_bar), dim=-1)


def masked_attend(body: CausalAttention, original, position: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return original(*barred(body, position, q, k), F.pad(v, (0, 1)))[..., :-1]


def masked_weights(body: CausalAttention, original, position: int, q: Tensor, k: Tensor) -> Tensor:
    if not body.softpick:
        return original(*barred(body, position, q, k))
    # A score of 0 is what a key must have to be no part of softpick's numerator and denominator.
    zeroed = k.clone()
    zeroed[:, :, position : position + 1] = 0
    own = torch.arange(q.shape[2], device=q.device) == position
    return torch.where(own[:, None], original(q, k), original(q, zeroed))


@contextmanager
def key_masked(model: Decoder, position: int) -> Iterator[None]:
    """For a while no query but its own attends to the key at ``position``, in any attention block."""
    bodies = [module for module in model.modules() if isinstance(module, CausalAttention)]
    with (
        replaced(bodies, "attend", lambda body: partial(masked_attend, body, body.attend, position)),
        replaced(bodies, "weights", lambda body: partial(masked_weights, body, body.weights, position)),
    ):
        yield


def states_at(model: Decoder, tokens: Tensor, position: int, batch_size: int) -> Tensor:
    """The stream after each of the 2L blocks at one position of sequences [n, T]: [2L, n, D], float32."""
    parts = []
    for batch in tokens.split(batch_size):
        # Causal: what comes after the position does not change it.
        seen = list(observe(model, batch[:, : position + 1].to(model.device)))[1:]
        parts.append(torch.stack([one.stream_BTD[:, position].cpu() for one in seen]))
    return torch.cat(parts, dim=1)


def step_up_block(states_SND: Tensor) -> int:
    """The first block (1-based) after which the largest channel's mean magnitude exceeds half its largest value."""
    largest = states_SND.abs().mean(dim=1).amax(dim=-1)
    return int((largest > largest.max() / 2).int().argmax()) + 1


@torch.no_grad()
def interventions(
    model: Decoder,
    rows: Tensor,
    *,
    batch_size: int,
    block: int | None = None,
    channels: int = 3,
    position: int = 0,
    calibration_sequences: int = 32,
    controls: int = 4,
    sink_tokens: int = 64,
    epsilon: float = 0.3,
    seed: int = 0,
) -> list[dict]:
    """One row per start and intervention over held-out rows [n, T + 1]; the first ``calibration_sequences`` only give
    means, all others are scored.

    intervention: none; zero_spike, 0 in the ``channels`` channels of largest mean magnitude at the token at
    ``position``, in the stream after ``block``, once; mean_spike, their mean over the calibration rows instead (Sun et
    al.'s set_mean); zero_median, the control of zero_spike, 0 in as many channels of median magnitude; mask_sink, no
    query but its own attends to the key at ``position``, in all blocks; mask_other, its control, the same for another
    key, one row for each of ``controls`` keys drawn by ``seed`` from the first half of the sequence. position is the
    token changed. block is 1-based; by default the first block after which the largest channel's mean magnitude at the
    token exceeds half its maximum over blocks. nll_nats is the mean negative log-likelihood per token, with its
    perplexity. spike is the largest mean channel magnitude at ``position`` from that block on. sink_share, sink_mass
    (mean attention on ``position``, and sink_mass_max in the head that has most) and largest_key_mass (mean of the largest
    attention on a key of the first half) are Eq 27-28 of 2603.05498 over the heads of the attention blocks after
    ``block``, on the first ``sink_tokens`` tokens (None where no such block is left).

    start is bos or text, both where all rows begin with the same token (measures/normalisation.py): behind a BOS the
    token at position 0 is the same in all sequences and mean_spike changes nothing. Raises ValueError when no row is
    left to score. The papers leave open which and how many channels, the block's rule and the controls' positions.
    """
    if not 0 < calibration_sequences < len(rows):
        raise ValueError(
            f"calibration_sequences = {calibration_sequences} of {len(rows)} held-out sequences: leave some to score"
        )
    table = []
    for start, sequences in starts(rows).items():
        calibration, scored = sequences[:calibration_sequences], sequences[calibration_sequences:]
        states = states_at(model, calibration[:, :-1], position, batch_size)
        changed = block or step_up_block(states)
        after = states[changed - 1]
        order = after.abs().mean(dim=0).argsort(descending=True)
        spike, median = order[:channels], order[(len(order) - channels) // 2 :][:channels]
        mean = after[:, spike].mean(dim=0).to(model.device)
        body = model.blocks[changed - 1]
        others = [key for key in range(sequences.shape[1] // 2) if key != position]
        drawn = torch.randperm(len(others), generator=torch.Generator().manual_seed(seed))[:controls].tolist()
        plan = [
            ("none", position, nullcontext()),
            ("zero_spike", position, channels_set(body, position, spike, 0.0)),
            ("mean_spike", position, channels_set(body, position, spike, mean)),
            ("zero_median", position, channels_set(body, position, median, 0.0)),
            ("mask_sink", position, key_masked(model, position)),
            *(("mask_other", others[key], key_masked(model, others[key])) for key in drawn),
        ]
        for name, place, intervention in plan:
            with intervention:
                nll = mean_nll(model, scored, batch_size)
                inputs = scored[:, :-1]
                sinks = attention_sinks(model, inputs[:, :sink_tokens], epsilon=epsilon, batch_size=batch_size)
                stream = states_at(model, inputs, position, batch_size)[changed - 1 :]
            table.append(
                {
                    "start": start,
                    "intervention": name,
                    "block": changed,
                    "position": place,
                    "channels": channels,
                    "nll_nats": nll,
                    "perplexity": math.exp(nll),
                    "spike": stream.abs().mean(dim=1).max().item(),
                    **after_block(sinks, changed),
                    "tokens": scored[:, 1:].numel(),
                }
            )
    return table


def after_block(sinks: list[dict], block: int) -> dict:
    """The heads of attention blocks after ``block`` in four numbers, None where there is none."""
    heads = [row for row in sinks if row["block"] > block]
    return {
        name: reduce([row[column] for row in heads]) if heads else None
        for name, column, reduce in (
            ("sink_share", "sink_share", mean_of),
            ("sink_mass", "sink_mass", mean_of),
            ("sink_mass_max", "sink_mass", max),
            ("largest_key_mass", "largest_key_mass", mean_of),
        )
    }


def mean_of(values: list[float]) -> float:
    return sum(values) / len(values)
