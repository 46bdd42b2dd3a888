"""Which tokens spike at position 0, and what does attention give them there? (2603.05498 Sec 3, Table 2, Eq 22)"""

import torch
from torch import Tensor

from spikesink.measures.probes.first_token import FirstToken
from spikesink.measures.probes.observe import Observation
from spikesink.measures.probes.spikes import SpikeRule, ordinary_medians
from spikesink.measures.probes.vocabulary import VOCABULARY_BATCH, membership, pass_alone, vocabulary
from spikesink.measures.subject import Answers, Subject
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "spikes"
QUESTIONS = ("vocabulary_probe", "first_token_value_output")
READS = (
    "spike_magnitude",
    "spike_over_median",
    "step_share",
    "sink_tokens",
    "sequences",
    "batch_size",
    "vocabulary_tokens",
)


@torch.no_grad()
def answers(subject: Subject, settings: Measures) -> Answers:
    """Both questions watch one pass of the vocabulary, which is most of the job's time."""
    model, most, rule = subject.model, settings.vocabulary_tokens, SpikeRule.of(settings)
    tokens = subject.tokens(settings.sequences, settings.sink_tokens)
    common = {"rule": rule, "batch_size": settings.batch_size}
    largest, first = Largest(model, most), FirstToken(model, tokens, most=most, **common)
    every = torch.cat((largest.ids, first.ids)).unique()
    pass_alone(model, every, (largest, first), VOCABULARY_BATCH)
    yield "vocabulary_probe", largest.rows(ordinary_medians(model, tokens, **common), rule)
    yield "first_token_value_output", first.rows()


class Largest:
    """While token ids pass the model, keeps the largest |h| of each at every hidden state: of all, or of ``most``.

    Position 0 attends to itself alone, so the token is all there is to know. Where training puts a BOS at position 0,
    the probed token stands there instead of it. Keeps 6 bytes per token and hidden state, in two tensors made at the
    start: thousands of small ones, made between the large ones of a pass, left holes in the memory that no tensor of
    the next pass fitted into (11 GB instead of 1 for 49,152 tokens of SmolLM2).
    """

    def __init__(self, model: Decoder, most: int | None) -> None:
        self.ids = vocabulary(model, most)
        self.is_ours_V = membership(self.ids, model)
        size = (1 + len(model.blocks), len(self.ids))
        self.largest_SV, self.channel_SV = torch.empty(size), torch.empty(size, dtype=torch.int16)

    def __call__(self, ids_B: Tensor, before: Tensor | None, state: Observation) -> None:
        is_ours_B = self.is_ours_V[ids_B]
        value, channel = state.stream_BTD[is_ours_B, 0].abs().max(dim=-1)
        columns = torch.searchsorted(self.ids, ids_B[is_ours_B].cpu())
        self.largest_SV[state.block, columns] = value.cpu()
        self.channel_SV[state.block, columns] = channel.to(torch.int16).cpu()

    def rows(self, medians_S: Tensor, rule: SpikeRule) -> list[dict]:
        """One row per token id (2603.05498 Table 2): does it spike at position 0?

        ``medians_S`` are the median |h| of the ordinary tokens of text at every hidden state (``ordinary_medians``).
        The probed tokens do not give it: nearly all of them may spike.

        token_id: the token. state: the hidden state in which the token is largest against the threshold, 0 the
            embedding, i after block i. maximum: the token's largest |h| there; channel: where; threshold: of that
            state.
        excess: maximum / threshold; is_spike: excess > 1. The mean of is_spike is the share of spike tokens.
        """
        threshold_S = rule.threshold(medians_S)
        excess_V, state_V = (self.largest_SV / threshold_S[:, None]).max(dim=0)
        maximum, channel = (kept.gather(0, state_V[None])[0].tolist() for kept in (self.largest_SV, self.channel_SV))
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
                zip(self.ids.tolist(), excess_V.tolist(), state_V.tolist(), strict=True)
            )
        ]
