"""What does attention give a token that stands at position 0? (2603.05498 Sec 3 and Eq 22)

What attention adds to a token that attends to itself alone is a fixed linear map of that token. The first token attends
to itself alone.
"""

import torch
from torch import Tensor

from spikesink.measures.probes.amplifier import Direction, step_up
from spikesink.measures.probes.observe import Observation
from spikesink.measures.probes.spikes import SpikeRule, anatomy
from spikesink.measures.probes.vocabulary import membership, vocabulary
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Block, Decoder
from spikesink.model.valves import AttentionValve
from spikesink.study.kinds import GATES


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


class FirstToken:
    """Watches a pass of token ids for what attention gives them before the step-up block (2603.05498 Eq 22).

    A token at position 0 attends to itself alone: its output is W_VO h, W_VO = sum over heads of Wv Wo with the
    pre-norm's gain folded in, and h the normalised input before the gain. s* is the direction of the step-up block's
    leading channel. Step-up block and spike tokens are those of sequences [n, T]; of the vocabulary all ids pass, or
    ``most`` of them.
    """

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
        """One row per attention block before the step-up block and group of tokens at position 0.

        block: 1-based. group: all, for every token id that passed; spike, for the ids that carry a spike at position 0
            of the sequences (leading without spikes). ids: how many ids the group has.
        step_up_block, channel: as in ``delimiter_probe``.
        frobenius, singular1, singular2, singular3: Frobenius norm and largest singular values of W_VO; stable_rank:
            frobenius^2 / singular1^2.
        gain: mean over the group of |output| / |h|, output being what the block adds to the stream.
        concentration: length of the mean unit output; 1 when all outputs point the same way.
        cosine_output: cosine of the mean output with s*. cosine_singular: magnitude of the cosine of W_VO's first left
            singular vector with s*. cosine_stream: mean cosine of the stream after the block with s*. The sign of s*
            makes cosine_stream of the spike group positive in the last of these blocks. None where the step-up block is
            no SwiGLU branch.

        A norm after the branch is no part of W_VO: it is in gain, concentration, cosine_output and cosine_stream alone.

        A block whose output at position 0 is not linear has no rows: with gates from the input, V-scale or another
        softmax.
        """
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
