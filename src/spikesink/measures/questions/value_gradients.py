"""Does attention on a key predict the gradient of its value? Theorem 1 of 2603.17771 on a trained model."""

import torch
from torch import Tensor

from spikesink.measures.probes.backward import backward
from spikesink.measures.probes.sink_mass import attention_on
from spikesink.measures.subject import Answers, Subject
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "gradients"
QUESTIONS = ("value_gradient_bounds",)
READS = ("gradient_sequences", "batch_size", "loss_chunk")


def answers(subject: Subject, settings: Measures) -> Answers:
    rows = subject.rows(settings.gradient_sequences)
    yield "value_gradient_bounds", value_gradient_bounds(subject.model, rows, **subject.loss_options(settings))


def value_gradient_bounds(
    model: Decoder,
    rows: Tensor,
    *,
    position: int = 0,
    window: tuple[int, int] | None = None,
    batch_size: int = 32,
    loss_chunk: int | None = None,
) -> list[dict]:
    """One row per attention block and query head: the gradient of the value at key s = ``position`` and its bounds.

    By Proposition 1 of 2603.17771, a head's gradient of the value that it mixes is sum_t a_ts g_t, with g_t the
    gradient at its attention output (before an output gate). Theorem 1: if g_t = mu + e_t with E e_t = 0, E||e_t||^2 =
    sigma^2 and E<e_t, e_t'> <= rho, then M^2 ||mu||^2 <= E||grad v_s||^2 <= M^2 ||mu||^2 + sigma^2 S + rho (M^2 - S),
    with the sink mass M = sum_t a_ts and the second moment S = sum_t a_ts^2.

    block: 1-based; layer: attention blocks counted from 0; head: from 0; position: s; sequences: n.
    mass, second_moment: means of M and S over sequences. mu2: ||mu||^2; sigma2: sigma^2; rho.
    lower, actual, upper: the theorem's squared norms for one sequence.
    batch_lower, batch_actual, batch_upper: those of the gradient averaged over all sequences, whose noise averages out
        while M mu stays; rho is taken as 0 for different sequences.
    With grouped queries a value head's gradient is the sum over its query heads; rows are per query head.

    The paper leaves the estimators open. Here the expectation is over the n >= 2 sequences of rows [n, T + 1] and, for
    the moments of g, also over the queries t >= s, all per head. ||mu||^2 is the mean of <g_t, g_t'> over pairs from
    different sequences, which the noise does not bias; it is set to 0 where that is negative. sigma^2 is the mean of
    ||g_t||^2 minus it, rho the mean of <g_t, g_t'> over t != t' of one sequence minus it. Gradients are of each
    sequence's own mean loss. The attention weights are the model's and not independent of g as the theorem has them:
    where actual leaves the bounds, heads attend where gradients are large or alike.

    Moments are in float64. Memory beyond a backward pass of ``batch_size`` sequences is 2 n N H floats a block. Raises
    ValueError for a single sequence.
    """
    if len(rows) < 2:
        raise ValueError("the bounds need at least two sequences: raise the number of sequences")
    parts: dict[int, list[dict[str, Tensor]]] = {}
    for batch in rows.split(batch_size):
        taps = backward(model, batch, ("input", "mixture"), window=window, loss_chunk=loss_chunk)
        with torch.no_grad():
            context = model.context(model.embedding(batch[:, :-1].to(model.device)))
            for block, mixture in taps["mixture"].items():
                body = model.blocks[block - 1].body
                x = taps["input"][block].value.to(context.embedding_BTD.dtype)
                a = attention_on(body, *body.queries_keys(x, context), position, in_shares=False)[..., position:]
                g = mixture.gradient.unflatten(-1, (body.heads, body.head_dim)).transpose(1, 2)[:, :, position:]
                parts.setdefault(block, []).append(moments(a, g * len(batch)))
    table = []
    for layer, (block, pieces) in enumerate(sorted(parts.items())):
        found = {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}
        for head in range(found["mass"].shape[1]):
            place = {"block": block, "layer": layer, "head": head, "position": position}
            bounds = theorem_bounds({name: values[:, head] for name, values in found.items()})
            table.append(place | bounds | {"sequences": len(rows)})
    return table


def moments(a_BNT: Tensor, g_BNTH: Tensor) -> dict[str, Tensor]:
    """What the bounds need of attention weights and gradients, by sequence and head, in float64 on the CPU."""
    a, g = a_BNT.double(), g_BNTH.double()
    found = {
        "queries": torch.full(a.shape[:2], a.shape[2]),
        "mass": a.sum(dim=-1),
        "second_moment": a.square().sum(dim=-1),
        "square": g.square().sum(dim=(-2, -1)),
        "total": g.sum(dim=-2),
        "value": torch.einsum("bnt,bnth->bnh", a, g),
    }
    return {name: values.cpu() for name, values in found.items()}


def theorem_bounds(found: dict[str, Tensor]) -> dict[str, float]:
    """Both of Theorem 1's bounds and the actual squared norms for one head, from the moments of n sequences."""
    mass, second, square, total, value = (found[name] for name in ("mass", "second_moment", "square", "total", "value"))
    n, queries = len(mass), int(found["queries"][0])
    own = total.square().sum()
    same = (own - square.sum()) / (n * queries * max(queries - 1, 1))
    other = (total.sum(dim=0).square().sum() - own) / (n * (n - 1) * queries**2)
    mu2 = other.clamp(min=0)
    sigma2, rho = square.mean() / queries - mu2, same - mu2
    noise = (sigma2 * second + rho * (mass.square() - second)).mean()
    lower, batch_lower = mass.square().mean() * mu2, mass.mean().square() * mu2
    columns = {
        "mass": mass.mean(),
        "second_moment": second.mean(),
        "mu2": mu2,
        "sigma2": sigma2,
        "rho": rho,
        "lower": lower,
        "actual": value.square().sum(dim=-1).mean(),
        "upper": lower + noise,
        "batch_lower": batch_lower,
        "batch_actual": value.mean(dim=0).square().sum(),
        "batch_upper": batch_lower + noise / n,
    }
    return {name: column.item() for name, column in columns.items()}
