"""How do branches reshape the gradient that passes them? Bloat, Compress and Change (2603.17771, Figs 3, 10, 11)."""

import math

import torch
from torch import Tensor

from spikesink.measures.probes.backward import backward
from spikesink.measures.subject import Answers, Subject
from spikesink.model.attention import CausalAttention
from spikesink.model.decoder import Block, Decoder
from spikesink.study.settings import Measures

GROUP = "gradients"
QUESTIONS = ("reshaping", "reshaping_slopes")
READS = ("gradient_sequences", "batch_size", "loss_chunk")


def answers(subject: Subject, settings: Measures) -> Answers:
    rows = subject.rows(settings.gradient_sequences)
    points = reshaping(subject.model, rows, **subject.loss_options(settings))
    yield "reshaping", points
    yield "reshaping_slopes", reshaping_slopes(points)


QUANTITIES = ("bloat", "compress", "change")
GROUPS = (("0", 0, 0), ("1", 1, 1), ("2-3", 2, 3), ("4-7", 4, 7), ("8-15", 8, 15))
"""Position groups of Fig 3: name, first and last position."""


def position_group(position: int) -> str:
    return next((name for name, first, last in GROUPS if first <= position <= last), "rest")


def reshaping(
    model: Decoder,
    rows: Tensor,
    *,
    window: tuple[int, int] | None = None,
    sequences: int = 16,
    positions: int = 64,
    batch_size: int = 32,
    loss_chunk: int | None = None,
) -> list[dict]:
    """One row per block, sequence and position: what a branch does to the gradient (2603.17771, Figs 3, 10, 11).

    g1 = dL/dh_out is the gradient at the branch's residual sum, before a norm on it, g2 = dL/dh~ the one behind the
    pre-norm, and g3 = J_norm^T g2 = dL/dh_in - g1 what comes back through the branch.

    block: 1-based; layer: from 0; branch: attention or feed_forward, the branch's place in the layer or, for a second
        attention, attention. sequence, position: 0-based; group: the position group of Fig 3.
    input_norm: ||h_in||, the L2 norm of the stream before the block.
    bloat: ||g2|| / ||g1||; a post-norm counts to the branch. compress: ||g3|| / ||g2||; 1 without a pre-norm. change:
        ||g1 + g3|| / ||g1||. A ratio is None where its denominator is 0: at positions without loss or successors.
    compress_bound: ||gamma||_inf / sqrt(mean(h_in^2) + eps), which compress cannot exceed (Theorem 2); None unless the
        pre-norm is an RMSNorm. DynamicTanh's factor depends on the channel, not on the norm of h_in.

    The paper does not say which gradients its points are made of. Here they are of single sequences, the first
    ``sequences`` of rows [n, T + 1], and of their first ``positions`` positions. The ratios do not depend on the loss's
    scale.
    """
    table = []
    batches = rows[:sequences].split(batch_size)
    for number, batch in enumerate(batches):
        taps = backward(model, batch, ("stream", "branch", "input", "sum"), window=window, loss_chunk=loss_chunk)
        for block, module in enumerate(model.blocks, start=1):
            h_in = taps["stream"][block].value[:, :positions]
            g1 = taps["sum"][block].gradient[:, :positions]
            g2 = taps["input"][block].gradient[:, :positions]
            # The gradient through the branch alone, not dL/dh_in - g1, which cancels where the norm shrinks it.
            g3 = taps["branch"][block].gradient[:, :positions]
            n1, n2, n3, net = (g.norm(dim=-1) for g in (g1, g2, g3, g1 + g3))
            columns = {
                "input_norm": h_in.norm(dim=-1),
                "bloat": n2 / n1,
                "compress": n3 / n2,
                "change": net / n1,
                "compress_bound": module.pre_norm.jacobian_bound(h_in),
            }
            lists = {name: values.tolist() for name, values in columns.items() if values is not None}
            names = branch_names(module, block)
            for b in range(len(batch)):
                for t in range(h_in.shape[1]):
                    row = {name: finite(lists[name][b][t]) if name in lists else None for name in columns}
                    place = {"sequence": number * batch_size + b, "position": t, "group": position_group(t)}
                    table.append(names | place | row)
    return table


def branch_names(block: Block, number: int) -> dict:
    return {
        "block": number,
        "layer": (number - 1) // 2,
        "branch": "attention" if isinstance(block.body, CausalAttention) else "feed_forward",
    }


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def reshaping_slopes(table: list[dict]) -> list[dict]:
    """Least-squares slopes of log10 bloat, compress and change against log10 input_norm, from rows of ``reshaping``.

    branch: attention or feed_forward. block: 1-based; None: all blocks together, the line through a panel of Fig 3.
        group: the position group; None: all positions. quantity: bloat, compress or change.
    slope, intercept (log10 at input norm 1), correlation; points: how many there are; spread: standard deviation of
        log10 input_norm, which tells how much a slope rests on.
    slope_within: the slope with an intercept of its own for every block. Each norm has its own gains, and these mix
        into the slope over all blocks.

    The paper claims a slope of compress near -1. Slopes, intercept and correlation are None with fewer than three
    points or no spread, as at position 0 of a single block where every sequence starts with the same token. The
    correlation is also None where the quantity is constant.
    """
    sets: dict[tuple, list[dict]] = {}
    for row in table:
        for block in (None, row["block"]):
            for group in (None, row["group"]):
                sets.setdefault((row["branch"], block, group), []).append(row)
    found = []
    for (branch, block, group), rows in sets.items():
        for quantity in QUANTITIES:
            usable = [row for row in rows if row["input_norm"] and row[quantity]]
            points = torch.tensor([(row["input_norm"], row[quantity]) for row in usable], dtype=torch.float64)
            points = points.reshape(-1, 2).log10()
            blocks = torch.tensor([row["block"] for row in usable])
            key = {"branch": branch, "block": block, "group": group, "quantity": quantity}
            found.append(key | line_fit(points) | {"slope_within": line_fit(centred(points, blocks))["slope"]})
    return found


def centred(points: Tensor, blocks: Tensor) -> Tensor:
    """Points [n, 2] without each block's mean."""
    points = points.clone()
    for block in blocks.unique():
        points[blocks == block] -= points[blocks == block].mean(dim=0)
    return points


def line_fit(points: Tensor) -> dict:
    """Least squares of the second column on the first, [n, 2]."""
    x, y = points.T
    fit = {"slope": None, "intercept": None, "correlation": None, "points": len(x), "spread": None}
    if not len(x):
        return fit
    mean_x, mean_y = x.mean(), y.mean()
    dx, dy = x - mean_x, y - mean_y
    deviation_x, deviation_y = dx.square().mean().sqrt(), dy.square().mean().sqrt()
    fit["spread"] = deviation_x.item()
    if len(x) >= 3 and deviation_x > 1e-6:  # below that the spread is rounding
        covariance = (dx * dy).mean()
        slope = covariance / deviation_x**2
        fit |= {"slope": slope.item(), "intercept": (mean_y - slope * mean_x).item()}
        if deviation_y > 1e-6:
            fit["correlation"] = (covariance / (deviation_x * deviation_y)).item()
    return fit
