"""Which tokens spike, whatever stands around them? The vocabulary at position 0 (2603.05498 Sec 3, Table 2)."""

from collections.abc import Iterable

import torch
from torch import Tensor

from spikesink.measures.probes.observe import observe
from spikesink.measures.probes.spikes import SUN_ET_AL, SpikeRule, ordinary_medians
from spikesink.measures.subject import Answers, Subject
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "spikes"
QUESTIONS = ("vocabulary_probe",)
READS = (
    "spike_magnitude",
    "spike_over_median",
    "step_share",
    "sink_tokens",
    "sequences",
    "batch_size",
    "vocabulary_tokens",
)


def answers(subject: Subject, settings: Measures) -> Answers:
    tokens, rule = subject.tokens(settings.sequences, settings.sink_tokens), SpikeRule.of(settings)
    medians_S = ordinary_medians(subject.model, tokens, rule=rule, batch_size=settings.batch_size)
    yield "vocabulary_probe", vocabulary_probe(subject.model, medians_S, rule=rule, most=settings.vocabulary_tokens)


def vocabulary(model: Decoder, most: int | None) -> Tensor:
    """Every token id [V], or ``most`` of them, evenly spaced."""
    size = model.embedding.num_embeddings
    count = min(size, most or size)
    return torch.arange(count) * size // count


def alone(ids_V: Tensor, model: Decoder, batch_size: int, description: str) -> Iterable[Tensor]:
    """Every one of the token ids as a sequence, [B, 1], with a progress bar on stderr where tqdm is installed."""
    batches = ids_V.to(model.device)[:, None].split(batch_size)
    try:
        from tqdm import tqdm
    except ImportError:
        return batches
    return tqdm(batches, desc=description, unit=" batches", mininterval=1)


@torch.no_grad()
def vocabulary_probe(
    model: Decoder,
    medians_S: Tensor,
    *,
    rule: SpikeRule = SUN_ET_AL,
    batch_size: int = 1024,
    most: int | None = None,
) -> list[dict]:
    """One row per token id, or for ``most`` ids (2603.05498 Table 2): does it spike at position 0?

    Position 0 attends to itself alone, so the token is all there is to know. Where training puts a BOS at position 0,
    the probed token stands there instead of it. ``medians_S`` are the median |h| of the ordinary tokens of text at
    every hidden state (``ordinary_medians``). The probed tokens do not give it: nearly all of them may spike.

    token_id: the token. state: the hidden state in which the token is largest against the threshold, 0 the embedding, i
        after block i. maximum: the token's largest |h| there; channel: where; threshold: of that state.
    excess: maximum / threshold; is_spike: excess > 1. The mean of is_spike is the share of spike tokens.

    Keeps 6 bytes per token and hidden state.
    """
    largest, channels = [], []
    ids = vocabulary(model, most)
    for batch in alone(ids, model, batch_size, "vocabulary at position 0"):
        parts = []
        for seen in observe(model, batch):
            parts.append(seen.stream_BTD[:, 0].abs().max(dim=-1))
        value, channel = (torch.stack(part).cpu() for part in zip(*parts, strict=True))
        largest.append(value)
        channels.append(channel.to(torch.int16))
    largest_SV, channel_SV = torch.cat(largest, dim=1), torch.cat(channels, dim=1)
    threshold_S = rule.threshold(medians_S)
    excess_V, state_V = (largest_SV / threshold_S[:, None]).max(dim=0)
    maximum, channel = (tensor.gather(0, state_V[None])[0].tolist() for tensor in (largest_SV, channel_SV))
    threshold = threshold_S.tolist()
    return [
        {
            "token_id": token,
            "maximum": maximum[row],
            "channel": channel[row],
            "state": state,
            "threshold": threshold[state],
            "excess": excess,
            "is_spike": excess > 1,
        }
        for row, (token, excess, state) in enumerate(
            zip(ids.tolist(), excess_V.tolist(), state_V.tolist(), strict=True)
        )
    ]
