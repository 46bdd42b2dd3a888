"""Write tables and pages: whole or not at all, and with their sums noted."""

from pathlib import Path

import polars as pl

from spikesink.runs.sums import noted


def write_table(table: pl.DataFrame, path: str | Path) -> None:
    """Write a table as CSV where ``path`` ends in .csv, else as parquet."""
    with noted(path) as part:
        if part.suffix == ".csv":
            table.write_csv(part)
        else:
            table.write_parquet(part)


def write_text(text: str, path: str | Path) -> None:
    """Write a page or a table as text."""
    with noted(path) as part:
        part.write_text(text, encoding="utf-8")
