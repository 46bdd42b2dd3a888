"""The table of the mechanism as a page: a row per headline, a column per variant or published model."""

from typing import Any

import polars as pl

from spikesink.tables.render.html import html
from spikesink.tables.render.layout import Column
from spikesink.tables.render.numbers import ABSENT, bracketed, significant

NOTES = [
    "With several seeds: the median, and in brackets the lowest and highest of them; of lists those of every seed that "
    "differ. mechanism.csv has a row per seed.",
    "What every row means, with its unit and source, is explained in src/spikesink/tables/headlines/.",
]


def mechanism_page(models: pl.DataFrame) -> str:
    """HTML that loads nothing, from ``mechanism.mechanism``'s table."""
    variants = models.with_columns(pl.col("model").str.replace(r"/seed\d+$", "")).partition_by(
        "model", as_dict=True, maintain_order=True
    )
    names = [name for name in models.columns if name not in ("model", "measured")]
    shown = [Column("", "quantity", [name.replace("_", " ") for name in names])]
    for (variant,), rows in variants.items():
        shown.append(Column("", heading(variant, rows), [over_seeds(rows[name].to_list()) for name in names]))
    return html({"The mechanism in numbers": (shown, NOTES)}, "mechanism")


def heading(variant: str, rows: pl.DataFrame) -> str:
    """The variant, and how many of its seeds diverged."""
    diverged = len(rows) - rows["measured"].sum()
    return f"{variant.replace('_', ' ')}{f' ({diverged} of {len(rows)} diverged)' if diverged else ''}"


def over_seeds(values: list[Any]) -> str:
    """Numbers as median and range, lists one after another."""
    known = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in known):
        return "; ".join(dict.fromkeys(value or "none" for value in known))
    if not known:
        return ABSENT
    middle = pl.Series(known, dtype=pl.Float64).median()
    lowest, highest = (min(known), max(known)) if min(known) < max(known) else (None, None)
    return bracketed(middle, lowest, highest, significant(3))
