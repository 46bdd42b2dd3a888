"""Do attention sinks collect gradient? Gradient norms by position and the gradient sink ratio (2603.17771)."""

import torch
from torch import Tensor

from spikesink.measures.probes.backward import backward
from spikesink.measures.subject import Answers, Subject
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

    Sequences pass ``batch_size`` at a time. Sums are kept in float32, [T, width] per block and site.
    """
    summed: dict[tuple[str, int], Tensor] = {}
    normed: dict[tuple[str, int], Tensor] = {}
    for batch in rows.split(batch_size):
        share = len(batch) / len(rows)
        for site, taps in backward(model, batch, SITES, window=window, loss_chunk=loss_chunk).items():
            for block, tap in taps.items():
                total, norms = tap.gradient.sum(dim=0) * share, tap.gradient.norm(dim=-1).sum(dim=0) * share
                summed[site, block] = summed.get((site, block), 0) + total
                normed[site, block] = normed.get((site, block), 0) + norms
    blocks = sorted({block for site, block in summed if site == "query"})
    table = []
    for layer, block in enumerate(blocks):
        columns = {site: summed[site, block].norm(dim=-1).tolist() for site in SITES}
        columns |= {f"{site}_per_sequence": normed[site, block].tolist() for site in SITES}
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


def gradient_sink_ratio(table: list[dict], *, position: int = 0, early: int = 31) -> list[dict]:
    """R_GS(s; T_e) of every attention block, from the rows of ``gradients`` (2603.17771, Definition 1).

    block, layer: as there; position: s; early: T_e as used: a context of fewer than T_e + 1 positions lowers it to the
        last.
    ratio: ||grad h~_s|| / ((1 / T_e) sum over 0 <= t <= T_e, t != s of ||grad h~_t||), from the column input.
    ratio_per_sequence: the same from input_per_sequence. Both are None where the early positions have no gradient at
        all.

    A ratio above 1 is no sink yet. Where all queries send the same gradient back, uniform attention has value gradients
    proportional to H_T - H_s (H: harmonic numbers), and the ratio for s = 0 is 3.0 at T = 64 and 1.6 at T = 2048.
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
        for column, name in (("input", "ratio"), ("input_per_sequence", "ratio_per_sequence")):
            norms = torch.tensor([row[column] for row in sorted(rows, key=lambda row: row["position"])]).double()
            others = (norms[: last + 1].sum() - (norms[position] if position <= last else 0)) / max(last, 1)
            found[name] = (norms[position] / others).item() if others > 0 else None
        ratios.append({"block": block, "layer": rows[0]["layer"], "position": position, "early": last, **found})
    return ratios
