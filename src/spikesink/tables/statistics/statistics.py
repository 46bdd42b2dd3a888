"""Statistics over seeds: every variant's value and its change against the baseline, with intervals and tests.

Seeds fix initial weights and data order for all variants, so a change is the mean of differences between runs of equal
seed. Quantities of the logarithmic scale, such as spikes, have geometric means, and ratios as changes.
"""

from collections.abc import Iterable, Mapping

import polars as pl

from spikesink.quantities import QUANTITIES
from spikesink.runs.folder import FINISHED
from spikesink.study.names import BASELINE
from spikesink.tables.statistics.intervals import (
    NOTHING,
    Estimate,
    change_interval,
    effect_size,
    holm,
    mean_interval,
    p_value,
)

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
    "effect_size": pl.Float64(),
    "p": pl.Float64(),
    "p_holm": pl.Float64(),
    "left_out": pl.String(),
}


def statistics(runs: pl.DataFrame, quantities: Iterable[str] = TESTED) -> pl.DataFrame:
    """One row per variant of ``runs`` and quantity.

    mean, sd          arithmetic mean and standard deviation (n - 1) over the ``seeds`` that finished
    scale             "log" or "linear", that of the columns that follow
    centre, low, high mean (of log: geometric) with its 95 % t interval
    change*           against the baseline over ``pairs`` of finished runs of equal seed: a difference, of log a ratio
    effect_size       Cohen's d_z: mean over sd of the paired differences (of log: of logarithms)
    p, p_holm         paired t test, two-sided; corrected by Holm over the other variants in ``runs``, per quantity
    left_out          the seeds that did not finish or are missing, by name and reason

    Intervals, sd and tests are null with one seed, tests also where the differences do not vary.
    """
    rows = [row for quantity in quantities for row in of_quantity(runs, quantity)]
    order = {variant: place for place, variant in enumerate(runs["variant"].unique(maintain_order=True))}
    return pl.DataFrame(sorted(rows, key=lambda row: order[row["variant"]]), schema=SCHEMA)


def of_quantity(runs: pl.DataFrame, quantity: str) -> list[dict]:
    """The rows of ``statistics`` for one quantity, a row per variant."""
    values = by_seed(runs, quantity)
    base, log = values.get(BASELINE, {}), quantity in LOG_SCALE
    seeds = sorted(set(runs["seed"]))
    rows = []
    for ablation, variant in runs.select("ablation", "variant").unique(maintain_order=True).iter_rows():
        ours = values.get(variant, {})
        paired = [seed for seed in ours if seed in base] if variant != BASELINE else []
        sides = [ours[seed] for seed in paired], [base[seed] for seed in paired]
        plain = mean_interval(list(ours.values()))
        level = within_bounds(quantity, mean_interval(list(ours.values()), log=log))
        change = change_interval(*sides, log=log) if paired else NOTHING
        rows.append(
            {
                "ablation": ablation,
                "variant": variant,
                "quantity": quantity,
                "seeds": len(ours),
                "mean": plain.value,
                "sd": pl.Series(list(ours.values()), dtype=pl.Float64).std(ddof=1),
                "scale": "log" if log else "linear",
                **{"centre": level.value, "low": level.low, "high": level.high},
                "pairs": change.count,
                **{"change": change.value, "change_low": change.low, "change_high": change.high},
                "effect_size": effect_size(*sides, log=log),
                "p": p_value(*sides, log=log),
                "left_out": left_out(runs, variant, seeds),
            }
        )
    for row, corrected in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = corrected
    return rows


def by_seed(runs: pl.DataFrame, quantity: str) -> dict[str, dict[int, float]]:
    """Values of the finished runs by variant and seed; a run without the quantity is left out."""
    usable = (pl.col("status") == FINISHED) & pl.col(quantity).is_finite()
    if quantity in LOG_SCALE:
        usable &= pl.col(quantity) > 0
    values: dict[str, dict[int, float]] = {}
    for variant, seed, value in runs.filter(usable).sort("seed").select("variant", "seed", quantity).iter_rows():
        values.setdefault(variant, {})[seed] = value
    return values


def within_bounds(quantity: str, found: Estimate) -> Estimate:
    """The mean's interval, cut at the quantity's bounds; this costs no coverage."""
    bounds = QUANTITIES[quantity].bounds if quantity in QUANTITIES else None
    if found.low is None or bounds is None:
        return found
    lowest, highest = bounds
    return found._replace(low=max(lowest, found.low), high=min(highest, found.high))


def left_out(runs: pl.DataFrame, variant: str, seeds: Iterable[int]) -> str:
    """Which seeds of a variant are in no mean, and why: "seed 1: diverged, seed 4: missing"."""
    status = dict(runs.filter(pl.col("variant") == variant).select("seed", "status").iter_rows())
    return ", ".join(f"seed {seed}: {reason}" for seed, reason in unfinished(status, seeds).items())


def unfinished(status: Mapping[int, str], seeds: Iterable[int]) -> dict[int, str]:
    """What became of the seeds that did not finish; one without a status is missing."""
    reasons = {seed: status.get(seed, "missing") for seed in seeds}
    return {seed: reason for seed, reason in reasons.items() if reason != FINISHED}
