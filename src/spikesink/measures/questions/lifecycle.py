"""Which block makes the spike, which ones leave it alone, which one removes it? (2603.05498 Table 1, Figs 1 and 7)"""

from torch import Tensor

from spikesink.measures.probes.spikes import SUN_ET_AL, SpikeRule, anatomy, find_spikes
from spikesink.measures.subject import Answers, Subject
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "spikes"
QUESTIONS = ("lifecycle", "spike_channels", "spike_tokens")
READS = ("spike_magnitude", "spike_over_median", "step_share", "sink_tokens", "sequences", "batch_size")


def answers(subject: Subject, settings: Measures) -> Answers:
    tokens = subject.tokens(settings.sequences, settings.sink_tokens)
    common = {"rule": SpikeRule.of(settings), "batch_size": settings.batch_size}
    yield "lifecycle", lifecycle(subject.model, tokens, **common)
    yield "spike_channels", spike_channels(subject.model, tokens, **common)
    yield "spike_tokens", spike_tokens(subject.model, tokens, **common)


def lifecycle(model: Decoder, tokens: Tensor, *, rule: SpikeRule = SUN_ET_AL, batch_size: int = 32) -> list[dict]:
    """One row per block over sequences [n, T] of token ids (2603.05498 Table 1, Figs 1 and 7).

    block: 1-based over all 2L blocks, odd ones attention; kind: attention or feed_forward.
    role: before, step_up, plateau, step_down or after; no_spike for all blocks of a model without spikes.
    output_maximum: largest magnitude of the block's own output on any spike token and channel; mean over sequences.
    channel: the leading spike channel; position: where it is largest in most sequences. On that channel and token,
        means over the sequences that carry the spike follow.
    before, after: |h| of the stream before and after the block.
    written: the signed value that the block adds. Step-down blocks write with the opposite sign of step-up blocks.
    share: the block's part in the spike, as ``anatomy`` in probes/spikes.py defines it.
    spike_channels: how many channels carry spikes; sequences: how many sequences carry the leading one; tokens: T.

    In a model without spikes the same is said of the channel and token that come closest to one, and spike_channels and
    sequences are 0.
    """
    seen = anatomy(model, tokens, rule=rule, batch_size=batch_size)
    stream, written = seen.stream_SNC[..., 0], seen.output_BNC[..., 0].mean(dim=1).tolist()
    magnitude = stream.abs().mean(dim=1).tolist()
    found = seen.spikes.found
    return [
        {
            "block": block,
            "kind": kind,
            "role": role,
            "output_maximum": seen.output_maximum[block - 1],
            "written": written[block - 1],
            "share": seen.shares[block - 1],
            "before": magnitude[block - 1],
            "after": magnitude[block],
            "channel": seen.spikes.channels[0],
            "position": seen.positions_N.mode().values.item(),
            "spike_channels": len(seen.spikes.channels) if found else 0,
            "sequences": stream.shape[1] if found else 0,
            "tokens": tokens.shape[1],
        }
        for block, (kind, role) in enumerate(zip(seen.kinds, seen.roles, strict=True), start=1)
    ]


def spike_channels(model: Decoder, tokens: Tensor, *, rule: SpikeRule = SUN_ET_AL, batch_size: int = 32) -> list[dict]:
    """One row per spike channel over sequences [n, T], the leading one first; no rows without spikes.

    channel: 0-based; rank: from 1, by mean |h| / threshold.
    sequence_share: share of the sequences in which the channel carries a massive activation.
    magnitude: largest |h| of the channel over tokens and hidden states; mean over these sequences. sequences: n.
    """
    spikes = find_spikes(model, tokens, rule=rule, batch_size=batch_size)
    if not spikes.found:
        return []
    rows = []
    for rank, channel in enumerate(spikes.channels, start=1):
        carries = spikes.channel_excess_ND[:, channel] > 1
        rows.append(
            {
                "channel": channel,
                "rank": rank,
                "sequence_share": carries.float().mean().item(),
                "magnitude": spikes.channel_magnitude_ND[carries, channel].mean().item(),
                "sequences": len(tokens),
            }
        )
    return rows


def spike_tokens(model: Decoder, tokens: Tensor, *, rule: SpikeRule = SUN_ET_AL, batch_size: int = 32) -> list[dict]:
    """One row per position and token id that carries a massive activation in sequences [n, T]; no rows without spikes.

    position: 0-based; token_id: the token. spikes: number of sequences in which it spikes at this position;
        occurrences: in how many it stands there; sequence_share: spikes / n; sequences: n.
    magnitude: largest |h| of the token over channels and hidden states; mean over the spikes.
    """
    spikes = find_spikes(model, tokens, rule=rule, batch_size=batch_size)
    if not spikes.found:
        return []
    places: dict[tuple[int, int], list[float]] = {}
    for sequence, position in (spikes.token_excess_NT > 1).nonzero().tolist():
        token = int(tokens[sequence, position])
        places.setdefault((position, token), []).append(spikes.token_magnitude_NT[sequence, position].item())
    return [
        {
            "position": position,
            "token_id": token,
            "spikes": len(magnitudes),
            "occurrences": int((tokens[:, position] == token).sum()),
            "sequence_share": len(magnitudes) / len(tokens),
            "magnitude": sum(magnitudes) / len(magnitudes),
            "sequences": len(tokens),
        }
        for (position, token), magnitudes in sorted(places.items())
    ]
