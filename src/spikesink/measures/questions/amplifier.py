"""Is a step-up block a quadratic amplifier of one direction? Its matrices (2603.05498 Eq 15-18, Figs 3 and 4).

Where silu(x) ~ x, output channel k of a SwiGLU branch is a quadratic form of its input h, h^T U_k h with
U_k = sum_i Wd[k, i] Wg[i] Wu[i]^T, and only its symmetric part S_k = (U_k + U_k^T) / 2 counts. The pre-norm's gain is
folded into Wg and Wu, so h is normalised without a gain: |h| = sqrt(D) with RMSNorm. A norm after the branch is left
out: the forms are those of the branch itself. A GeGLU branch counts as SwiGLU: its gelu(x) ~ x too.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from spikesink.measures.probes.spikes import STEPS, SUN_ET_AL, Anatomy, SpikeRule, anatomy, spaced
from spikesink.measures.subject import Answers, Subject
from spikesink.model.decoder import Block, Decoder
from spikesink.model.feed_forward import GatedLinearUnit
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


class Amplifier(NamedTuple):
    """Weights of a SwiGLU branch in float32, the pre-norm's gain folded into gate and up."""

    gate_FD: Tensor
    up_FD: Tensor
    down_DF: Tensor


def amplifier_of(block: Block) -> Amplifier:
    gain_D = 1 if block.pre_norm.gain is None else block.pre_norm.gain.float()
    body = block.body
    return Amplifier(body.gate.weight.float() * gain_D, body.up.weight.float() * gain_D, body.down.weight.float())


def symmetric_form(amplifier: Amplifier, channel: int) -> Tensor:
    """S_k [D, D] of one output channel."""
    form = amplifier.gate_FD.T @ (amplifier.down_DF[channel, :, None] * amplifier.up_FD)
    return (form + form.T) / 2


class Direction(NamedTuple):
    """The leading eigenvector s* of S_k and its eigenvalue lambda, the one largest in magnitude, and the next one."""

    vector_D: Tensor
    eigenvalue: float
    second: float

    def cosine(self, h: Tensor) -> Tensor:
        """cos(h, s*) over the last dimension."""
        return h @ self.vector_D / h.norm(dim=-1).clamp(min=1e-30)


def leading_direction(amplifier: Amplifier, channel: int) -> Direction:
    """lambda and s* of an output channel; the sign of s* is arbitrary."""
    values, vectors = torch.linalg.eigh(symmetric_form(amplifier, channel))
    order = values.abs().argsort(descending=True)
    second = values[order[1]].item() if len(order) > 1 else 0.0
    return Direction(vectors[:, order[0]], values[order[0]].item(), second)


def swiglu_blocks(model: Decoder) -> list[int]:
    """1-based numbers of the SwiGLU blocks."""
    return [number for number, block in enumerate(model.blocks, start=1) if isinstance(block.body, GatedLinearUnit)]


def step_blocks(model: Decoder, seen: Anatomy, roles: tuple[str, ...] = STEPS) -> list[int]:
    """SwiGLU blocks with one of these roles; if there is none, the SwiGLU block with the largest share of the spike."""
    candidates = swiglu_blocks(model)
    found = [block for block in candidates if seen.roles[block - 1] in roles]
    return found or sorted(candidates, key=lambda block: seen.shares[block - 1])[-1:]


def leading_channels(seen: Anatomy, block: int, count: int) -> list[int]:
    """The spike channels to which a block adds most in magnitude at the leading tokens."""
    written = seen.output_BNC[block - 1].abs().mean(dim=0)
    return [seen.spikes.channels[index] for index in written.argsort(descending=True, stable=True)[:count].tolist()]


class Target(NamedTuple):
    """The first step-up block, the channel to which it adds most, and that channel's direction if it is SwiGLU."""

    block: int
    channel: int
    direction: Direction | None


def step_up(model: Decoder, seen: Anatomy) -> Target:
    """The first SwiGLU step-up block; in a model without SwiGLU the block with the largest share."""
    swiglu = step_blocks(model, seen, ("step_up",))
    block = swiglu[0] if swiglu else max(range(len(seen.shares)), key=seen.shares.__getitem__) + 1
    channel = leading_channels(seen, block, 1)[0]
    direction = leading_direction(amplifier_of(model.blocks[block - 1]), channel) if swiglu else None
    return Target(block, channel, direction)


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
