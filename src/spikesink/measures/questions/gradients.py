"""Do attention sinks collect gradient? Gradient norms by position and the gradient sink ratio (2603.17771)."""

import torch
from torch import Tensor

from spikesink.measures.probes.backward import backward
from spikesink.measures.probes.sink_mass import keys_seen
from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Decoder
from spikesink.study.settings import Measures

GROUP = "gradients"
QUESTIONS = ("gradients", "gradient_sink_ratio")
READS = ("gradient_sequences", "batch_size", "loss_chunk")


def answers(subject: Subject, settings: Measures) -> Answers:
    rows = subject.rows(settings.gradient_sequences)
    table = gradients(subject.model, rows, **subject.loss_options(settings))
    yield "gradients", table
    yield "gradient_sink_ratio", gradient_sink_ratio(table)


SITES = ("input", "query", "key", "value")
UNIFORM = ("input_uniform", "value_uniform")
RATIOS = {"input": "ratio", "input_per_sequence": "ratio_per_sequence", "input_uniform": "ratio_uniform"}
"""Columns of gradient norms, and the columns of the ratios taken from them."""


def gradients(
    model: Decoder,
    rows: Tensor,
    *,
    window: tuple[int, int] | None = None,
    batch_size: int = 32,
    loss_chunk: int | None = None,
) -> list[dict]:
    """Gradient norms of every attention block and position, over rows [n, T + 1] as one optimisation step.

    The loss is the mean next-token cross-entropy in nats over all rows and the positions ``window`` = [first, last).

    block: 1-based; layer: attention blocks counted from 0; position: from 0; sequences: n.
    input, query, key, value: ||sum_b dL/dx_bt||: gradients are first summed over the n sequences, as in an optimisation
        step, then normed (2603.17771, Definition 1 and Figs 1, 2). input is the normalised input of the branch. query,
        key and value are the outputs of the projections before norms, rotation and valves, all heads of a position as
        one vector. So grad input = W_q^T grad query + W_k^T grad key + W_v^T grad value, plus what a conditional gate
        adds, and a valve's throttle shows.
    input_per_sequence, query_per_sequence, key_per_sequence, value_per_sequence: sum_b ||dL/dx_bt||, never smaller. It
        is the mean over sequences of the gradient norm of each one's own loss. The paper's wording leaves open which of
        the two it means.
    input_uniform, value_uniform: input and value as they would be if this block attended uniformly, as
        ``under_uniform_attention`` says. They are the null that the others are compared with.

    Sequences pass ``batch_size`` at a time. Sums are kept in float32, [T, width] per block and site.
    """
    summed: dict[tuple[str, int], Tensor] = {}
    normed: dict[tuple[str, int], Tensor] = {}
    for batch in rows.split(batch_size):
        share = len(batch) / len(rows)
        found = backward(model, batch, (*SITES, "mixture"), window=window, loss_chunk=loss_chunk)
        for site, taps in found.items():
            for block, tap in taps.items():
                total, norms = tap.gradient.sum(dim=0) * share, tap.gradient.norm(dim=-1).sum(dim=0) * share
                summed[site, block] = summed.get((site, block), 0) + total
                normed[site, block] = normed.get((site, block), 0) + norms
    blocks = sorted({block for site, block in summed if site == "query"})
    table = []
    for layer, block in enumerate(blocks):
        columns = {site: summed[site, block].norm(dim=-1).tolist() for site in SITES}
        columns |= {f"{site}_per_sequence": normed[site, block].tolist() for site in SITES}
        null = under_uniform_attention(model.blocks[block - 1].body, summed["mixture", block])
        columns |= {name: one.norm(dim=-1).tolist() for name, one in zip(UNIFORM, null, strict=True)}
        table += [
            {
                "block": block,
                "layer": layer,
                "position": position,
                **{name: values[position] for name, values in columns.items()},
                "sequences": len(rows),
            }
            for position in range(rows.shape[1] - 1)
        ]
    return table


@torch.no_grad()
def under_uniform_attention(body: CausalAttention, mixture_TD: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients [T, D] at the normalised input and [T, K H] at the values if every query attended to all keys alike.

    ``mixture_TD``: the gradients g_t that come back to the attention outputs of all query heads. The same computation
    with a_ts = 1 / (t + 1): grad v_s = sum over t >= s of g_t / (t + 1), and W_v^T of it at the input. A sliding window
    counts as many keys as it has, and only queries that see s; an extra key is one key more. Weights that are constant
    send nothing back to queries and keys. Values pass no valve and no gate, so a valve's throttle counts against this
    null too.

    Early keys collect gradient although no key is preferred, because more queries see them. Where all g_t are equal,
    the norms fall as H_T - H_s (H: harmonic numbers), and R_GS(0) is 3.0 at T = 64 and 1.6 at T = 2048, with T_e = 31.
    Where the g_t are unrelated, they fall as the root of the sum over t >= s of 1 / (t + 1)^2, and it is 4.8 and 4.3.
    """
    window = min(body.window or len(mixture_TD), len(mixture_TD))
    collected = (mixture_TD / keys_seen(body, len(mixture_TD))[:, None]).flip(0).cumsum(dim=0).flip(0)
    collected[: len(mixture_TD) - window] -= collected[window:].clone()
    collected = collected.unflatten(-1, (body.kv_heads, -1, body.head_dim))
    value = collected.sum(dim=2).flatten(1)  # queries that share a value head
    return value @ body.v.weight.float(), value


def gradient_sink_ratio(table: list[dict], *, position: int = 0, early: int = 31) -> list[dict]:
    """R_GS(s; T_e) of every attention block, from the rows of ``gradients`` (2603.17771, Definition 1).

    block, layer: as there; position: s; early: T_e as used: a context of fewer than T_e + 1 positions lowers it to the
        last.
    ratio: ||grad h~_s|| / ((1 / T_e) sum over 0 <= t <= T_e, t != s of ||grad h~_t||), from the column input.
    ratio_per_sequence: the same from input_per_sequence. ratio_uniform: from input_uniform, its value under uniform
        attention: a ratio above 1 is no sink yet, one above ratio_uniform is.
    over_uniform: ratio / ratio_uniform. All are None where the early positions have no gradient at all.
    """
    by_block: dict[int, list[dict]] = {}
    for row in table:
        by_block.setdefault(row["block"], []).append(row)
    ratios = []
    for block, rows in sorted(by_block.items()):
        if position >= len(rows):
            raise ValueError(f"position = {position} lies outside the {len(rows)} positions of the gradients: lower it")
        last = min(early, len(rows) - 1)
        found = {}
        for column, name in RATIOS.items():
            norms = torch.tensor([row[column] for row in sorted(rows, key=lambda row: row["position"])]).double()
            others = (norms[: last + 1].sum() - (norms[position] if position <= last else 0)) / max(last, 1)
            found[name] = (norms[position] / others).item() if others > 0 else None
        known = found["ratio"] is not None and found["ratio_uniform"]
        found["over_uniform"] = found["ratio"] / found["ratio_uniform"] if known else None
        ratios.append({"block": block, "layer": rows[0]["layer"], "position": position, "early": last, **found})
    return ratios
