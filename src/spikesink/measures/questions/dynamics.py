"""When do sink, gradient sink and spike appear, and in which order? (2603.17771 leaves the onset steps open.)

Answered from the snapshots that a run kept of its weights, in one pass over them, with the test of independence.
"""

import torch
from torch import Tensor

from spikesink.measures.independence import averaged, independence, sink_observations
from spikesink.measures.onsets import onsets, orders
from spikesink.measures.probes.observe import block_inputs
from spikesink.measures.probes.sink_mass import attention_on, logit_gap, uniform_mass
from spikesink.measures.questions.activations import activations
from spikesink.measures.questions.gradients import gradient_sink_ratio, gradients
from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Decoder
from spikesink.model.trained import load_snapshots
from spikesink.study.settings import Measures

GROUP = "dynamics"
QUESTIONS = ("snapshot_summary", "onsets", "onset_orders", "independence")
READS = ("gradient_sequences", "batch_size", "loss_chunk")


def answers(subject: Subject, settings: Measures) -> Answers:
    """All tables, from one pass over the run's snapshots; they are empty where it kept none."""
    rows = subject.rows(settings.gradient_sequences)
    options = subject.loss_options(settings)
    summaries, observations = [], []
    for step, model in load_snapshots(subject.snapshots, subject.model):
        summaries += snapshot_summary(model, rows, step=step, **options)
        if step > subject.warmup_steps:
            # A BOS makes token 0 the same in all sequences, so sequences are no observations of their own.
            observations += averaged(sink_observations(model, rows, step=step, **options))
    yield "snapshot_summary", summaries
    found = onsets(summaries)
    yield "onsets", found
    yield "onset_orders", orders(found)
    yield "independence", independence(observations)


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
    sink_mass_uniform: what it is if all queries attend to all keys that they see alike, its null: the mean of
        1 / (t + 1) without a window and an extra key.
    logit_gap: how far the score of key 0 stands above the mean score of the other visible keys, after 1 / sqrt(H).

    By block, the same in the rows of all its heads:
    gradient_sink_ratio, gradient_sink_ratio_per_sequence, gradient_sink_over_uniform: R_GS(0; ``early``) and its ratio
        to that under uniform attention, as ``gradient_sink_ratio`` computes them.
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
        uniform = uniform_mass(model.blocks[block - 1].body, tokens.shape[1])
        per_block = {
            "gradient_sink_ratio": ratios[block]["ratio"],
            "gradient_sink_ratio_per_sequence": ratios[block]["ratio_per_sequence"],
            "gradient_sink_over_uniform": ratios[block]["over_uniform"],
            "value_gradient_token0": first[block]["value"],
            "value_gradient_token0_per_sequence": first[block]["value_per_sequence"],
            "stream_token0": state["norm_token0"],
            "stream_early": state["norm_early"],
            "token0_over_early": state["norm_token0"] / state["norm_early"],
            "top1": state["top1"],
        }
        for head, (alpha, gap) in enumerate(heads[block]):
            place = {"step": step, "block": block, "layer": layer, "head": head}
            of_head = {"sink_mass": alpha, "sink_mass_uniform": uniform, "logit_gap": gap}
            summary.append(place | of_head | per_block)
    return summary


@torch.no_grad()
def sink_scores(model: Decoder, tokens: Tensor, batch_size: int) -> dict[int, list[tuple[float, float]]]:
    """sink_mass and logit gap of every head, by attention block, means over sequences [n, T]."""
    sums: dict[int, Tensor] = {}
    for batch in tokens.split(batch_size):
        for number, block, h, context in block_inputs(model, batch.to(model.device)):
            if isinstance(block.body, CausalAttention):
                q, k = block.body.queries_keys(block.pre_norm(h), context)
                alpha = attention_on(block.body, q, k, 0).mean(dim=-1)
                found = torch.stack((alpha, logit_gap(block.body, q, k)), dim=-1)
                sums[number] = sums.get(number, 0) + found.double().sum(dim=0).cpu()
    return {block: [tuple(pair) for pair in (total / len(tokens)).tolist()] for block, total in sums.items()}
