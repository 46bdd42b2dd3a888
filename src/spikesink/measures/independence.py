"""Is the sink's strength independent of the activation's norm once the gradient of its value is known?

A reviewer of 2603.17771 asked for this test: the paper's chain, attention sink -> value gradient -> massive activation,
makes attention and norm dependent, and independent given the value gradient.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from spikesink.measures.probes.backward import backward
from spikesink.measures.probes.sink_mass import attention_on
from spikesink.model.decoder import Decoder

PAIRS = (
    ("sink", "activation", "value_gradient"),
    ("sink", "value_gradient", "activation"),
    ("value_gradient", "activation", "sink"),
)
"""What is tested, given what; the paper's chain predicts independence for the first alone."""


def sink_observations(
    model: Decoder,
    rows: Tensor,
    *,
    step: int = 0,
    window: tuple[int, int] | None = None,
    batch_size: int = 32,
    loss_chunk: int | None = None,
) -> list[dict]:
    """One row per attention block and sequence of rows [n, T + 1], of the model after ``step`` steps.

    step: as given; block: 1-based; layer: attention blocks counted from 0; sequence: from 0.
    sink: mean attention on position 0 over all heads and queries.
    activation: ||h_0||, the L2 norm of token 0 in the residual stream after the layer.
    value_gradient: ||dL/dv_0|| of the sequence's own mean loss, at the value projection's output, all heads together.

    Where every sequence starts with the same token, activation is the same for all sequences of a block. Then only
    blocks and steps tell it apart (see ``averaged``).
    """
    table = []
    sequence = 0
    for batch in rows.split(batch_size):
        taps = backward(model, batch, ("input", "value", "stream"), window=window, loss_chunk=loss_chunk)
        with torch.no_grad():
            context = model.context(model.embedding(batch[:, :-1].to(model.device)))
            for layer, (block, value) in enumerate(sorted(taps["value"].items())):
                body = model.blocks[block - 1].body
                x = taps["input"][block].value.to(context.embedding_BTD.dtype)
                columns = {
                    "sink": attention_on(body, *body.queries_keys(x, context), 0).mean(dim=(1, 2)),
                    "activation": taps["stream"][block + block % 2 + 1].value[:, 0].norm(dim=-1),
                    "value_gradient": value.gradient[:, 0].norm(dim=-1) * len(batch),
                }
                lists = {name: values.tolist() for name, values in columns.items()}
                for b in range(len(batch)):
                    place = {"step": step, "block": block, "layer": layer, "sequence": sequence + b}
                    table.append(place | {name: values[b] for name, values in lists.items()})
        sequence += len(batch)
    return table


def averaged(table: list[dict]) -> list[dict]:
    """Rows of ``sink_observations`` with each block's sequences of a step averaged: one row per step and block."""
    groups: dict[tuple, list[dict]] = {}
    for row in table:
        groups.setdefault((row["step"], row["block"], row["layer"]), []).append(row)
    return [
        {"step": step, "block": block, "layer": layer, "sequence": None}
        | {name: sum(row[name] for row in rows) / len(rows) for name in ("sink", "activation", "value_gradient")}
        for (step, block, layer), rows in groups.items()
    ]


def independence(
    table: list[dict], *, within_blocks: bool = False, ranks: bool = False, permutations: int = 2000, seed: int = 0
) -> list[dict]:
    """Correlations and partial correlations between sink, activation and value_gradient, one row for each of PAIRS.

    ``table`` holds rows of ``sink_observations`` or ``averaged``. All three quantities are positive and enter as
    logarithms (mass and value gradient are proportional in Proposition 1 of 2603.17771), or as ranks.

    x, y, given: the quantities; observations: how many rows enter; within_blocks: as given. With it every block's own
        mean is removed first and permutations stay within blocks: then only the course over steps and sequences counts,
        not what sets layers apart.
    correlation: of x and y; p_fisher, p_permutation: its p-values, as in ``conditional_independence``.
    partial_correlation: of what a linear fit on the given quantity leaves of both; partial_p_fisher,
        partial_p_permutation.
    Values are None where nothing varies.

    Assumptions. Dependence is linear between logarithms: a curved one can leave a partial correlation. Observations are
    independent, which these are not: layers share one residual stream, sequences share weights, and snapshots follow
    one another. So p-values are too small, and the size of the coefficients is the finding. A common cause that is not
    in the table, such as training time acting on all three, shows as dependence: compare ``within_blocks`` both ways.
    """
    usable = [row for row in table if all(row[name] > 0 for name in ("sink", "activation", "value_gradient"))]
    columns = {name: np.log([row[name] for row in usable]) for name in ("sink", "activation", "value_gradient")}
    groups = [row["block"] for row in usable] if within_blocks else None
    found = []
    for x, y, given in PAIRS:
        options = {"groups": groups, "ranks": ranks, "permutations": permutations, "seed": seed}
        plain = conditional_independence(columns[x], columns[y], None, **options)
        partial = conditional_independence(columns[x], columns[y], columns[given], **options)
        row = {"x": x, "y": y, "given": given, "observations": len(usable), "within_blocks": within_blocks}
        found.append(row | plain | {f"partial_{name}": value for name, value in partial.items()})
    return found


def conditional_independence(
    x: np.ndarray,
    y: np.ndarray,
    given: np.ndarray | None = None,
    *,
    groups: Sequence | None = None,
    ranks: bool = False,
    permutations: int = 2000,
    seed: int = 0,
) -> dict[str, float | None]:
    """Partial correlation of x and y [n] given z [n] or [n, k], with two p-values for the hypothesis that it is 0.

    p_fisher: Fisher's z, exact for Gaussian variables, with n - k - 3 degrees of freedom, one less for every group
    beyond the first. p_permutation: the share of ``permutations`` of x's residuals, within groups, that correlate at
    least as strongly, so never below 1 / (permutations + 1). ``ranks`` replaces values by ranks (Spearman). None where
    x or y does not vary beyond z, or too few observations remain.
    """
    z = np.empty((len(x), 0)) if given is None else np.asarray(given, dtype=float).reshape(len(x), -1)
    columns = np.column_stack((x, y, z)).astype(float)
    if ranks:
        columns = np.column_stack([average_ranks(column) for column in columns.T])
    labels = np.zeros(len(x), dtype=int) if groups is None else np.unique(list(groups), return_inverse=True)[1]
    members = [np.flatnonzero(labels == label) for label in range(labels.max(initial=-1) + 1)]
    size = np.abs(columns[:, :2]).max(axis=0, initial=1)
    for rows in members:
        columns[rows] -= columns[rows].mean(axis=0)
    residuals = columns[:, :2] - columns[:, 2:] @ np.linalg.lstsq(columns[:, 2:], columns[:, :2], rcond=None)[0]
    scale = np.linalg.norm(residuals, axis=0)
    degrees = len(x) - z.shape[1] - 3 - (len(members) - 1)
    rounding = 1e-6 * size * math.sqrt(len(x))  # measured in float32
    if degrees <= 0 or (scale <= rounding).any():
        return {"correlation": None, "p_fisher": None, "p_permutation": None}
    a, b = (residuals / scale).T
    r = float(np.clip(a @ b, -1, 1))
    deviates = math.inf if abs(r) == 1 else abs(math.atanh(r)) * math.sqrt(degrees)
    generator = np.random.default_rng(seed)
    shuffled = np.empty_like(a)
    extreme = 0
    for _ in range(permutations):
        for rows in members:
            shuffled[rows] = a[generator.permutation(rows)]
        extreme += int(abs(shuffled @ b) >= abs(r) - 1e-12)
    return {
        "correlation": r,
        "p_fisher": math.erfc(deviates / math.sqrt(2)),
        "p_permutation": (1 + extreme) / (1 + permutations),
    }


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0. Equal values all get the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts + 1) / 2)[inverse]
