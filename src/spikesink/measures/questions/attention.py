"""Which heads are sinks? Sink ratio by 2603.05498 Eq 27-28 and by Gu et al. (2410.10781), head by head."""

import torch
from torch import Tensor

from spikesink.measures.probes.observe import observe
from spikesink.measures.subject import Answers, Subject
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "forward"
QUESTIONS = ("attention",)
READS = ("sink_epsilon", "sink_tokens", "sequences", "batch_size")


def answers(subject: Subject, settings: Measures) -> Answers:
    tokens = subject.tokens(settings.sequences, settings.sink_tokens)
    rows = attention_sinks(subject.model, tokens, epsilon=settings.sink_epsilon, batch_size=settings.batch_size)
    yield "attention", rows


def attention_received(attention_BNTT: Tensor) -> Tensor:
    """alpha_k = (1/T) sum_t A[t, k], the mean attention on key k over all T queries: [B, N, T]."""
    return attention_BNTT.float().mean(dim=-2)


def attention_sinks(model: Decoder, tokens: Tensor, *, epsilon: float, batch_size: int) -> list[dict]:
    """One row per attention block and query head, over sequences [n, T] of token ids.

    alpha_k is the mean attention that key k receives from all T queries of a sequence (2603.05498 Eq 27).

    block: the attention block, 1-based over all 2L blocks; layer: attention blocks counted from 0; head: from 0.
    sink_share: share of the sequences in which the largest alpha_k over the keys k <= T / 2 exceeds ``epsilon``
        (strictly). Its mean over all heads is the sink ratio (2603.05498 Eq 28).
    sink_share_gu: the same with alpha of the first key alone (Gu et al. 2410.10781, who divide by T - k + 1: T for
        the first key).
    sink_mass: mean over sequences of alpha of the first key.
    largest_key_mass: mean over sequences of the largest alpha_k with k <= T / 2.
    sink_position: the key k <= T / 2 that was the largest one most often, 0-based.
    tokens: T; epsilon: the threshold; sequences: n.
    """
    device = model.device
    sequences, length = tokens.shape
    received: dict[int, list[Tensor]] = {}
    for batch in tokens.split(batch_size):
        for seen in observe(model, batch.to(device), attention=True):
            if seen.attention_BNTT is not None:
                received.setdefault(seen.block, []).append(attention_received(seen.attention_BNTT).cpu())
    rows = []
    for layer, (block, parts) in enumerate(sorted(received.items())):
        alpha = torch.cat(parts)[..., : length // 2]
        largest, where = alpha.max(dim=-1)
        for head in range(alpha.shape[1]):
            rows.append(
                {
                    "block": block,
                    "layer": layer,
                    "head": head,
                    "sink_share": (largest[:, head] > epsilon).float().mean().item(),
                    "sink_share_gu": (alpha[:, head, 0] > epsilon).float().mean().item(),
                    "sink_mass": alpha[:, head, 0].mean().item(),
                    "largest_key_mass": largest[:, head].mean().item(),
                    "sink_position": where[:, head].mode().values.item(),
                    "tokens": length,
                    "epsilon": epsilon,
                    "sequences": sequences,
                }
            )
    return rows
