"""The amplifier: which quadratic form a SwiGLU branch is, and towards which direction (2603.05498 Eq 15-18).

Where silu(x) ~ x, output channel k of a SwiGLU branch is a quadratic form of its input h, h^T U_k h with
U_k = sum_i Wd[k, i] Wg[i] Wu[i]^T, and only its symmetric part S_k = (U_k + U_k^T) / 2 counts. The pre-norm's gain is
folded into Wg and Wu, so h is normalised without a gain: |h| = sqrt(D) with RMSNorm. A norm after the branch is left
out: the forms are those of the branch itself. A GeGLU branch counts as SwiGLU: its gelu(x) ~ x too.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from spikesink.measures.probes.spikes import STEPS, Anatomy
from spikesink.model.decoder import Block, Decoder
from spikesink.model.feed_forward import GatedLinearUnit


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
