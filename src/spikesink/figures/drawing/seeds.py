"""Variants and their seeds: names and outcomes for the first columns of a figure's data, and means with their bands."""

from collections.abc import Sequence

import polars as pl

from spikesink.study.labels import in_words
from spikesink.tables.statistics.average import means_over_seeds
from spikesink.tables.statistics.intervals import Bounds, mean_of

ENOUGH = 3
"""From this many seeds on, a band is the 95 % interval of the mean; that of two seeds would say too little."""


def named_variants(runs: pl.DataFrame, ablation: str) -> pl.DataFrame:
    """One row per variant in the study's order: ablation, variant, label, and the outcome of its seeds.

    The outcome is "finished", or says how many seeds did not finish and why.
    """
    return means_over_seeds(runs).select(
        pl.lit(ablation).alias("ablation"), "variant", "label", pl.col("status").alias("outcome")
    )


def ablation_of(data: pl.DataFrame) -> str:
    """The ablation of a figure's data, in words."""
    return in_words(data["ablation"][0])


def with_band(
    table: pl.DataFrame, by: Sequence[str], quantity: str, log: bool = False, bounds: Bounds | None = None
) -> pl.DataFrame:
    """One row per combination of ``by``, sorted: seeds, value, low and high of a column with one row per seed.

    The value is the mean, with ``log`` the geometric mean of positive values. Low and high are its 95 % t interval, as
    in the tables, which ends at ``bounds``, or the range of two seeds; with one seed they are null. Values that are not
    finite are left out.
    """
    kept = table.filter(pl.col(quantity).is_finite() & ((pl.col(quantity) > 0) | (not log)))
    groups = kept.group_by(*by, maintain_order=True).agg(pl.col(quantity)).sort(*by, maintain_order=True)
    found = []
    for values in groups[quantity].to_list():
        one = mean_of(values, log=log, bounds=bounds).estimate()
        low, high = (min(values), max(values)) if one.count == 2 else (one.low, one.high)
        found.append((one.count, one.value, low, high))
    columns = {"seeds": pl.Int64, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    return groups.drop(quantity).hstack(pl.DataFrame(found, schema=columns, orient="row"))


def meaning_of_band(seeds: int) -> str:
    """What a band over this many seeds shows, for legends."""
    return f"95 % interval over {seeds} seeds" if seeds >= ENOUGH else "range of two seeds"
