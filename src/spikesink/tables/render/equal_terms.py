"""Variants on equal terms: each at its own best learning rate, and where it predicts as well as the baseline.

A recipe that was found for the baseline may suit a variant badly. What a variant lacks may only come later.
"""

import math

import polars as pl

from spikesink.runs.folder import FINISHED
from spikesink.study.names import BASELINE
from spikesink.tables.render.layout import Column
from spikesink.tables.render.numbers import ABSENT, bracketed, decimals, significant, written
from spikesink.tables.statistics.intervals import Bounds, mean_of
from spikesink.tables.statistics.statistics import bounds_of

BEST, EQUAL = "Every variant at its best learning rate", "Variants and baseline at equal loss"


def equal_terms(runs: pl.DataFrame) -> dict[str, tuple[list[Column], list[str]]]:
    """The two tables by title, with their notes; without those for which a study has no runs."""
    found = {BEST: best_learning_rates(runs), EQUAL: equal_loss(runs.filter(pl.col("status") == FINISHED))}
    return {title: (columns, NOTES[title]) for title, columns in found.items() if columns}


def best_learning_rates(runs: pl.DataFrame) -> list[Column]:
    """A row per variant that was trained at several learning rates, which differ in nothing else; none without any.

    A rate at which a run diverged is tried, and is never the best.
    """
    rows = []
    for (_,), family in runs.drop_nulls("without_lr").group_by("without_lr", maintain_order=True):
        rates = {rate: part for (rate,), part in family.sort("lr").group_by("lr", maintain_order=True)}
        if len(rates) < 2:
            continue
        means = {
            rate: part["perplexity"].log().mean() for rate, part in rates.items() if not unfinished(part["status"])
        }
        known = {rate: mean for rate, mean in means.items() if mean is not None}
        rate = min(known, key=known.get, default=None)
        best = rates.get(rate, family.clear())
        listed = family.filter(pl.col("variant") == family["variant"][0], pl.col("status") == FINISHED)
        edge = " (at the edge)" if rate in (min(rates), max(rates)) else ""
        rows.append(
            {
                "variant": family["label"][0] if family["variant"][0] != BASELINE else BASELINE,
                "tried": ", ".join(f"{rate:.3g}{unfinished(part['status'])}" for rate, part in rates.items()),
                "best": ABSENT if rate is None else f"{rate:.3g}{edge}",
                "as listed": over_seeds(listed["perplexity"], decimals(2), log=True),
                "perplexity": over_seeds(best["perplexity"], decimals(2), log=True),
                "sink ratio (%)": over_seeds(best["sink_ratio"], decimals(1), bounds=bounds_of("sink_ratio")),
                "mean head": over_seeds(best["sink_mass_mean"], decimals(2), bounds=bounds_of("sink_mass_mean")),
                "× median": over_seeds(best["spike_over_median"], significant(3), log=True),
                "× elsewhere": over_seeds(best["spike_over_elsewhere"], significant(3), log=True),
            }
        )
    return as_columns(rows)


def equal_loss(runs: pl.DataFrame) -> list[Column]:
    """A row per variant that has a loss in common with the baseline; none where the course was not measured."""
    rows = []
    compared = runs.drop_nulls("equal_loss")
    for (_,), part in compared.group_by("variant", maintain_order=True):
        sinks = part["equal_loss_sink_ratio"] - part["equal_loss_sink_ratio_baseline"]
        masses = part["equal_loss_sink_mass_mean"] - part["equal_loss_sink_mass_mean_baseline"]
        spikes = part["equal_loss_spike_over_median"] / part["equal_loss_spike_over_median_baseline"]
        rows.append(
            {
                "variant": part["label"][0],
                "seeds": f"{len(part)}",
                "loss": written(part["equal_loss"].mean(), decimals(3)),
                "step": written(part["equal_loss_step"].mean(), decimals(0)),
                "baseline's step": written(part["equal_loss_step_baseline"].mean(), decimals(0)),
                "sink ratio (points)": over_seeds(sinks, decimals(1)),
                "mean head (change)": over_seeds(masses, decimals(2)),
                "× median (ratio)": over_seeds(spikes, significant(3), log=True),
            }
        )
    others = runs.filter(pl.col("variant") != BASELINE).unique("variant", maintain_order=True)
    missing = others.filter(~pl.col("variant").is_in(compared["variant"].to_list()))["label"]
    rows += [dict.fromkeys(rows[0], ABSENT) | {"variant": label} for label in missing if rows]
    return as_columns(rows)


def unfinished(status: pl.Series) -> str:
    """How many runs did not finish and why, in brackets; nothing where all did."""
    lost = status.filter(status != FINISHED)
    return f" ({len(lost)} of {len(status)} {lost[0]})" if len(lost) else ""


def over_seeds(values: pl.Series, write, log: bool = False, bounds: Bounds | None = None) -> str:
    """The mean over seeds with its 95 % interval, which ends at the bounds; with ``log`` the geometric mean."""
    known = [value for value in values.drop_nulls() if math.isfinite(value) and (value > 0 or not log)]
    found = mean_of(known, log=log, bounds=bounds).estimate()
    return bracketed(found.value, found.low, found.high, write)


def as_columns(rows: list[dict[str, str]]) -> list[Column]:
    return [Column("", heading, [row[heading] for row in rows]) for heading in rows[0]] if rows else []


NOTES = {
    BEST: [
        "Best: of the learning rates at which every run finished, the one with the lowest geometric mean of the "
        "perplexity over seeds, which is shown; at the edge, one beyond may be better. "
        "As listed: the perplexity at the variant's own learning rate, which the table above shows.",
        "Sinks and spikes are those at the best learning rate.",
    ],
    EQUAL: [
        "Loss: the higher one of both final losses, of runs of equal seed. The run that ends with it is taken at its "
        "last step, the other where it passes that loss, between two of its snapshots; its learning rate is higher "
        "there than at the end of its schedule.",
        "Changes against the baseline at that loss, with 95 % intervals over seeds; of the relative spike the ratio.",
        f"{ABSENT}: the losses do not compare, because context, BOS or counted positions differ, or the one passed "
        "the other's final loss before an eighth of its steps.",
    ],
}
