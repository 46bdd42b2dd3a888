"""Which delimiters spike, and does attention on themselves turn them there? (2603.05498 Sec 3)

What attention adds to a token that attends to itself alone is a fixed linear map of that token, as at position 0, and
some delimiters nearly do.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from spikesink.measures.probes.amplifier import step_up
from spikesink.measures.probes.attention_rows import attention_rows
from spikesink.measures.probes.observe import block_inputs
from spikesink.measures.probes.spikes import SUN_ET_AL, SpikeRule, anatomy
from spikesink.measures.probes.token_ids import token_ids
from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.context import Context
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "spikes"
QUESTIONS = ("delimiter_probe",)
READS = (
    "spike_magnitude",
    "spike_over_median",
    "step_share",
    "sink_tokens",
    "sequences",
    "batch_size",
    "delimiters",
    "chunk",
)


def answers(subject: Subject, settings: Measures) -> Answers:
    tokens = subject.tokens(settings.sequences, settings.sink_tokens)
    common = {"rule": SpikeRule.of(settings), "batch_size": settings.batch_size}
    delimiters = token_ids(subject.tokenizer, settings.delimiters)
    rows = delimiter_probe(subject.model, tokens, delimiters=delimiters, chunk=settings.chunk, **common)
    yield "delimiter_probe", rows


def self_attention(body: CausalAttention, x_BTD: Tensor, context: Context, chunk: int) -> Tensor:
    """Each token's attention on itself [B, T], the mean over heads, from ``chunk`` rows of the map at a time."""
    rows = attention_rows(body, x_BTD, context, chunk)
    return torch.cat([weights.diagonal(first, -2, -1).mean(dim=1) for first, weights in rows], dim=1)


@torch.no_grad()
def delimiter_probe(
    model: Decoder,
    tokens: Tensor,
    *,
    delimiters: Sequence[int] = (),
    rule: SpikeRule = SUN_ET_AL,
    chunk: int = 512,
    batch_size: int = 32,
) -> list[dict]:
    """One row per delimiter, whether it spikes, and attention block before the step-up block, at positions >= 1.

    ``delimiters`` are token ids; all tokens are those of sequences [n, T] (2603.05498 Sec 3).

    token_id: the delimiter; None: all other tokens. spikes: whether the row is about occurrences that carry a massive
        activation; occurrences: how many they are (there is no row for none).
    spike_share: share of all occurrences of this token that carry one.
    step_up_block, channel: the first step-up block, 1-based, and the channel to which it adds most.
    cosine: mean of cos(h, s*) of the occurrences, where h is the normalised input of the step-up block and s* that
        channel's direction, as in ``amplifier_alignment``. Its sign is positive on average over spike tokens, position
        0 included, or over the tokens that come closest. None where the step-up block is no SwiGLU branch.
    block: the attention block, 1-based; self_attention: mean attention of the occurrences on themselves in it, over
        heads.
    """
    seen = anatomy(model, tokens, rule=rule, batch_size=batch_size)
    target = step_up(model, seen)
    attention: dict[int, list[Tensor]] = {}
    cosines: list[Tensor] = []
    for batch in tokens.split(batch_size):
        for number, block, h, context in block_inputs(model, batch.to(model.device)):
            if number == target.block:
                if target.direction is not None:
                    cosines.append(target.direction.cosine(block.pre_norm.before_gain(h)).cpu())
                break
            if isinstance(block.body, CausalAttention):
                mass = self_attention(block.body, block.pre_norm(h), context, chunk)
                attention.setdefault(number, []).append(mass.cpu())
    mass_NT = {number: torch.cat(parts) for number, parts in attention.items()}
    cosine_NT = torch.cat(cosines) if cosines else None
    if cosine_NT is not None and cosine_NT[seen.spikes.tokens_NT].mean() < 0:
        cosine_NT = -cosine_NT
    spike_NT = seen.spikes.token_excess_NT > 1
    later = (torch.arange(tokens.shape[1]) > 0).expand_as(tokens)
    kinds = {token: later & (tokens == token) for token in delimiters}
    kinds[None] = later & ~torch.isin(tokens, torch.tensor(list(delimiters), dtype=tokens.dtype))
    rows = []
    for token, standing in kinds.items():
        for spikes in (True, False):
            members = standing & (spike_NT == spikes)
            if not members.any():
                continue
            common = {
                "token_id": token,
                "spikes": spikes,
                "occurrences": int(members.sum()),
                "spike_share": (standing & spike_NT).sum().item() / standing.sum().item(),
                "step_up_block": target.block,
                "channel": target.channel,
                "cosine": None if cosine_NT is None else cosine_NT[members].double().mean().item(),
            }
            for number, mass in mass_NT.items():
                rows.append(common | {"block": number, "self_attention": mass[members].double().mean().item()})
    return rows
