"""How far does attention look, with and without the sink? (2603.05498 Sec 3: sinks shorten the attention distance.)"""

from collections.abc import Iterable

import torch
from torch import Tensor

from spikesink.measures.probes.attention_rows import attention_rows
from spikesink.measures.probes.observe import block_inputs
from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "geometry"
QUESTIONS = ("attention_distance",)
READS = ("sink_tokens", "sequences", "batch_size", "chunk")

SMALLEST = 2.0**-149
"""The smallest positive float32."""


def answers(subject: Subject, settings: Measures) -> Answers:
    tokens = subject.tokens(settings.sequences, settings.sink_tokens)
    rows = attention_distance(subject.model, tokens, query_chunk=settings.chunk, batch_size=settings.batch_size)
    yield "attention_distance", rows


def described(sums_4BNC: Tensor) -> Tensor:
    """Over all queries with any weight, the sums [4, N] of their number, mean distance, local share and entropy.

    Each query's weights count divided by their sum.
    """
    total, distance, local, entropy = sums_4BNC.double()
    some = total > 0
    safe = total.where(some, 1.0)
    each = some.double(), distance / safe, local / safe, (entropy / safe + safe.log()).where(some, 0.0)
    return torch.stack([one.sum(dim=(0, 2)) for one in each])


def sums_over_keys(weights_BNCJ: Tensor, local: int) -> Tensor:
    """Per query: weight, weight times distance, weight nearer than ``local``, -sum w log w. [4, B, N, C].

    The queries are those of the last C of J positions. No distance and no mask of C x J is made.
    """
    queries, keys = weights_BNCJ.shape[2:]
    place = torch.arange(keys, device=weights_BNCJ.device)
    total = weights_BNCJ.sum(dim=-1)
    # Counted from the first of the queries, so that near keys are not lost in the rounding of large numbers.
    distance = weights_BNCJ @ (keys - queries - place).float() + total * place[:queries]
    near = place[-(queries + local - 1) :]
    within = place[keys - queries :, None] - near < local
    nearer = (weights_BNCJ[..., keys - len(near) :] * within).sum(dim=-1)
    # Half the time of torch.special.entr. A weight of 0 adds 0, whatever its logarithm is taken to be.
    entropy = -(weights_BNCJ * weights_BNCJ.clamp(min=SMALLEST).log()).sum(dim=-1)
    return torch.stack((total, distance, nearer, entropy))


def sums_of_key(weights_BNC: Tensor, distance_C: Tensor, local: int) -> Tensor:
    """The same sums of a single key, at these distances from the queries."""
    each = weights_BNC * distance_C, weights_BNC * (distance_C < local), torch.special.entr(weights_BNC)
    return torch.stack((weights_BNC, *each))


def of_block(rows: Iterable[tuple[int, Tensor]], sink: int, local: int) -> dict[str, Tensor]:
    """What ``attention_distance`` needs of a map, summed over sequences and queries; takes rows as they are yielded.

    sink [N] and mass [N]: weight on the sink of all queries, and on all keys of those after the sink; every and rest
    [4, N]: ``described`` of these queries' weights, with and without the sink. The rows are changed.
    """
    total: dict[str, Tensor] = {}
    for first, weights in rows:
        since_sink = torch.arange(first, first + weights.shape[2], device=weights.device) - sink
        later = since_sink > 0
        on_sink = weights.new_zeros(weights.shape[:3])
        if sink < weights.shape[3]:
            on_sink = weights[..., sink].clone()
            weights[..., sink] = 0
        # The sink is added to the rest: taking it from the whole would leave rounding errors of a sink head.
        rest = sums_over_keys(weights, local)
        every = rest + sums_of_key(on_sink, since_sink, local)
        part = {
            "sink": on_sink.double().sum(dim=(0, 2)),
            "mass": every[0][..., later].double().sum(dim=(0, 2)),
            "every": described(every[..., later]),
            "rest": described(rest[..., later]),
        }
        total = {name: total.get(name, 0) + value for name, value in part.items()}
    return total


@torch.no_grad()
def attention_distance(
    model: Decoder, tokens: Tensor, *, batch_size: int, sink: int = 0, local: int = 16, query_chunk: int = 256
) -> list[dict]:
    """One row per attention block and query head, over sequences [n, T] whose sink is at position ``sink``.

    block: 1-based; layer: attention blocks counted from 0; head: from 0.
    sink_mass: mean attention on the sink over all T queries (2603.05498 Eq 27).
    The other columns are means over the queries t after the sink.
    mass: summed weight on the text: 1 for softmax, less with softpick or where an extra key takes weight. The weights
        of sigmoid and ReLU attention, which may sum to more, count in shares of their sum.
    distance: sum over keys j of A_tj (t - j), in tokens.
    local_share: weight on keys with t - j < ``local``, the query's own among them.
    entropy: entropy of the weights, in nats.
    <column>_without_sink: the same with the sink's weight removed and the rest divided by its sum.

    Where weights do not sum to 1 they are divided by their sum, and queries that attend to nothing are left out.
    Uniform attention has the distance T / 4 for a sink at position 0. The papers state the effect and give no
    definition: the mean over queries, the division per query and ``local`` are this project's.

    ``query_chunk`` queries at a time bound memory to a few times batch_size * heads * query_chunk * T floats.
    """
    length = tokens.shape[1]
    found: dict[int, dict[str, Tensor]] = {}
    for batch in tokens.split(batch_size):
        for index, block, h, context in block_inputs(model, batch.to(model.device)):
            if not isinstance(block.body, CausalAttention):
                continue
            part = of_block(attention_rows(block.body, block.pre_norm(h), context, query_chunk), sink, local)
            before = found.setdefault(index, dict.fromkeys(part, 0))
            found[index] = {name: before[name] + value.cpu() for name, value in part.items()}
    rows = []
    queries = tokens.shape[0] * (length - sink - 1)
    for layer, (index, total) in enumerate(sorted(found.items())):
        for head in range(len(total["sink"])):
            row = {
                "block": index,
                "layer": layer,
                "head": head,
                "sink_mass": total["sink"][head].item() / tokens.numel(),
                "mass": total["mass"][head].item() / queries if queries else None,
            }
            for name, suffix in (("every", ""), ("rest", "_without_sink")):
                count, *values = total[name][:, head].tolist()
                for quantity, value in zip(("distance", "local_share", "entropy"), values, strict=True):
                    row[quantity + suffix] = value / count if count else None
            rows.append(row | {"local": local, "sink": sink, "tokens": length, "sequences": tokens.shape[0]})
    return rows
