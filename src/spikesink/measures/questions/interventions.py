"""Does the model need its spike or its sink, and does one carry the other? Interventions with matched controls.

Sun et al. (2402.17762) score the perplexity alone. Here what is left of spike, sink and gradient sink is scored too: a
spike taken away tests spike -> norm -> sink, a sink hidden from attention tests sink -> gradient sink -> spike.
"""

from statistics import fmean, median
from typing import NamedTuple

from torch import Tensor

from spikesink.measures.matched import SINK, in_attention, in_stream, states_at
from spikesink.measures.probes.starts import starts
from spikesink.measures.questions.attention import attention_sinks
from spikesink.measures.questions.gradients import gradient_sink_ratio, gradients
from spikesink.measures.questions.perplexity import mean_nll
from spikesink.measures.subject import Answers, Subject
from spikesink.model.decoder import Decoder
from spikesink.model.perplexity import perplexity
from spikesink.study.settings import Measures

GROUP = "consequences"
QUESTIONS = ("interventions", "intervention_heads")
READS = (
    "consequence_tokens",
    "calibration_sequences",
    "spike_channels",
    "sink_epsilon",
    "sink_tokens",
    "gradient_sequences",
    "batch_size",
    "loss_chunk",
    "chunk",
)


def answers(subject: Subject, settings: Measures) -> Answers:
    calibration = settings.calibration_sequences
    rows = subject.rows(subject.sequences_in(settings.consequence_tokens) + calibration)
    scoring = Scoring(
        settings.batch_size,
        settings.sink_tokens,
        settings.sink_epsilon,
        settings.gradient_sequences,
        subject.window,
        settings.loss_chunk,
        settings.chunk,
    )
    options = {"channels": settings.spike_channels, "calibration_sequences": calibration}
    table, heads = interventions(subject.model, rows, scoring=scoring, **options)
    yield "interventions", table
    yield "intervention_heads", heads


class Scoring(NamedTuple):
    """How every intervention is scored."""

    batch_size: int
    """Sequences per forward pass."""
    sink_tokens: int = 64
    """Sinks are measured on so many first tokens."""
    epsilon: float = 0.3
    """A head is a sink where a key receives more than this mean attention."""
    gradient_sequences: int = 32
    """Gradient sinks are measured on at most so many of the scored sequences."""
    window: tuple[int, int] | None = None
    """Positions [first, last) whose loss sends gradients; None: all."""
    loss_chunk: int | None = None
    """Positions whose logits exist at a time in a backward pass; None: all."""
    chunk: int = 512
    """Queries whose attention exists at a time."""


def interventions(
    model: Decoder,
    rows: Tensor,
    *,
    scoring: Scoring,
    channels: int = 3,
    calibration_sequences: int = 32,
    block: int | None = None,
    controls: int = 4,
) -> tuple[list[dict], list[dict]]:
    """One row per start and intervention over held-out rows [n, T + 1]; and the same head by head.

    The first ``calibration_sequences`` rows give means and matched controls and are not scored; all others are scored.

    start: bos (sequences as they are) or text (without the token that all begin with), as ``starts`` says: behind a BOS
    the token at position 0 is the same in all sequences, and mean_spike changes nothing.
    intervention, in the stream after ``block``, once:
        none: nothing.
        zero_spike: 0 in the ``channels`` channels of largest mean magnitude at position 0.
        mean_spike: in these channels their mean over the calibration rows (set_mean of Sun et al.).
        zero_median: 0 in as many channels of median magnitude there, a control matched in number.
        zero_equal_norm: 0 at entries (position, channel) of later tokens, drawn until they hold as much squared norm as
        zero_spike takes away, a control matched in norm.
    intervention, in all attention blocks:
        mask_sink: no query but its own attends to the key at position 0.
        mask_equal_mass: the same for other keys, drawn for every attention block until they hold as much attention as
        position 0 does there, a control matched in attention mass.
        mask_other: the same for one other key, a control matched in number; one row for each of ``controls`` keys,
        drawn from the first half of the sequence.
    block: the block that is changed, 1-based; by default the first one after which the largest channel's mean magnitude
    at position 0 exceeds half its maximum over blocks.
    position: the token that is changed, 0-based; None where several are. channels: how many channels are changed.
    removed_norm: the L2 norm that is taken from the stream, root mean square over the calibration sequences; None where
    attention is changed. removed_mass: the mean attention over queries, heads and attention blocks on the hidden keys,
    without that of their own queries, in the model left alone, over the calibration sequences; None elsewhere. Where
    other entries or keys do not hold enough, all of them are taken, and these columns show it.

    nll_nats: mean negative log-likelihood per scored token in nats; perplexity: its exponential; tokens: how many were
    scored.
    spike: largest mean channel magnitude at position 0 from that block on.
    gradient_sink_ratio, gradient_sink_over_uniform: R_GS(0) and its ratio to that under uniform attention, medians over
    attention blocks.
    sink_share, sink_mass, sink_mass_max, largest_key_mass (2603.05498 Eq 27-28): over the heads of the attention blocks
    after ``block``, on the first ``scoring.sink_tokens`` tokens: share of heads and sequences that are sinks, mean
    attention on position 0, that of the head with most, and mean of the largest attention on one key of the first half.
    None where no attention block follows.
    By head: the same for every head, and after_block: whether its block comes after ``block``.

    The papers leave open which and how many channels, the block's rule and the controls. Raises ValueError when no row
    is left to score.
    """
    if not 0 < calibration_sequences < len(rows):
        raise ValueError(
            f"calibration_sequences = {calibration_sequences} of {len(rows)} held-out sequences: leave some to score"
        )
    table, heads = [], []
    for start, sequences in starts(rows).items():
        calibration, scored = sequences[:calibration_sequences, :-1], sequences[calibration_sequences:]
        states = states_at(model, calibration, SINK, scoring.batch_size)
        changed = block or step_up_block(states)
        plans = [
            *in_stream(model, calibration, states[changed - 1], changed, channels, scoring.batch_size),
            *in_attention(model, calibration, controls, scoring.batch_size, scoring.chunk),
        ]
        for plan in plans:
            place = {"start": start, "intervention": plan.name, "block": changed, "position": plan.position}
            removed = {"removed_norm": plan.removed_norm, "removed_mass": plan.removed_mass}
            with plan.context:
                found, by_head = scores(model, scored, changed, scoring)
            table.append(place | {"channels": channels} | removed | found)
            heads += [place | row for row in by_head]
    return table, heads


def step_up_block(states_SND: Tensor) -> int:
    """The first block (1-based) after which the largest channel's mean magnitude exceeds half its largest value."""
    largest = states_SND.abs().mean(dim=1).amax(dim=-1)
    return int((largest > largest.max() / 2).int().argmax()) + 1


def scores(model: Decoder, rows: Tensor, block: int, scoring: Scoring) -> tuple[dict, list[dict]]:
    """How well the model, as it is now, predicts these rows, and what is left of spike, sinks and gradient sink."""
    nll = mean_nll(model, rows, scoring.batch_size)
    inputs = rows[:, :-1]
    tokens = inputs[:, : scoring.sink_tokens]
    common = {"batch_size": scoring.batch_size, "chunk": scoring.chunk}
    sinks = attention_sinks(model, tokens, epsilon=scoring.epsilon, **common)
    stream = states_at(model, inputs, SINK, scoring.batch_size)[block - 1 :]
    found = {
        "nll_nats": nll,
        "perplexity": perplexity(nll, 1),
        "spike": stream.abs().mean(dim=1).max().item(),
        **gradient_sink(model, rows[: scoring.gradient_sequences], scoring),
        **after_block(sinks, block),
        "tokens": rows[:, 1:].numel(),
    }
    names = ("layer", "head", "sink_mass", "largest_key_mass", "sink_share")
    heads = [
        {"attention_block": row["block"], "after_block": row["block"] > block} | {name: row[name] for name in names}
        for row in sinks
    ]
    return found, heads


def gradient_sink(model: Decoder, rows: Tensor, scoring: Scoring) -> dict[str, float | None]:
    options = {"window": scoring.window, "batch_size": scoring.batch_size, "loss_chunk": scoring.loss_chunk}
    ratios = gradient_sink_ratio(gradients(model, rows, **options))
    found = {}
    for name, column in (("gradient_sink_ratio", "ratio"), ("gradient_sink_over_uniform", "over_uniform")):
        known = [row[column] for row in ratios if row[column] is not None]
        found[name] = median(known) if known else None
    return found


def after_block(sinks: list[dict], block: int) -> dict:
    """The heads of attention blocks after ``block`` in four numbers, None where there is none."""
    heads = [row for row in sinks if row["block"] > block]
    return {
        name: reduce([row[column] for row in heads]) if heads else None
        for name, column, reduce in (
            ("sink_share", "sink_share", fmean),
            ("sink_mass", "sink_mass", fmean),
            ("sink_mass_max", "sink_mass", max),
            ("largest_key_mass", "largest_key_mass", fmean),
        )
    }
