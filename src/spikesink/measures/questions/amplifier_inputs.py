"""What turns a token towards the amplifier's direction? (2603.05498 Sec 3 and Eq 22)

What attention adds to a token that attends to itself alone is a fixed linear map of that token. The first token attends
to itself alone, and some delimiters nearly do.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from spikesink.measures.probes.attention_rows import attention_rows
from spikesink.measures.probes.observe import Observation, block_inputs
from spikesink.measures.probes.spikes import SUN_ET_AL, SpikeRule, anatomy
from spikesink.measures.probes.token_ids import token_ids
from spikesink.measures.probes.vocabulary import VOCABULARY_BATCH, membership, pass_alone, vocabulary
from spikesink.measures.questions.amplifier import Direction, step_up
from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.context import Context
from spikesink.model.decoder import Block, Decoder
from spikesink.model.valves import AttentionValve
from spikesink.study.kinds import GATES
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


def is_linear(body: CausalAttention) -> bool:
    """Whether the branch maps the input at position 0 linearly to its output, up to a bias."""
    constant = all(GATES[gate.kind].constant for gate in (body.gate, body.value_gate) if gate is not None)
    contracts = isinstance(body.value_valve, AttentionValve) and body.value_valve.facts.changes_forward
    return constant and not contracts and body.softmax.sums_to_one and body.extra_key is None


def value_output_map(model: Decoder, block: Block) -> Tensor:
    """W_VO [D, D] of position 0, which attends to itself alone: output = W_VO h + bias, h normalised before the gain.

    Column i is the branch's answer to unit vector i, so key-value heads that serve several query heads and constant
    gates are counted as the model counts them.
    """
    gain = block.pre_norm.gain
    units = torch.eye(model.settings.d_model, device=model.device, dtype=model.embedding.weight.dtype)[:, None]
    basis = units if gain is None else units * gain
    context = model.context(torch.zeros_like(units))
    return (block.body(basis, context) - block.body(torch.zeros_like(basis), context))[:, 0].float().T


@torch.no_grad()
def first_token_value_output(
    model: Decoder,
    tokens: Tensor,
    *,
    rule: SpikeRule = SUN_ET_AL,
    batch_size: int = 32,
    vocabulary_batch: int = VOCABULARY_BATCH,
    most: int | None = None,
) -> list[dict]:
    """One row per attention block before the step-up block and group of tokens at position 0 (2603.05498 Eq 22).

    A token at position 0 attends to itself alone: its output is W_VO h, W_VO = sum over heads of Wv Wo with the
    pre-norm's gain folded in, and h the normalised input before the gain. s* is the direction of ``channel`` in
    ``step_up_block``.

    block: 1-based. group: all, for every token id of the vocabulary, or ``most`` of them; spike, for the ids that carry
        a spike at position 0 of sequences [n, T] (leading without spikes). ids: how many ids the group has.
    step_up_block, channel: as in ``delimiter_probe``.
    frobenius, singular1, singular2, singular3: Frobenius norm and largest singular values of W_VO; stable_rank:
        frobenius^2 / singular1^2.
    gain: mean over the group of |output| / |h|, output being what the block adds to the stream.
    concentration: length of the mean unit output; 1 when all outputs point the same way.
    cosine_output: cosine of the mean output with s*. cosine_singular: magnitude of the cosine of W_VO's first left
        singular vector with s*. cosine_stream: mean cosine of the stream after the block with s*. The sign of s* makes
        cosine_stream of the spike group positive in the last of these blocks. None where the step-up block is no SwiGLU
        branch.

    A block whose output at position 0 is not linear has no rows: with gates from the input, V-scale or another softmax.
    """
    found = FirstToken(model, tokens, rule=rule, batch_size=batch_size, most=most)
    if found.blocks:
        pass_alone(model, found.ids, (found,), vocabulary_batch, found.blocks[-1])
    return found.rows()


class FirstToken:
    """Watches a pass of token ids for what ``first_token_value_output`` says of them; arguments as there."""

    def __init__(
        self, model: Decoder, tokens: Tensor, *, rule: SpikeRule, batch_size: int, most: int | None = None
    ) -> None:
        seen = anatomy(model, tokens, rule=rule, batch_size=batch_size)
        self.model, self.target = model, step_up(model, seen)
        self.blocks = [
            number
            for number, block in enumerate(model.blocks[: self.target.block - 1], start=1)
            if isinstance(block.body, CausalAttention) and is_linear(block.body)
        ]
        self.groups = {"all": vocabulary(model, most)}
        if seen.spikes.tokens_NT[:, 0].any():
            self.groups[seen.spikes.group] = tokens[:, 0][seen.spikes.tokens_NT[:, 0]].unique()
        self.members_V = {group: membership(ids, model) for group, ids in self.groups.items()}
        self.totals = {(number, group): 0 for number in self.blocks for group in self.groups}

    @property
    def ids(self) -> Tensor:
        """The token ids that must pass."""
        return torch.cat(tuple(self.groups.values())).unique()

    def __call__(self, ids_B: Tensor, before: Tensor | None, state: Observation) -> None:
        if state.block not in self.blocks:
            return
        block = self.model.blocks[state.block - 1]
        part = output_at_position_0(block, before, state, self.target.direction).cpu()
        for group, is_member_V in self.members_V.items():
            self.totals[state.block, group] += is_member_V[ids_B].cpu().double() @ part

    def rows(self) -> list[dict]:
        """The rows that ``first_token_value_output`` returns."""
        if not self.blocks:
            return []
        width, direction = self.model.settings.d_model, self.target.direction
        means = {
            key: (total / len(self.groups[key[1]])).split([1, 1, width, width]) for key, total in self.totals.items()
        }
        sign = -1 if means[self.blocks[-1], next(reversed(self.groups))][1] < 0 else 1
        rows = []
        for number in self.blocks:
            left, singular, _ = torch.linalg.svd(value_output_map(self.model, self.model.blocks[number - 1]))
            for group, members in self.groups.items():
                gain, cosine_stream, unit_D, output_D = means[number, group]
                cosines = {"cosine_output": None, "cosine_singular": None, "cosine_stream": None}
                if direction is not None:
                    cosines = {
                        "cosine_output": sign * direction.cosine(output_D.to(left)).item(),
                        "cosine_singular": direction.cosine(left[:, 0]).abs().item(),
                        "cosine_stream": sign * cosine_stream.item(),
                    }
                rows.append(
                    {
                        "block": number,
                        "group": group,
                        "ids": len(members),
                        "step_up_block": self.target.block,
                        "channel": self.target.channel,
                        "frobenius": singular.norm().item(),
                        **{f"singular{rank}": value for rank, value in enumerate(singular[:3].tolist(), start=1)},
                        "stable_rank": (singular.square().sum() / singular[0].square().clamp(min=1e-30)).item(),
                        "gain": gain.item(),
                        "concentration": unit_D.norm().item(),
                    }
                    | cosines
                )
        return rows


def output_at_position_0(block: Block, h_BTD: Tensor, state: Observation, direction: Direction | None) -> Tensor:
    """Per token [B, 2 + 2 D]: |output| / |h|, cos(stream, s*) or 0 without s*, the unit output, the output; float64."""
    output, stream = state.output_BTD[:, 0].double(), state.stream_BTD[:, 0]
    length = output.norm(dim=-1, keepdim=True)
    gain = length / block.pre_norm.before_gain(h_BTD[:, 0]).norm(dim=-1, keepdim=True).clamp(min=1e-30)
    cosine = torch.zeros_like(gain) if direction is None else direction.cosine(stream)[:, None]
    return torch.cat((gain, cosine, output / length.clamp(min=1e-30), output), dim=-1)
