"""How do a head's queries and keys make a sink? (2603.05498 Eq 26, Fig 6)"""

import torch
from torch import Tensor
from torch.nn import functional as F

from spikesink.measures.probes.observe import block_inputs
from spikesink.measures.probes.sink_mass import attention_on, products
from spikesink.measures.probes.starts import starts
from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.context import Context
from spikesink.model.decoder import Decoder
from spikesink.model.rotary import Rotary
from spikesink.study.settings import Measures

GROUP = "geometry"
QUESTIONS = ("sink_geometry", "key_query_embedding")
READS = ("sink_epsilon", "sink_tokens", "sequences", "batch_size")


def answers(subject: Subject, settings: Measures) -> Answers:
    tokens = subject.tokens(settings.sequences, settings.sink_tokens)
    common = {"epsilon": settings.sink_epsilon, "batch_size": settings.batch_size}
    yield "sink_geometry", sink_geometry(subject.model, tokens, **common)
    yield "key_query_embedding", key_query_embedding(subject.model, tokens, **common)


def keys_before_rotation(body: CausalAttention, x_BTD: Tensor, context: Context) -> Tensor:
    """Keys [B, K, T, H] in float32 without positions: a rotation by no angle."""
    rotary = Rotary(torch.ones_like(context.rotary.cos_TR), torch.zeros_like(context.rotary.sin_TR))
    still = context._replace(rotary=rotary, window_rotary=rotary)
    return body.queries_keys(x_BTD, still)[1].float()


def gram(k_BKPH: Tensor) -> Tensor:
    """Sum of k k^T over sequences and positions: [K, H, H], float64."""
    k = k_BKPH.double()
    return torch.einsum("bkph,bkpg->khg", k, k)


def directions(gram_HH: Tensor, energy: float) -> tuple[int, float, Tensor]:
    """How many singular directions hold a share ``energy`` of the keys' squared norm, the share of the first, and those
    directions [H, r]."""
    values, vectors = torch.linalg.eigh(gram_HH)
    values, vectors = values.flip(-1).clamp(min=0), vectors.flip(-1)
    total = values.sum().item()
    if total == 0:
        return 0, 0.0, vectors[:, :0]
    shares = values.cumsum(dim=0) / total
    rank = min(int((shares < energy - 1e-12).sum()) + 1, len(values))
    return rank, shares[0].item(), vectors[:, :rank]


@torch.no_grad()
def sink_geometry(
    model: Decoder, tokens: Tensor, *, batch_size: int, epsilon: float = 0.3, energy: float = 0.95
) -> list[dict]:
    """One row per attention block, query head and start, over sequences [n, T]; the sink is position 0.

    start: bos or text, as ``starts`` says. Behind a BOS all sink keys are one vector.
    block: 1-based; layer: attention blocks counted from 0; head: from 0.
    sink_mass: mean attention on key 0 over all T queries (2603.05498 Eq 27); is_sink_head: whether it exceeds
        ``epsilon``.

    As attention sees them, after the rotation, means over the queries t >= 1 whose window, if any, has key 0:
    logit_sink: the score q.k_0 / sqrt(H), or at the own scale; logit_others: the mean score of the other visible
        keys; logit_gap: the difference. cosine_sink, cosine_others: the same with cosines.
    query_energy: share of these queries' squared norm in the direction of their sequence's key 0. Queries in random
        directions have 1 / H.

    Of keys before the rotation, so that positions do not enter (Eq 26 speaks of rows of W_K). There are n sink keys and
    n (T - 1) others; query heads that share a key-value head share these columns:
    sink_rank, other_rank: number of singular directions (not centred) that hold the share ``energy`` of the squared
        norm.
    sink_energy_first, other_energy_first: share of the first direction.
    others_in_sink_subspace: share of the other keys' squared norm inside the sink keys' directions.
    sink_key_norm, other_key_norm: mean L2 norms.
    energy, epsilon: as used; tokens: T; sequences: n.

    The paper says "1 to 2 dimensions" and names no criterion.
    """
    rows = []
    for start, sequences in starts(tokens).items():
        for layer, (index, (body, total)) in enumerate(geometry_sums(model, sequences, batch_size).items()):
            queries = len(sequences) * (sequences.shape[1] - 1)
            seeing = len(sequences) * (min(sequences.shape[1], body.window or sequences.shape[1]) - 1)
            for head in range(body.heads):
                shared = head // (body.heads // body.kv_heads)
                per_query = {
                    name: total[name][head].item() / seeing if seeing else None
                    for name in ("logit_sink", "logit_others", "cosine_sink", "cosine_others")
                }
                sink_rank, sink_first, subspace = directions(total["sink_gram"][shared], energy)
                other_rank, other_first, _ = directions(total["other_gram"][shared], energy)
                other_gram = total["other_gram"][shared]
                other_energy = other_gram.trace().item()
                inside = (subspace.T @ other_gram @ subspace).trace().item()
                query_energy = total["query_energy"][head].item()
                mass = total["mass"][head].item() / sequences.numel()
                rows.append(
                    {
                        "start": start,
                        "block": index,
                        "layer": layer,
                        "head": head,
                        "sink_mass": mass,
                        "is_sink_head": mass > epsilon,
                        **per_query,
                        "logit_gap": per_query["logit_sink"] - per_query["logit_others"] if seeing else None,
                        "query_energy": total["query_along"][head].item() / query_energy if query_energy else None,
                        "sink_rank": sink_rank,
                        "other_rank": other_rank,
                        "sink_energy_first": sink_first,
                        "other_energy_first": other_first,
                        "others_in_sink_subspace": inside / other_energy if other_energy else None,
                        "sink_key_norm": total["sink_norm"][shared].item() / len(sequences),
                        "other_key_norm": total["other_norm"][shared].item() / queries if queries else None,
                        "energy": energy,
                        "epsilon": epsilon,
                        "tokens": sequences.shape[1],
                        "sequences": len(sequences),
                    }
                )
    return rows


@torch.no_grad()
def geometry_sums(
    model: Decoder, sequences: Tensor, batch_size: int
) -> dict[int, tuple[CausalAttention, dict[str, Tensor]]]:
    """Per attention block (1-based), its body and the sums over sequences and queries that the table divides."""
    found: dict[int, tuple[CausalAttention, dict[str, Tensor]]] = {}
    for batch in sequences.split(batch_size):
        for index, block, h, context in block_inputs(model, batch.to(model.device)):
            body = block.body
            if not isinstance(body, CausalAttention):
                continue
            x = block.pre_norm(h)
            q, k = (tensor.float() for tensor in body.queries_keys(x, context))
            mass = attention_on(body, q, k, 0)
            k = body.per_query_head(k)
            still = keys_before_rotation(body, x, context)
            logit_sink, logit_others = products(q * body.scale, k, body.window)
            cosine_sink, cosine_others = products(F.normalize(q, dim=-1), F.normalize(k, dim=-1), body.window)
            seeing = q[:, :, 1 : body.window]  # the queries whose window has key 0
            along = (seeing * F.normalize(k[:, :, :1], dim=-1)).sum(dim=-1)
            norm = still.norm(dim=-1)
            part = {
                "mass": mass,
                "logit_sink": logit_sink,
                "logit_others": logit_others,
                "cosine_sink": cosine_sink,
                "cosine_others": cosine_others,
                "query_along": along.square(),
                "query_energy": seeing.square().sum(dim=-1),
                "sink_norm": norm[:, :, :1],
                "other_norm": norm[:, :, 1:],
            }
            summed = {name: value.double().sum(dim=(0, 2)).cpu() for name, value in part.items()}
            summed["sink_gram"] = gram(still[:, :, :1]).cpu()
            summed["other_gram"] = gram(still[:, :, 1:]).cpu()
            before = found[index][1] if index in found else dict.fromkeys(summed, 0)
            found[index] = body, {name: before[name] + value for name, value in summed.items()}
    return found


@torch.no_grad()
def key_query_embedding(
    model: Decoder,
    tokens: Tensor,
    *,
    batch_size: int,
    epsilon: float = 0.3,
    points: int = 100,
    perplexity: float = 30.0,
    seed: int = 0,
) -> list[dict]:
    """t-SNE of queries and keys together, for one sink head and one other head (2603.05498 Fig 6); one row per point.

    Needs scikit-learn. Queries and keys are those after the rotation, over sequences [n, T] as they are given.

    head_kind: sink, the head with the largest sink mass of all; other, the one with the smallest in the same block if
        that has one at or below ``epsilon``, else in the model. block: 1-based; head: from 0; sink_mass: of that head.
    role: query or key; sequence, position: of its token, 0-based; is_sink: whether the position is 0.
    x, y: coordinates, without a unit.

    It has at most ``points`` keys at position 0 (a single one where all sequences begin with the same token, whose keys
    are one vector), ``points`` other keys, and as many queries of t >= 1. ``seed`` chooses them and fixes the
    embedding, which starts from principal components. There are no rows for a model with a single head or for fewer
    than four tokens.
    """
    from sklearn.manifold import TSNE

    sums = geometry_sums(model, tokens, batch_size)
    masses = {index: total["mass"] / tokens.numel() for index, (_, total) in sums.items()}
    every = [(mass.item(), index, head) for index, values in masses.items() for head, mass in enumerate(values)]
    sink_mass, block, sink_head = max(every)
    rest = [one for one in every if one[1:] != (block, sink_head)]
    same_block = [one for one in rest if one[1] == block and one[0] <= epsilon]
    if not rest or tokens.numel() < 4 or tokens.shape[1] < 2:
        return []
    rows = []
    for kind, (mass, index, head) in (("sink", (sink_mass, block, sink_head)), ("other", min(same_block or rest))):
        vectors = head_vectors(model, tokens, index, head, batch_size)
        places = chosen(tokens, points, seed)
        stacked = torch.cat([vectors[role][sequence, position] for role, sequence, position in places])
        if bool((stacked == stacked[0]).all()):  # a silent head, from which scikit-learn's t-SNE crashes
            embedding = torch.zeros(len(stacked), 2)
        else:
            neighbours = min(perplexity, (len(stacked) - 1) / 3)
            embedding = TSNE(perplexity=neighbours, init="pca", random_state=seed).fit_transform(stacked.numpy())
        coordinates = iter(embedding.tolist())
        for role, sequences, positions in places:
            for sequence, position in zip(sequences.tolist(), positions.tolist(), strict=True):
                x, y = next(coordinates)
                rows.append(
                    {
                        "head_kind": kind,
                        "block": index,
                        "head": head,
                        "sink_mass": mass,
                        "role": role,
                        "sequence": sequence,
                        "position": position,
                        "is_sink": position == 0,
                        "x": x,
                        "y": y,
                    }
                )
    return rows


@torch.no_grad()
def head_vectors(model: Decoder, tokens: Tensor, block: int, head: int, batch_size: int) -> dict[str, Tensor]:
    """One head's rotated queries and keys, each [n, T, H] in float32."""
    parts: dict[str, list[Tensor]] = {"query": [], "key": []}
    for batch in tokens.split(batch_size):
        for index, one, h, context in block_inputs(model, batch.to(model.device)):
            if index == block:
                q, k = one.body.queries_keys(one.pre_norm(h), context)
                parts["query"].append(q[:, head].float().cpu())
                parts["key"].append(one.body.per_query_head(k)[:, head].float().cpu())
                break
    return {role: torch.cat(tensors) for role, tensors in parts.items()}


def chosen(tokens: Tensor, points: int, seed: int) -> list[tuple[str, Tensor, Tensor]]:
    """(role, sequences, positions) of the points drawn: sink keys, other keys, queries."""
    sequences, length = tokens.shape
    generator = torch.Generator().manual_seed(seed)
    sinks = torch.arange(1 if "bos" in starts(tokens) else min(sequences, points))
    places = [("key", sinks, torch.zeros_like(sinks))]
    for role in ("key", "query"):
        picked = torch.randperm(sequences * (length - 1), generator=generator)[:points].sort().values
        places.append((role, picked // (length - 1), picked % (length - 1) + 1))
    return places
