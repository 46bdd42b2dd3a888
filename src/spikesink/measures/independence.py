"""Is the sink's strength independent of the activation's norm once the gradient of its value is known?

A reviewer of 2603.17771 asked for this test: the paper's chain, attention sink -> value gradient -> massive activation,
makes attention and norm dependent, and independent given the value gradient.
"""

import math

import numpy as np
import torch
from torch import Tensor

from spikesink.measures.probes.backward import backward
from spikesink.measures.probes.sink_mass import attention_on
from spikesink.model.decoder import Decoder

QUANTITIES = ("sink", "activation", "value_gradient")
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
        | {name: sum(row[name] for row in rows) / len(rows) for name in QUANTITIES}
        for (step, block, layer), rows in groups.items()
    ]


def independence(table: list[dict]) -> list[dict]:
    """Correlations and partial correlations between sink, activation and value_gradient, two rows for each of PAIRS.

    ``table`` holds rows of ``averaged``, of the steps after the warm-up: while the learning rate rises, it drives all
    three. All three are positive and enter as logarithms, as mass and value gradient are proportional in Proposition 1
    of 2603.17771. Each block's own mean is removed, so that the course over the steps counts, not what sets layers
    apart. Steps that not every block has are left out.

    x, y, given: the quantities; observations: how many points, blocks times snapshots.
    step_controlled: whether each block's linear trend over the logarithm of the step is removed as well. Without it,
        any two quantities that grow in training correlate.
    correlation: of x and y; partial_correlation: of what a linear fit on the given quantity leaves of both.
    effective, low, high, and the same with partial_ in front: ``interval`` describes them. Values are None where
        nothing varies, an interval where too few effective points remain.

    Dependence is linear between logarithms: a curved one can leave a partial correlation.
    """
    steps, logs = by_block_and_step(table)
    found = []
    for step_controlled in (False, True) if len(steps) else ():
        terms = [np.ones_like(steps), steps] if step_controlled else [np.ones_like(steps)]
        rest = {name: without_trend(values, np.stack(terms, axis=1)) for name, values in logs.items()}
        for x, y, given in PAIRS:
            row = {"x": x, "y": y, "given": given, "observations": rest[x].size, "step_controlled": step_controlled}
            plain = interval(rest[x], rest[y], None, len(terms))
            partial = interval(rest[x], rest[y], rest[given], len(terms))
            found.append(row | plain | {f"partial_{name}": value for name, value in partial.items()})
    return found


def by_block_and_step(table: list[dict]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Logarithms of the steps [S] at which every block has three positive values, and of these values, [B, S] each."""
    usable = {(row["block"], row["step"]): row for row in table if all(row[name] > 0 for name in QUANTITIES)}
    blocks = sorted({row["block"] for row in table})
    steps = [step for step in sorted({row["step"] for row in table}) if all((b, step) in usable for b in blocks)]
    logs = {
        name: np.log([[usable[block, step][name] for step in steps] for block in blocks]).reshape(
            len(blocks), len(steps)
        )
        for name in QUANTITIES
    }
    return np.log(np.asarray(steps, dtype=float)), logs


def without_trend(values_BS: np.ndarray, terms_SK: np.ndarray) -> np.ndarray:
    """The residuals of the values, fitted to the terms by least squares in every block; 0 where they are rounding."""
    rest = values_BS - (terms_SK @ np.linalg.lstsq(terms_SK, values_BS.T, rcond=None)[0]).T
    rounding = 1e-6 * np.abs(values_BS).max(initial=1)  # measured in float32
    return np.where(np.abs(rest).max(axis=1, initial=0, keepdims=True) <= rounding, 0.0, rest)


def interval(x_BS: np.ndarray, y_BS: np.ndarray, given_BS: np.ndarray | None, terms: int) -> dict[str, float | None]:
    """Correlation of x and y, given a third quantity or not, from residuals of ``terms`` terms a block, with interval.

    effective: how many independent points have as much to say. Snapshots follow one another and blocks share one
        residual stream, so points are not independent. The variance of a correlation of n points is about the sum over
        all pairs of points of R_x R_y / n^2, R the correlations of x and of y between the two points. R is taken as
        rho^|distance in snapshots| (rho: the correlation of neighbours, corrected for its bias in short series, Kendall
        1954) times the correlation of the two blocks.
    low, high: 95 % interval by Fisher's z with the effective number.
    """
    nothing = dict.fromkeys(("correlation", "effective", "low", "high"))
    residuals = [x_BS, y_BS]
    if given_BS is not None:
        if not given_BS.any():
            return nothing
        residuals = [one - given_BS * (one * given_BS).sum() / np.square(given_BS).sum() for one in residuals]
    sizes = [np.linalg.norm(one) for one in residuals]
    before = [np.linalg.norm(one) for one in (x_BS, y_BS)]
    if not all(size > 1e-6 * was for size, was in zip(sizes, before, strict=True)):
        return nothing
    blocks, steps = x_BS.shape
    r = float(np.clip((residuals[0] * residuals[1]).sum() / (sizes[0] * sizes[1]), -1, 1))
    memory = np.prod([neighbours(one, terms) for one in residuals])
    memory = float(np.clip(memory, 0, 0.99))
    alike = np.prod([alikeness(one) for one in residuals], axis=0).sum() / blocks
    points = (steps - terms) * blocks
    effective = min(points, points * (1 - memory) / (1 + memory) / max(1.0, alike))
    found = {"correlation": r, "effective": effective, "low": None, "high": None}
    degrees = effective - 3 - (given_BS is not None)
    if degrees > 0 and abs(r) < 1:
        reach = 1.96 / math.sqrt(degrees)
        found |= {"low": math.tanh(math.atanh(r) - reach), "high": math.tanh(math.atanh(r) + reach)}
    return found


def neighbours(residuals_BS: np.ndarray, terms: int) -> float:
    """Correlation of neighbouring snapshots, over all blocks, corrected for the terms that were removed."""
    steps = residuals_BS.shape[1]
    if steps < 3:
        return 0.0
    rho = (residuals_BS[:, 1:] * residuals_BS[:, :-1]).sum() / np.square(residuals_BS).sum()
    return float(np.clip(rho + (terms + (2 + terms) * max(rho, 0)) / steps, -0.99, 0.99))


def alikeness(residuals_BS: np.ndarray) -> np.ndarray:
    """Correlations between the courses of blocks, [B, B]; 1 with itself."""
    sizes = np.linalg.norm(residuals_BS, axis=1)
    sizes[sizes == 0] = 1.0
    units = residuals_BS / sizes[:, None]
    found = units @ units.T
    np.fill_diagonal(found, 1.0)
    return found
