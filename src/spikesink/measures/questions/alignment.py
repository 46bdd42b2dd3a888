"""Do spike tokens point in the direction that the step-up block amplifies? (2603.05498 Eq 15 and 19-21, Fig 2)"""

import torch
from torch import Tensor
from torch.nn import functional as F

from spikesink.measures.probes.amplifier import (
    Amplifier,
    Direction,
    amplifier_of,
    leading_channels,
    leading_direction,
    step_blocks,
)
from spikesink.measures.probes.observe import block_inputs
from spikesink.measures.probes.spikes import SUN_ET_AL, SpikeRule, anatomy, spaced
from spikesink.measures.subject import Answers, Subject
from spikesink.model.decoder import Block, Decoder
from spikesink.study.settings import Measures

GROUP = "spikes"
QUESTIONS = ("amplifier_alignment", "silu_identity")
READS = (
    "spike_magnitude",
    "spike_over_median",
    "step_share",
    "sink_tokens",
    "sequences",
    "batch_size",
    "spike_channels",
)


def answers(subject: Subject, settings: Measures) -> Answers:
    tokens = subject.tokens(settings.sequences, settings.sink_tokens)
    common = {"rule": SpikeRule.of(settings), "batch_size": settings.batch_size}
    yield "amplifier_alignment", amplifier_alignment(subject.model, tokens, channels=settings.spike_channels, **common)
    yield "silu_identity", silu_identity(subject.model, tokens, **common)


@torch.no_grad()
def silu_identity(
    model: Decoder,
    tokens: Tensor,
    *,
    rule: SpikeRule = SUN_ET_AL,
    others: int = 4000,
    batch_size: int = 32,
) -> list[dict]:
    """One row per SwiGLU step block and token of sequences [n, T] (2603.05498 Fig 2): is silu(x) ~ x, as Eq 15 assumes?

    x = Wg h are the F hidden channels before SiLU, or before GELU in a GeGLU branch. None of the numbers has a unit.

    block: 1-based; role: the block's role in the life of the spike, or no_spike for the one block that is taken in a
        model without spikes.
    sequence, position: 0-based; token_id: the token there.
    group: spike for spike tokens, other for the rest, of which only ``others`` are kept, evenly spaced. Without spikes
        the token of each sequence that comes closest is called leading.
    cosine: cosine of silu(x) with x; norm_ratio: |silu(x)| / |x|. Both are 1 where SiLU is the identity.
    output_maximum: the token's largest magnitude in the block's output, after the post-norm.
    """
    seen = anatomy(model, tokens, rule=rule, batch_size=batch_size)
    marked = seen.spikes.tokens_NT.flatten()
    places = torch.arange(marked.numel())
    kept = sorted([*places[marked].tolist(), *spaced(places[~marked].tolist(), others)])
    columns: dict[int, list[Tensor]] = {block: [] for block in step_blocks(model, seen)}
    for batch in tokens.split(batch_size):
        for number, block, h, context in block_inputs(model, batch.to(model.device)):
            if number in columns:
                x = block.pre_norm(h)
                before = block.body.gate(x).float()
                after = block.body.activation(before)
                ratio = after.norm(dim=-1) / before.norm(dim=-1).clamp(min=1e-30)
                output = block.post_norm(block.body(x, context)).float()
                measured = (F.cosine_similarity(before, after, dim=-1), ratio, output.abs().amax(dim=-1))
                columns[number].append(torch.stack(measured).flatten(1).cpu())
    rows = []
    for block, parts in columns.items():
        measured = torch.cat(parts, dim=1)[:, kept].T.tolist()
        for place, (cosine, ratio, output) in zip(kept, measured, strict=True):
            sequence, position = divmod(place, tokens.shape[1])
            rows.append(
                {
                    "block": block,
                    "role": seen.roles[block - 1],
                    "sequence": sequence,
                    "position": position,
                    "token_id": int(tokens[sequence, position]),
                    "group": seen.spikes.group if marked[place] else "other",
                    "cosine": cosine,
                    "norm_ratio": ratio,
                    "output_maximum": output,
                }
            )
    return rows


@torch.no_grad()
def amplifier_alignment(
    model: Decoder,
    tokens: Tensor,
    *,
    rule: SpikeRule = SUN_ET_AL,
    channels: int = 3,
    batch_size: int = 32,
) -> list[dict]:
    """One row per SwiGLU step block, leading channel k and group of tokens of sequences [n, T] (2603.05498 Eq 19-21).

    Blocks, channels and roles are those of ``amplifier_spectrum``. h is the normalised input before the pre-norm's
    gain, which is folded into S_k.

    block, role, channel: as there. group: spike (or leading) and other as in ``silu_identity``, or all; tokens: how
        many tokens the group has. A group without tokens has no row.
    eigenvalue, second: the two eigenvalues of S_k that are largest in magnitude; s* is the eigenvector of the first.
    cosine: mean of cos(h, s*), with the sign of s* that makes it positive for the first group; cosine_absolute: mean of
        |cos(h, s*)|.
    output: mean output of the branch in channel k.
    quadratic: mean of h^T S_k h, which takes silu(x) for x; rank_one: mean of eigenvalue (s*.h)^2.
    error_quadratic, error_rank_one: sum of |approximation - output| over sum of |output|.
    r2_quadratic, r2_rank_one: their coefficient of determination; None where outputs hardly vary.

    The paper prints Eq 21 as lambda sqrt(d) cos(s*, h). Since |h| = sqrt(d), it is lambda d cos^2: rank_one.
    """
    seen = anatomy(model, tokens, rule=rule, batch_size=batch_size)
    marked = seen.spikes.tokens_NT.flatten()
    groups = {seen.spikes.group: marked, "other": ~marked, "all": torch.ones_like(marked)}
    groups = {group: members for group, members in groups.items() if members.any()}
    blocks = step_blocks(model, seen)
    if not blocks:
        return []
    chosen = {number: leading_channels(seen, number, channels) for number in blocks}
    amplifiers = {number: amplifier_of(model.blocks[number - 1]) for number in blocks}
    directions = {number: [leading_direction(amplifiers[number], one) for one in chosen[number]] for number in blocks}
    parts: dict[int, list[Tensor]] = {number: [] for number in blocks}
    for batch in tokens.split(batch_size):
        for number, block, h, _ in block_inputs(model, batch.to(model.device)):
            if number in parts:
                h = block.pre_norm.before_gain(h).flatten(0, 1)
                found = approximations(block, h, amplifiers[number], chosen[number], directions[number])
                parts[number].append(found.cpu().double())
            if number == blocks[-1]:
                break
    rows = []
    for number in blocks:
        measured = torch.cat(parts[number], dim=1)
        for index, (channel, direction) in enumerate(zip(chosen[number], directions[number], strict=True)):
            sign = -1 if measured[0, marked, index].mean() < 0 else 1
            for group, members in groups.items():
                cosine, output, quadratic, rank_one = measured[:, members, index]
                rows.append(
                    {
                        "block": number,
                        "role": seen.roles[number - 1],
                        "channel": channel,
                        "group": group,
                        "tokens": len(output),
                        "eigenvalue": direction.eigenvalue,
                        "second": direction.second,
                        "cosine": sign * cosine.mean().item(),
                        "cosine_absolute": cosine.abs().mean().item(),
                        "output": output.mean().item(),
                        "quadratic": quadratic.mean().item(),
                        "rank_one": rank_one.mean().item(),
                        "error_quadratic": relative_error(quadratic, output),
                        "error_rank_one": relative_error(rank_one, output),
                        "r2_quadratic": determination(quadratic, output),
                        "r2_rank_one": determination(rank_one, output),
                    }
                )
    return rows


def approximations(
    block: Block, h_ND: Tensor, amplifier: Amplifier, channels: list[int], directions: list[Direction]
) -> Tensor:
    """Cosine with s*, output, quadratic form and rank-one part of normalised inputs, by token and channel [4, N, C]."""
    gate, up, down_CF = h_ND @ amplifier.gate_FD.T, h_ND @ amplifier.up_FD.T, amplifier.down_DF[channels]
    output, quadratic = (block.body.activation(gate) * up) @ down_CF.T, (gate * up) @ down_CF.T
    cosine = torch.stack([direction.cosine(h_ND) for direction in directions], dim=1)
    rank_one = [direction.eigenvalue * (h_ND @ direction.vector_D).square() for direction in directions]
    return torch.stack((cosine, output, quadratic, torch.stack(rank_one, dim=1)))


def relative_error(approximation: Tensor, truth: Tensor) -> float:
    """Sum of |approximation - truth| over sum of |truth|."""
    return ((approximation - truth).abs().sum() / truth.abs().sum().clamp(min=1e-30)).item()


def determination(approximation: Tensor, truth: Tensor) -> float | None:
    """R^2; None where the truth varies by less than a thousandth of its size, as for a single repeated token."""
    spread = (truth - truth.mean()).square().sum()
    if spread <= 1e-6 * truth.square().sum():
        return None
    return (1 - (approximation - truth).square().sum() / spread).item()
