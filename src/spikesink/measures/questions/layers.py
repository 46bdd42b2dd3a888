"""Sinks and massive activations layer by layer, token 0 against early tokens (2603.17771, Figs 7, 12)."""

import torch
from torch import Tensor

from spikesink.measures.probes.observe import observe
from spikesink.measures.probes.sink_mass import attention_on
from spikesink.measures.subject import Answers, Subject
from spikesink.model.context import Context
from spikesink.model.decoder import Block, Decoder
from spikesink.study.settings import Measures

GROUP = "gradients"
QUESTIONS = ("layers",)
READS = ("gradient_sequences", "batch_size", "sink_epsilon", "sink_tokens")


def answers(subject: Subject, settings: Measures) -> Answers:
    tokens = subject.rows(settings.gradient_sequences)[:, :-1]
    sinks = {"epsilon": settings.sink_epsilon, "queries": settings.sink_tokens}
    yield "layers", layers(subject.model, tokens, batch_size=settings.batch_size, **sinks)


def layers(
    model: Decoder,
    tokens: Tensor,
    *,
    epsilon: float = 0.3,
    queries: int = 64,
    early: int = 15,
    batch_size: int = 32,
) -> list[dict]:
    """One row per layer over sequences [n, T]: sinks, and L2 norms of token 0 beside those of tokens 1..``early``.

    sink_mass of a head and a sequence is the mean attention on position 0 of its first ``queries`` queries, or of all T
    where there are fewer (alpha_0 in the paper). Where the second branch is attention too, its heads count like the
    first's.

    layer: from 0.
    sink_rate: share of the layer's heads and sequences with sink_mass > ``epsilon``. Sequences count one by one, as the
        paper's 0.9844 for one layer of eight heads shows.
    sink_mass_mean, sink_mass_max: mean over sequences of the mean, and of the largest, sink_mass of the layer's heads.
    <site>_token0, <site>_early_mean, <site>_early_max: mean over sequences of the L2 norm at token 0, and of the mean
        and the largest norm of the early tokens. The sites are
        stream: the residual stream after the layer (x_out in the paper);
        attention, feed_forward: what the layer's first and second branch add, post-norm included (r_attn, r_mlp);
        value_raw, value: value vectors as projected, and as attention mixes them, after valve and value gate; the mean
        over value heads (||v||).
    epsilon, queries: as used; sequences: n; tokens: T.

    Memory is that of one block for ``batch_size`` sequences.
    """
    device = model.device
    queries = min(queries, tokens.shape[1])
    sums: dict[int, dict[str, float]] = {}
    for batch in tokens.split(batch_size):
        parts: dict[int, dict] = {}
        for seen in observe(model, batch.to(device)):
            if seen.block == 0:
                context, stream = model.context(seen.stream_BTD.to(model.embedding.weight.dtype)), seen.stream_BTD
                continue
            layer, second = divmod(seen.block - 1, 2)
            part = parts.setdefault(layer, {"alpha": [], "value_raw": [], "value": []})
            part["feed_forward" if second else "attention"] = seen.output_BTD.norm(dim=-1)
            part["stream"] = seen.stream_BTD.norm(dim=-1)
            if seen.kind == "attention":
                for name, found in inside_attention(model.blocks[seen.block - 1], stream, context, queries).items():
                    part[name].append(found)
            stream = seen.stream_BTD
        for layer, part in parts.items():
            total = sums.setdefault(layer, {})
            for name, per_sequence in summary(part, epsilon, early).items():
                total[name] = total.get(name, 0.0) + per_sequence.double().sum().item()
    return [
        {"layer": layer, **{name: value / len(tokens) for name, value in total.items()}}
        | {"epsilon": epsilon, "queries": queries, "sequences": len(tokens), "tokens": tokens.shape[1]}
        for layer, total in sorted(sums.items())
    ]


@torch.no_grad()
def inside_attention(block: Block, stream_BTD: Tensor, context: Context, queries: int) -> dict[str, Tensor]:
    """sink_mass [B, N] of an attention block and its value norms [B, T], from the stream before it."""
    body = block.body
    x = block.pre_norm(stream_BTD.to(context.embedding_BTD.dtype))
    return {
        "alpha": attention_on(body, *body.queries_keys(x, context), 0)[..., :queries].mean(dim=-1),
        "value_raw": body.v(x).float().unflatten(-1, (body.kv_heads, body.head_dim)).norm(dim=-1).mean(dim=-1),
        "value": body.values(x, context).float().norm(dim=-1).mean(dim=1),
    }


def summary(part: dict, epsilon: float, early: int) -> dict[str, Tensor]:
    """The columns of one layer, each [B]."""
    alpha_BN = torch.cat(part["alpha"], dim=1)
    columns = {
        "sink_rate": (alpha_BN > epsilon).float().mean(dim=1),
        "sink_mass_mean": alpha_BN.mean(dim=1),
        "sink_mass_max": alpha_BN.amax(dim=1),
    }
    for site in ("stream", "attention", "feed_forward", "value_raw", "value"):
        norms_BT = torch.stack(part[site]).mean(dim=0) if isinstance(part[site], list) else part[site]
        columns[f"{site}_token0"] = norms_BT[:, 0]
        columns[f"{site}_early_mean"] = norms_BT[:, 1 : early + 1].mean(dim=1)
        columns[f"{site}_early_max"] = norms_BT[:, 1 : early + 1].amax(dim=1)
    return columns
