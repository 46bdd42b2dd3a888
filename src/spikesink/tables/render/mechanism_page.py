"""The table of the mechanism as a page: a row per quantity, a column per variant or published model."""

from typing import Any

import polars as pl

from spikesink.quantities import QUANTITIES, names_of
from spikesink.study.labels import in_words
from spikesink.tables.render.html import html
from spikesink.tables.render.layout import Column
from spikesink.tables.render.numbers import ABSENT, bracketed, writer

NOTES = [
    "With several seeds: the median over seeds, and in brackets the lowest and the highest; a list, a position or a "
    "channel is shown once for every seed in which it differs. mechanism.csv has a row per seed.",
    "A unit of 1 means a number without a unit. Words such as measures.sink_epsilon are keys of the config.",
]


def mechanism_page(models: pl.DataFrame) -> str:
    """HTML that loads nothing, from the table of ``spikesink.tables.collecting.mechanism``."""
    variants = models.with_columns(pl.col("model").str.replace(r"/seed\d+$", "")).partition_by(
        "model", as_dict=True, maintain_order=True
    )
    shown = [QUANTITIES[name] for name in names_of("mechanism") if name in models.columns]
    columns = [Column("", "quantity", [quantity.label or quantity.heading for quantity in shown])]
    for (variant,), rows in variants.items():
        cells = [median_and_range(rows[quantity.name].to_list(), quantity.format) for quantity in shown]
        columns.append(Column("", heading(variant, rows), cells))
    columns += [
        Column("", "unit", [quantity.unit for quantity in shown]),
        Column("", "meaning", [quantity.meaning for quantity in shown]),
        Column("", "source", [quantity.source for quantity in shown]),
    ]
    return html({"The mechanism in numbers": (columns, NOTES)}, "mechanism")


def heading(variant: str, rows: pl.DataFrame) -> str:
    """The variant, and how many of its seeds diverged."""
    diverged = len(rows) - rows["measured"].sum()
    return f"{in_words(variant)}{f' ({diverged} of {len(rows)} diverged)' if diverged else ''}"


def median_and_range(values: list[Any], form: str) -> str:
    """A cell: numbers as their median and range; lists, and whole numbers that name a place, one after another."""
    known = [value for value in values if value is not None]
    if not known:
        return ABSENT
    if form in ("list", "d"):
        return "; ".join(dict.fromkeys(str(value) or "none" for value in known))
    middle = pl.Series(known, dtype=pl.Float64).median()
    lowest, highest = (min(known), max(known)) if min(known) < max(known) else (None, None)
    return bracketed(middle, lowest, highest, writer(form))
