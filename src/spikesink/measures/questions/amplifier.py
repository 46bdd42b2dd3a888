"""Is a step-up block a quadratic amplifier of one direction? Its matrices (2603.05498 Eq 15-18, Figs 3 and 4).

The quadratic forms U_k and S_k are those of ``spikesink.measures.probes.amplifier``.
"""

import torch
from torch import Tensor

from spikesink.measures.probes.amplifier import (
    amplifier_of,
    leading_channels,
    step_blocks,
    swiglu_blocks,
    symmetric_form,
)
from spikesink.measures.probes.spikes import SUN_ET_AL, SpikeRule, anatomy, spaced
from spikesink.measures.subject import Answers, Subject
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "spikes"
QUESTIONS = ("amplifier_norms", "amplifier_spectrum")
READS = (
    "spike_magnitude",
    "spike_over_median",
    "step_share",
    "sink_tokens",
    "sequences",
    "batch_size",
    "spike_channels",
    "chunk",
)


def answers(subject: Subject, settings: Measures) -> Answers:
    yield "amplifier_norms", amplifier_norms(subject.model, chunk=settings.chunk)
    tokens = subject.tokens(settings.sequences, settings.sink_tokens)
    common = {"rule": SpikeRule.of(settings), "batch_size": settings.batch_size}
    yield "amplifier_spectrum", amplifier_spectrum(subject.model, tokens, channels=settings.spike_channels, **common)


@torch.no_grad()
def amplifier_norms(model: Decoder, *, chunk: int = 1024) -> list[dict]:
    """One row per SwiGLU block and output channel k: norm = |U_k|_F (2603.05498 Fig 3); no rows without SwiGLU.

    block: 1-based; channel: k, 0-based; norm: the Frobenius norm, without a unit.

    |U_k|_F^2 = w^T (G * H) w with w = Wd[k], G = Wg Wg^T and H = Wu Wu^T: an elementwise product of F x F matrices, of
    which ``chunk`` rows exist at a time. U_k itself is never formed. A block takes 6 F^2 D operations and, beside the
    weights, about (3 F + 4 D) chunk floats: at F = 11008 and D = 4096 3e12 operations and 200 MB.
    """
    rows = []
    for block in swiglu_blocks(model):
        gate, up, down = amplifier_of(model.blocks[block - 1])
        square_D = torch.zeros(down.shape[0], dtype=torch.float64, device=down.device)
        for part in torch.arange(gate.shape[0], device=gate.device).split(chunk):
            products = (gate[part] @ gate.T) * (up[part] @ up.T)
            square_D += ((products @ down.T).double() * down.T[part].double()).sum(dim=0)
        norms = square_D.clamp(min=0).sqrt().tolist()
        rows += [{"block": block, "channel": channel, "norm": norm} for channel, norm in enumerate(norms)]
    return rows


@torch.no_grad()
def amplifier_spectrum(
    model: Decoder,
    tokens: Tensor,
    *,
    rule: SpikeRule = SUN_ET_AL,
    channels: int = 3,
    extremes: int = 32,
    between: int = 192,
    batch_size: int = 32,
) -> list[dict]:
    """One row per SwiGLU step block, output channel k and eigenvalue of S_k (2603.05498 Fig 4); no rows without SwiGLU.

    Sequences [n, T] of token ids find blocks and channels.

    block: 1-based; role: its role in the life of the spike (step_up or step_down). A model without spikes has one
        block, the one with the largest share in what comes closest to a spike, with the role no_spike.
    channel: k, 0-based; group: spike for the block's ``channels`` leading spike channels (leading without spikes), and
        ordinary for as many other channels, evenly spaced over the stream.
    rank: the eigenvalue's rank, 0 for the smallest; eigenvalue: its value, without a unit; width: how many there are,
        D. All ranks have a row, or the ``extremes`` smallest and largest and ``between`` evenly spaced ones.

    One D x D matrix exists at a time. Each takes 2 F D^2 operations and a diagonalisation.
    """
    seen = anatomy(model, tokens, rule=rule, batch_size=batch_size)
    ordinary = [channel for channel in range(model.settings.d_model) if channel not in seen.spikes.channels]
    rows = []
    for block in step_blocks(model, seen):
        amplifier = amplifier_of(model.blocks[block - 1])
        leading = leading_channels(seen, block, channels)
        groups = dict.fromkeys(leading, seen.spikes.group) | dict.fromkeys(spaced(ordinary, len(leading)), "ordinary")
        for channel, group in groups.items():
            values = torch.linalg.eigvalsh(symmetric_form(amplifier, channel)).tolist()
            for rank in kept_ranks(len(values), extremes, between):
                rows.append(
                    {
                        "block": block,
                        "role": seen.roles[block - 1],
                        "channel": channel,
                        "group": group,
                        "rank": rank,
                        "eigenvalue": values[rank],
                        "width": len(values),
                    }
                )
    return rows


def kept_ranks(width: int, extremes: int, between: int) -> list[int]:
    """All ranks, or the extreme ones and some between."""
    if width <= 2 * extremes + between:
        return list(range(width))
    middle = spaced(list(range(extremes, width - extremes)), between)
    return [*range(extremes), *middle, *range(width - extremes, width)]
