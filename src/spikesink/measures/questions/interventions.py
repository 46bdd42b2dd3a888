"""Does the model need its spike or its sink? Interventions with matched controls (Sun et al., 2402.17762)."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikesink.measures.probes.observe import observe
from spikesink.measures.probes.replaced import replaced
from spikesink.measures.probes.starts import starts
from spikesink.measures.questions.attention import attention_sinks
from spikesink.measures.questions.perplexity import mean_nll
from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Block, Decoder
from spikesink.study.settings import Measures

GROUP = "consequences"
QUESTIONS = ("interventions",)
READS = (
    "consequence_tokens",
    "calibration_sequences",
    "spike_channels",
    "sink_epsilon",
    "sink_tokens",
    "batch_size",
)


def answers(subject: Subject, settings: Measures) -> Answers:
    calibration = settings.calibration_sequences
    rows = subject.rows(subject.sequences_in(settings.consequence_tokens) + calibration)
    scoring = Scoring(settings.batch_size, settings.sink_tokens, settings.sink_epsilon)
    options = {"channels": settings.spike_channels, "calibration_sequences": calibration}
    yield "interventions", interventions(subject.model, rows, scoring=scoring, **options)


SINK = 0
"""Position of the token that is changed, and of the key that is masked."""
BARRED = -1e4
"""Score of a masked key: its weight underflows to exactly 0 in float32."""


class Scoring(NamedTuple):
    """How every intervention is scored."""

    batch_size: int
    """Sequences per forward pass."""
    sink_tokens: int = 64
    """Sinks are measured on so many first tokens."""
    epsilon: float = 0.3
    """A head is a sink where a key receives more than this mean attention."""


@contextmanager
def channels_set(block: Block, position: int, channels: Tensor, values: Tensor | float) -> Iterator[None]:
    """While it is open, the stream after ``block`` holds ``values`` in these channels of the token at ``position``.

    Done at the norm on the residual sum, the last of the block, so that it holds whether the block runs whole or in
    parts.
    """

    def change(module: nn.Module, inputs: tuple[Tensor, ...], stream: Tensor) -> Tensor:
        stream = stream.clone()
        stream[:, position, channels] = torch.as_tensor(values).to(stream)
        return stream

    handle = block.sum_norm.register_forward_hook(change)
    try:
        yield
    finally:
        handle.remove()


def barred(body: CausalAttention, position: int, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and keys with one more channel, which adds BARRED to the key's score for every query but its own."""
    key = position + int(body.extra_key is not None)
    query_bar, key_bar = torch.ones_like(q[..., :1]), torch.zeros_like(k[..., :1])
    query_bar[:, :, key : key + 1] = 0
    key_bar[:, :, key : key + 1] = BARRED / body.head_dim**-0.5
    return torch.cat((q, query_bar), dim=-1), torch.cat((k, key_bar), dim=-1)


def masked_attend(body: CausalAttention, original, position: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return original(*barred(body, position, q, k), F.pad(v, (0, 1)))[..., :-1]


def masked_weights(body: CausalAttention, original, position: int, q: Tensor, k: Tensor) -> Tensor:
    if body.softmax.absent_score == -math.inf:
        return original(*barred(body, position, q, k))
    if body.softmax.absent_score != 0:
        raise ValueError(
            f"a key with the score {body.softmax.absent_score} cannot be masked: {__name__} can 0 and -inf"
        )
    zeroed = k.clone()  # its score is 0 then, as q . 0 is
    zeroed[:, :, position : position + 1] = 0
    own = torch.arange(q.shape[2], device=q.device) == position
    return torch.where(own[:, None], original(q, k), original(q, zeroed))


@contextmanager
def key_masked(model: Decoder, position: int) -> Iterator[None]:
    """While it is open, no query but its own attends to the key at ``position``, in any attention block."""
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
    scoring: Scoring,
    channels: int = 3,
    calibration_sequences: int = 32,
    block: int | None = None,
    controls: int = 4,
) -> list[dict]:
    """One row per start and intervention over held-out rows [n, T + 1].

    The first ``calibration_sequences`` rows give means and are not scored; all others are scored.

    start: bos (sequences as they are) or text (without the token that all begin with), as ``starts`` says: behind a BOS
    the token at position 0 is the same in all sequences, and mean_spike changes nothing.
    intervention, at the token at position 0 in the stream after ``block``, once:
        none: nothing.
        zero_spike: 0 in the ``channels`` channels of largest mean magnitude.
        mean_spike: in these channels their mean over the calibration rows (set_mean of Sun et al.).
        zero_median: 0 in as many channels of median magnitude, the control of zero_spike.
    intervention, in all attention blocks:
        mask_sink: no query but its own attends to the key at position 0.
        mask_other: the same for another key, the control of mask_sink; one row for each of ``controls`` keys, drawn
        from the first half of the sequence.
    block: the block that is changed, 1-based; by default the first one after which the largest channel's mean magnitude
    at position 0 exceeds half its maximum over blocks.
    position: the token that is changed, 0-based. channels: how many channels are changed.
    nll_nats: mean negative log-likelihood per scored token in nats; perplexity: its exponential; tokens: how many were
    scored.
    spike: largest mean channel magnitude at position 0 from that block on.
    sink_share, sink_mass, sink_mass_max, largest_key_mass (2603.05498 Eq 27-28): over the heads of the attention blocks
    after ``block``, on the first ``scoring.sink_tokens`` tokens: share of heads and sequences that are sinks, mean
    attention on position 0, that of the head with most, and mean of the largest attention on one key of the first half.
    None where no attention block follows.

    The papers leave open which and how many channels, the block's rule and the controls' positions. Raises ValueError
    when no row is left to score.
    """
    if not 0 < calibration_sequences < len(rows):
        raise ValueError(
            f"calibration_sequences = {calibration_sequences} of {len(rows)} held-out sequences: leave some to score"
        )
    table = []
    for start, sequences in starts(rows).items():
        calibration, scored = sequences[:calibration_sequences], sequences[calibration_sequences:]
        states = states_at(model, calibration[:, :-1], SINK, scoring.batch_size)
        changed = block or step_up_block(states)
        for name, position, intervention in plan(model, states[changed - 1], changed, channels):
            with intervention:
                row = {"start": start, "intervention": name, "block": changed, "position": position}
                table.append(row | {"channels": channels} | scores(model, scored, changed, scoring))
        for position in control_keys(sequences.shape[1] // 2, controls):
            with key_masked(model, position):
                row = {"start": start, "intervention": "mask_other", "block": changed, "position": position}
                table.append(row | {"channels": channels} | scores(model, scored, changed, scoring))
    return table


def plan(
    model: Decoder, after_ND: Tensor, block: int, channels: int
) -> list[tuple[str, int, AbstractContextManager[None]]]:
    """(name, position, context manager) of each intervention at position 0; ``after_ND``: calibration states there."""
    order = after_ND.abs().mean(dim=0).argsort(descending=True)
    spike, median = order[:channels], order[(len(order) - channels) // 2 :][:channels]
    mean = after_ND[:, spike].mean(dim=0).to(model.device)
    body = model.blocks[block - 1]
    return [
        ("none", SINK, nullcontext()),
        ("zero_spike", SINK, channels_set(body, SINK, spike, 0.0)),
        ("mean_spike", SINK, channels_set(body, SINK, spike, mean)),
        ("zero_median", SINK, channels_set(body, SINK, median, 0.0)),
        ("mask_sink", SINK, key_masked(model, SINK)),
    ]


def control_keys(keys: int, count: int) -> list[int]:
    """``count`` of the first ``keys`` keys other than the sink, drawn with a fixed seed."""
    others = [key for key in range(keys) if key != SINK]
    return [
        others[key] for key in torch.randperm(len(others), generator=torch.Generator().manual_seed(0))[:count].tolist()
    ]


def scores(model: Decoder, rows: Tensor, block: int, scoring: Scoring) -> dict:
    """How well the model, as it is now, predicts these rows, and what is left of its spike and its sinks."""
    nll = mean_nll(model, rows, scoring.batch_size)
    inputs = rows[:, :-1]
    tokens = inputs[:, : scoring.sink_tokens]
    sinks = attention_sinks(model, tokens, epsilon=scoring.epsilon, batch_size=scoring.batch_size)
    stream = states_at(model, inputs, SINK, scoring.batch_size)[block - 1 :]
    return {
        "nll_nats": nll,
        "perplexity": math.exp(nll),
        "spike": stream.abs().mean(dim=1).max().item(),
        **after_block(sinks, block),
        "tokens": rows[:, 1:].numel(),
    }


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
