"""The simple columns of mechanism.csv: one number of one column of one measure's table."""

from collections.abc import Callable, Mapping

import polars as pl

from spikesink.quantities import Taken


def percent(values: pl.Series) -> float | None:
    mean = values.mean()
    return None if mean is None else 100 * mean


def quartile(share: float) -> Callable[[pl.Series], float | None]:
    return lambda values: values.drop_nulls().quantile(share, "linear")


REDUCTIONS: dict[str, Callable[[pl.Series], float | None]] = {
    "first": pl.Series.first,
    "max": pl.Series.max,
    "mean": pl.Series.mean,
    "median": pl.Series.median,
    "min": pl.Series.min,
    "percent": percent,
    "quartile 1": quartile(0.25),
    "quartile 2": quartile(0.5),
    "quartile 3": quartile(0.75),
}
"""What a quantity's ``taken.reduction`` may be. ``percent`` is the mean of truth values or shares, in percent."""


def take(tables: Mapping[str, pl.DataFrame], taken: Taken) -> float | None:
    """The number that ``taken`` describes; None from a table without rows, or one that is older than a column."""
    table = tables[taken.question]
    if table.is_empty() or not {taken.column, *taken.where} <= set(table.columns):
        return None
    chosen = [pl.col(name).eq_missing(pl.lit(value)) for name, value in taken.where.items()]
    return REDUCTIONS[taken.reduction](table.filter(chosen)[taken.column] if chosen else table[taken.column])
