"""When do sink, gradient sink and spike appear, and in which order? (2603.17771 leaves the onset steps open.)

Answered from the snapshots that a run kept of its weights, in one pass over them, with the test of independence.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from spikesink.measures.independence import averaged, independence, sink_observations
from spikesink.measures.probes.observe import observe
from spikesink.measures.probes.sink_mass import attention_on, logit_gap
from spikesink.measures.questions.activations import activations
from spikesink.measures.questions.gradients import gradient_sink_ratio, gradients
from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Decoder
from spikesink.model.trained import load_snapshots
from spikesink.study.settings import Measures

GROUP = "dynamics"
QUESTIONS = ("snapshot_summary", "onsets", "independence")
READS = ("gradient_sequences", "batch_size", "loss_chunk")


def answers(subject: Subject, settings: Measures) -> Answers:
    """From one pass over the run's snapshots; the three tables are empty where it kept none."""
    rows = subject.rows(settings.gradient_sequences)
    options = subject.loss_options(settings)
    summaries, observations = [], []
    for step, model in load_snapshots(subject.snapshots, subject.model):
        summaries += snapshot_summary(model, rows, step=step, **options)
        # A BOS makes token 0 the same in all sequences, so sequences are no observations of their own.
        observations += averaged(sink_observations(model, rows, step=step, **options))
    yield "snapshot_summary", summaries
    yield "onsets", onsets(summaries)
    both = (row for within in (False, True) if observations for row in independence(observations, within_blocks=within))
    yield "independence", list(both)


THRESHOLDS = {"sink_mass": 0.3, "gradient_sink_ratio": 5.0, "token0_over_early": 2.0}
"""Sink: the papers' epsilon. The others are a choice: the papers fix none (2603.17771: R_GS > tau for a tau > 1)."""


def snapshot_summary(
    model: Decoder,
    rows: Tensor,
    *,
    step: int,
    window: tuple[int, int] | None = None,
    early: int = 31,
    batch_size: int = 32,
    loss_chunk: int | None = None,
) -> list[dict]:
    """One row per attention block and head of the model after ``step`` steps: what onsets and independence need.

    step: optimiser steps; block: 1-based; layer: attention blocks counted from 0; head: from 0.

    By head, means over the sequences of rows [n, T + 1]:
    sink_mass: mean attention on position 0 over all T queries (alpha_0 in the paper).
    logit_gap: how far the score of key 0 stands above the mean score of the other visible keys, after 1 / sqrt(H).

    By block, the same in the rows of all its heads:
    gradient_sink_ratio, gradient_sink_ratio_per_sequence: R_GS(0; ``early``), as ``gradient_sink_ratio`` computes it.
    value_gradient_token0, value_gradient_token0_per_sequence: ||dL/dv_0|| of the sequences' summed gradient, and the
        sum of the sequences' norms, as in ``gradients``.
    stream_token0, stream_early: mean L2 norm of token 0, and of tokens 1 to 15, in the residual stream after the layer.
    token0_over_early: the one over the other. top1: mean over sequences of the largest |h| in that stream.

    Costs one backward pass and two forward passes over the rows.
    """
    tokens = rows[:, :-1]
    table = gradients(model, rows, window=window, batch_size=batch_size, loss_chunk=loss_chunk)
    ratios = {row["block"]: row for row in gradient_sink_ratio(table, early=early)}
    first = {row["block"]: row for row in table if row["position"] == 0}
    states = {row["state"]: row for row in activations(model, tokens, batch_size=batch_size)}
    heads = sink_scores(model, tokens, batch_size)
    summary = []
    for layer, block in enumerate(sorted(ratios)):
        state = states[block + block % 2]  # after the layer: blocks 2l + 1 and 2l + 2 make one
        per_block = {
            "gradient_sink_ratio": ratios[block]["ratio"],
            "gradient_sink_ratio_per_sequence": ratios[block]["ratio_per_sequence"],
            "value_gradient_token0": first[block]["value"],
            "value_gradient_token0_per_sequence": first[block]["value_per_sequence"],
            "stream_token0": state["norm_token0"],
            "stream_early": state["norm_early"],
            "token0_over_early": state["norm_token0"] / state["norm_early"],
            "top1": state["top1"],
        }
        for head, (alpha, gap) in enumerate(heads[block]):
            place = {"step": step, "block": block, "layer": layer, "head": head}
            summary.append(place | {"sink_mass": alpha, "logit_gap": gap} | per_block)
    return summary


def sink_scores(model: Decoder, tokens: Tensor, batch_size: int) -> dict[int, list[tuple[float, float]]]:
    """sink_mass and logit gap of every head, by attention block, means over sequences [n, T]."""
    sums: dict[int, Tensor] = {}
    for batch in tokens.split(batch_size):
        for seen in observe(model, batch.to(model.device)):
            if seen.block == 0:
                context, stream = model.context(seen.stream_BTD.to(model.embedding.weight.dtype)), seen.stream_BTD
                continue
            block = model.blocks[seen.block - 1]
            if isinstance(block.body, CausalAttention):
                with torch.no_grad():
                    q, k = block.body.queries_keys(block.pre_norm(stream.to(context.embedding_BTD.dtype)), context)
                    alpha = attention_on(block.body, q, k, 0).mean(dim=-1)
                    found = torch.stack((alpha, logit_gap(block.body, q, k)), dim=-1)
                sums[seen.block] = sums.get(seen.block, 0) + found.double().sum(dim=0).cpu()
            stream = seen.stream_BTD
    return {block: [tuple(pair) for pair in (total / len(tokens)).tolist()] for block, total in sums.items()}


def onset(steps: list[int], values: list[float | None], threshold: float, patience: int | None = None) -> int | None:
    """First step from which the values stay above the threshold (strictly) for the rest of the run.

    With ``patience``, for that many snapshots, which must all be there. None: never. A missing value is not above.
    """
    pairs = sorted(zip(steps, values, strict=True))
    above = [value is not None and value > threshold for _, value in pairs]
    for index, (step, _) in enumerate(pairs):
        stretch = above[index:] if patience is None else above[index : index + patience]
        if all(stretch) and (patience is None or len(stretch) == patience):
            return step
    return None


def onsets(
    table: list[dict],
    *,
    thresholds: Mapping[str, float] | None = None,
    rise: float | None = None,
    patience: int | None = None,
) -> list[dict]:
    """One row per head and quantity: the step at which the quantity's onset comes, over the snapshots of a run.

    ``table`` holds the rows of ``snapshot_summary`` of all snapshots.

    block: 1-based; layer: attention blocks counted from 0; head: from 0; quantity: a key of ``thresholds``.
    threshold: what the quantity must exceed, by default from THRESHOLDS. With ``rise`` each head's own course sets it:
        this share of the way from the quantity's first value to its largest (0.5: half risen). A quantity that never
        rises above its first value then has no onset.
    onset: the first step from which the quantity stays above its threshold, for the rest of the run or, with
        ``patience``, for so many snapshots; None: never. It is known to the spacing of snapshots: equal onsets mean
        within one spacing.
    rank: 1 for the head's first onset; equal onsets share a rank; None without onset.
    order: the head's onsets as text, such as "sink_mass < gradient_sink_ratio = token0_over_early".
    """
    limits = dict(THRESHOLDS if thresholds is None else thresholds)
    heads: dict[tuple, list[dict]] = {}
    for row in sorted(table, key=lambda row: row["step"]):
        heads.setdefault((row["block"], row["layer"], row["head"]), []).append(row)
    found = []
    for (block, layer, head), rows in heads.items():
        steps = [row["step"] for row in rows]
        members = []
        for quantity, limit in limits.items():
            values = [row[quantity] for row in rows]
            if rise is not None:
                known = [value for value in values if value is not None]
                limit = known[0] + rise * (max(known) - known[0]) if known else None
            at = None if limit is None else onset(steps, values, limit, patience)
            members.append(
                {
                    "block": block,
                    "layer": layer,
                    "head": head,
                    "quantity": quantity,
                    "threshold": limit,
                    "onset": at,
                }
            )
        reached = sorted({row["onset"] for row in members if row["onset"] is not None})
        groups = [[row["quantity"] for row in members if row["onset"] == step] for step in reached]
        order = " < ".join(" = ".join(group) for group in groups)
        for row in members:
            rank = None if row["onset"] is None else reached.index(row["onset"]) + 1
            found.append(row | {"rank": rank, "order": order})
    return found
