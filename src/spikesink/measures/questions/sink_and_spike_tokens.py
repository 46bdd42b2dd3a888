"""Are the tokens that attention rests on the tokens that spike? Token by token (2603.05498 Sec 3)."""

import torch
from torch import Tensor

from spikesink.measures.probes.attention_rows import attention_received, attention_rows
from spikesink.measures.probes.observe import block_inputs
from spikesink.measures.probes.spikes import SpikeRule, find_spikes
from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "spikes"
QUESTIONS = ("sink_and_spike_tokens",)
READS = (
    "spike_magnitude",
    "spike_over_median",
    "step_share",
    "sink_epsilon",
    "sink_tokens",
    "sequences",
    "batch_size",
    "chunk",
)


def answers(subject: Subject, settings: Measures) -> Answers:
    tokens = subject.tokens(settings.sequences, settings.sink_tokens)
    options = {"rule": SpikeRule.of(settings), "epsilon": settings.sink_epsilon, "chunk": settings.chunk}
    rows = sink_and_spike_tokens(subject.model, tokens, batch_size=settings.batch_size, **options)
    yield "sink_and_spike_tokens", rows


@torch.no_grad()
def sink_and_spike_tokens(
    model: Decoder, tokens: Tensor, *, rule: SpikeRule, epsilon: float, batch_size: int, chunk: int = 512
) -> list[dict]:
    """One row per position k <= T / 2 over sequences [n, T] of token ids, the positions that the sink ratio counts.

    A sink token is one whose alpha_k (2603.05498 Eq 27) exceeds ``epsilon`` in some head of some layer: its head counts
    in the sink ratio because of it. A spike token carries a massive activation in some hidden state.

    position: k, 0-based; sequences: n; sinks, spikes, both: in how many sequences the token there is a sink token, a
        spike token, both.
    mass_spikes, mass_others: sum of alpha_k, mean over heads, over the sequences where the token spikes, and over the
        others.
    """
    received: list[Tensor] = []
    largest: list[Tensor] = []
    keys = tokens.shape[1] // 2
    for batch in tokens.split(batch_size):
        alpha = torch.cat(
            [
                attention_received(attention_rows(block.body, block.pre_norm(h), context, chunk), tokens.shape[1])
                for _, block, h, context in block_inputs(model, batch.to(model.device))
                if isinstance(block.body, CausalAttention)
            ],
            dim=1,
        )[..., :keys].cpu()
        received.append(alpha.mean(dim=1))
        largest.append(alpha.amax(dim=1))
    mass_NT, sinks_NT = torch.cat(received).double(), torch.cat(largest) > epsilon
    spikes_NT = find_spikes(model, tokens, rule=rule, batch_size=batch_size).token_excess_NT[:, :keys] > 1
    return [
        {
            "position": position,
            "sequences": len(tokens),
            "sinks": int(sinks_NT[:, position].sum()),
            "spikes": int(spikes_NT[:, position].sum()),
            "both": int((sinks_NT & spikes_NT)[:, position].sum()),
            "mass_spikes": mass_NT[spikes_NT[:, position], position].sum().item(),
            "mass_others": mass_NT[~spikes_NT[:, position], position].sum().item(),
        }
        for position in range(keys)
    ]
