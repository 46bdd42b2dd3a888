"""Which heads are sinks? Sink ratio by 2603.05498 Eq 27-28 and by Gu et al. (2410.10781), head by head."""

import torch
from torch import Tensor

from spikesink.measures.probes.attention_rows import attention_received, attention_rows
from spikesink.measures.probes.observe import block_inputs
from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "forward"
QUESTIONS = ("attention",)
READS = ("sink_epsilon", "sink_tokens", "sequences", "batch_size", "chunk")


def answers(subject: Subject, settings: Measures) -> Answers:
    length = settings.sink_tokens
    tokens = subject.tokens(settings.sequences, length)
    options = {"epsilon": settings.sink_epsilon, "batch_size": settings.batch_size, "chunk": settings.chunk}
    rows = attention_sinks(subject.model, tokens, **options)
    first, last = trained_queries(subject.context, subject.window, length)
    inside = rows
    if (first, last) != (0, length):
        inside = attention_sinks(subject.model, subject.tokens(settings.sequences, last), first=first, **options)
    trained = {"trained_first": first, "trained_last": last}
    yield (
        "attention",
        [
            row | {f"{name}_trained": own[name] for name in ("sink_share", "sink_mass")} | trained
            for row, own in zip(rows, inside, strict=True)
        ],
    )


def trained_queries(context: int, window: tuple[int, int] | None, length: int) -> tuple[int, int]:
    """The positions [first, last) of queries inside which a model's sinks are measured: the first ones it trained on.

    They are positions of its training context whose loss counts, ``length`` of them where there are so many.
    """
    first, last = window or (0, context)
    return first, min(last, first + length)


@torch.no_grad()
def attention_sinks(
    model: Decoder, tokens: Tensor, *, epsilon: float, batch_size: int, chunk: int = 512, first: int = 0
) -> list[dict]:
    """One row per attention block and query head, over sequences [n, T] of token ids.

    alpha_k is the mean attention that key k receives from all T queries of a sequence (2603.05498 Eq 27), or from those
    at position ``first`` and later.

    block: the attention block, 1-based over all 2L blocks; layer: attention blocks counted from 0; head: from 0.
    sink_share: share of the sequences in which the largest alpha_k over the keys k <= T / 2 exceeds ``epsilon``
        (strictly). Its mean over all heads is the sink ratio (2603.05498 Eq 28).
    sink_share_gu: the same with alpha of the first key alone (Gu et al. 2410.10781, who divide by T - k + 1: T for
        the first key).
    sink_mass: mean over sequences of alpha of the first key.
    largest_key_mass: mean over sequences of the largest alpha_k with k <= T / 2.
    sink_position: the key k <= T / 2 that was the largest one most often, 0-based.
    tokens: T; epsilon: the threshold; sequences: n.
    sink_share_trained, sink_mass_trained (of the question, not of this function): the same from queries at the
        positions trained_first to trained_last - 1, which the model was trained on, in sequences that end there.

    The maps are formed for ``chunk`` queries at a time.
    """
    sequences, length = tokens.shape
    received: dict[int, list[Tensor]] = {}
    for batch in tokens.split(batch_size):
        for number, block, h, context in block_inputs(model, batch.to(model.device)):
            if isinstance(block.body, CausalAttention):
                attention = attention_rows(block.body, block.pre_norm(h), context, chunk)
                received.setdefault(number, []).append(attention_received(attention, length, first).cpu())
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
