"""Statistics over seeds: every variant's value and its change against the baseline, with intervals and tests.

Seeds fix initial weights and data order for all variants. A change is over pairs of runs of equal seed where these are
clearly correlated, else over independent runs; see ``spikesink.tables.statistics.change``. Quantities of the
logarithmic scale, such as perplexities and spikes, have geometric means, and ratios as changes.
"""

import math
from collections.abc import Iterable, Mapping

import polars as pl

from spikesink.quantities import QUANTITIES
from spikesink.runs.folder import FINISHED
from spikesink.study.names import BASELINE
from spikesink.tables.statistics.change import change_of
from spikesink.tables.statistics.intervals import NOTHING, Bounds, Statistic, mean_of, p_value
from spikesink.tables.statistics.multiplicity import holm

LOG_SCALE = frozenset(name for name, quantity in QUANTITIES.items() if quantity.scale == "log")
TESTED = tuple(name for name, quantity in QUANTITIES.items() if quantity.tested)

SCHEMA = {
    "ablation": pl.String(),
    "variant": pl.String(),
    "quantity": pl.String(),
    "seeds": pl.Int64(),
    "mean": pl.Float64(),
    "sd": pl.Float64(),
    "scale": pl.String(),
    "centre": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "pairs": pl.Int64(),
    "change": pl.Float64(),
    "change_low": pl.Float64(),
    "change_high": pl.Float64(),
    "method": pl.String(),
    "correlation": pl.Float64(),
    "effect_size": pl.Float64(),
    "p": pl.Float64(),
    "p_holm": pl.Float64(),
    "left_out": pl.String(),
}


def statistics(runs: pl.DataFrame, quantities: Iterable[str] = TESTED) -> pl.DataFrame:
    """One row per variant of ``runs`` and quantity.

    mean, sd          arithmetic mean and standard deviation (n - 1) over the ``seeds`` that finished
    scale             "log" or "linear", that of the columns that follow
    centre, low, high mean (of log: geometric) with its 95 % interval
    change*           against the baseline: a difference, of log a ratio; ``pairs`` counts the seeds of both
    method            of the change's interval: "paired" or "Welch"; correlation is that of the pairs
    effect_size       the change over its standard deviation (of log: of logarithms): of the pairs' differences, with
                      "Welch" the root of the mean of the two variances
    p, p_holm         of the t test, two-sided; corrected by Holm over the other variants in ``runs``, per quantity
    left_out          the seeds that did not finish, are missing or have no value to average, by name and reason

    Intervals, sd and tests are null with one seed, and where seeds do not vary, unless the quantity has bounds.
    """
    rows = [row for quantity in quantities for row in of_quantity(runs, quantity)]
    order = {variant: place for place, variant in enumerate(runs["variant"].unique(maintain_order=True))}
    return pl.DataFrame(sorted(rows, key=lambda row: order[row["variant"]]), schema=SCHEMA)


def of_quantity(runs: pl.DataFrame, quantity: str) -> list[dict]:
    """The rows of ``statistics`` for one quantity, a row per variant."""
    values = by_seed(runs, quantity)
    base, log, bounds = values.get(BASELINE, {}), quantity in LOG_SCALE, bounds_of(quantity)
    seeds = sorted(set(runs["seed"]))
    rows = []
    for ablation, variant in runs.select("ablation", "variant").unique(maintain_order=True).iter_rows():
        ours = values.get(variant, {})
        level = mean_of(list(ours.values()), log=log, bounds=bounds).estimate()
        found = change_of(ours, base, log=log, bounds=bounds) if variant != BASELINE and ours and base else None
        change = found.estimate() if found else NOTHING
        rows.append(
            {
                "ablation": ablation,
                "variant": variant,
                "quantity": quantity,
                "seeds": len(ours),
                "mean": pl.Series(list(ours.values()), dtype=pl.Float64).mean(),
                "sd": pl.Series(list(ours.values()), dtype=pl.Float64).std(ddof=1),
                "scale": "log" if log else "linear",
                **{"centre": level.value, "low": level.low, "high": level.high},
                "pairs": sum(seed in base for seed in ours) if found else 0,
                **{"change": change.value, "change_low": change.low, "change_high": change.high},
                "method": found.method or None if found else None,
                "correlation": found.correlation if found else None,
                "effect_size": effect_size(found) if found else None,
                "p": p_value(found, 1.0 if log else 0.0) if found else None,
                "left_out": left_out(runs, variant, seeds, quantity) if len(ours) < len(seeds) else "",
            }
        )
    for row, corrected in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = corrected
    return rows


def effect_size(found: Statistic) -> float | None:
    """A change over its standard deviation: Cohen's d_z of pairs, else with the root of the mean variance; None where
    seeds do not vary."""
    if found.at is None or not found.spread:
        return None
    shift = math.log(found.value) if found.log else found.value
    return shift / found.spread * (1 if found.method == "paired" else math.sqrt(2))


def by_seed(runs: pl.DataFrame, quantity: str) -> dict[str, dict[int, float]]:
    """Values of the finished runs by variant and seed; a run without a usable one is left out."""
    found = (pl.col("status") == FINISHED) & usable(quantity)
    values: dict[str, dict[int, float]] = {}
    for variant, seed, value in runs.filter(found).sort("seed").select("variant", "seed", quantity).iter_rows():
        values.setdefault(variant, {})[seed] = value
    return values


def usable(quantity: str) -> pl.Expr:
    """Whether a value can be averaged: it is finite, and positive on the logarithmic scale."""
    positive = pl.col(quantity) > 0 if quantity in LOG_SCALE else pl.lit(True)
    return pl.col(quantity).is_finite() & positive


def bounds_of(quantity: str) -> Bounds | None:
    """The lowest and the highest possible value of a quantity; of percentages 0 and 100."""
    if quantity not in QUANTITIES:
        return None
    found = QUANTITIES[quantity]
    return found.bounds or ((0.0, 100.0) if found.unit.startswith("%") else None)


def left_out(runs: pl.DataFrame, variant: str, seeds: Iterable[int], quantity: str) -> str:
    """Which seeds of a variant are not in the mean of a quantity, and why: "seed 1: diverged, seed 4: missing"."""
    own = runs.filter(pl.col("variant") == variant)
    reasons = unfinished(dict(own.select("seed", "status").iter_rows()), seeds)
    strange = own.filter((pl.col("status") == FINISHED) & ~usable(quantity)).select("seed", quantity)
    for seed, value in strange.iter_rows():
        reasons[seed] = f"{quantity} is {'infinite' if math.isinf(value) else f'{value:g}'}"
    return ", ".join(f"seed {seed}: {reason}" for seed, reason in sorted(reasons.items()))


def unfinished(status: Mapping[int, str], seeds: Iterable[int]) -> dict[int, str]:
    """What became of the seeds that did not finish; one without a status is missing."""
    reasons = {seed: status.get(seed, "missing") for seed in seeds}
    return {seed: reason for seed, reason in reasons.items() if reason != FINISHED}
