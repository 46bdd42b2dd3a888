"""Means over seeds with what is known of them, for every point of a curve or every mark."""

from collections.abc import Sequence

import polars as pl

from spikesink.tables.statistics.intervals import mean_interval

ENOUGH = 3
"""From so many seeds a band is the 95 % interval of the mean; that of two seeds says too little to be drawn as one."""


def over_seeds(table: pl.DataFrame, by: Sequence[str], quantity: str, log: bool = False) -> pl.DataFrame:
    """One row per combination of ``by``, sorted: seeds, value, low, high of a column with one row per seed.

    The value is the mean, with ``log`` the geometric mean of positive values; low and high are its 95 % t interval, as
    in the tables, or the range of two seeds. With one seed they are null. Nulls of the quantity are left out.
    """
    kept = table.filter(pl.col(quantity).is_finite() & ((pl.col(quantity) > 0) | (not log)))
    groups = kept.group_by(*by, maintain_order=True).agg(pl.col(quantity)).sort(*by, maintain_order=True)
    found = [mean_interval(values, log=log) for values in groups[quantity].to_list()]
    ends = [
        (one.low, one.high) if one.count >= ENOUGH else (min(values), max(values)) if one.count == 2 else (None, None)
        for one, values in zip(found, groups[quantity].to_list(), strict=True)
    ]
    columns = {
        "seeds": pl.Series([one.count for one in found], dtype=pl.Int64),
        "value": pl.Series([one.value for one in found], dtype=pl.Float64),
        "low": pl.Series([low for low, _ in ends], dtype=pl.Float64),
        "high": pl.Series([high for _, high in ends], dtype=pl.Float64),
    }
    return groups.drop(quantity).with_columns(**columns)


def meaning(seeds: int) -> str:
    """What a band over so many seeds is, for legends."""
    return "95 % interval over seeds" if seeds >= ENOUGH else "range of two seeds"
