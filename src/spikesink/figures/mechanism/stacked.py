"""Tables of several models below each other: what a figure of the mechanism draws, as one table."""

from collections.abc import Mapping

import polars as pl


def stacked(models: Mapping[str, Mapping[str, pl.DataFrame]], question: str) -> pl.DataFrame:
    """The answers to a question with the model in the first column; without any answer an empty table."""
    tables = [
        tables[question].select(pl.lit(model).alias("model"), pl.all())
        for model, tables in models.items()
        if len(tables[question])
    ]
    return pl.concat(tables, how="diagonal_relaxed") if tables else pl.DataFrame(schema={"model": pl.String()})


def chosen(table: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Columns of a table, nulls where it has none of the name."""
    return table.select(pl.col(name) if name in table.columns else pl.lit(None).alias(name) for name in columns)
