"""What the published models of a study are, as a page: a row per fact, a column per model."""

import polars as pl

from spikesink.tables.render.html import html
from spikesink.tables.render.layout import Column
from spikesink.tables.render.numbers import written

FACTS = {
    "architecture": "architecture",
    "parameters": "parameters",
    "vocabulary": "vocabulary",
    "positions": "context it was made for",
    "context": "context it is measured at",
    "bos": "BOS",
    "bos_token": "BOS token, if set by the study",
    "stored_as": "weights stored as",
    "dequantised": "dequantised to float32",
    "source": "source",
    "packages": "packages",
    "revision": "commit",
    "sha256": "SHA-256 of the file",
    "converted_by": "converted by",
}
"""Headings of the columns that are shown."""
NOTES = [
    "Every model is measured in float32. Weights that were dequantised differ from those that training gave: what is "
    "measured is the model in the quantised file. published_models.csv has the digest of every file.",
]


def published_models_page(models: pl.DataFrame) -> str:
    """HTML that loads nothing, from the table of ``spikesink.tables.collecting.published_models``."""
    columns = [Column("", "quantity", list(FACTS.values()))]
    columns += [Column("", row["model"], [cell(row[name]) for name in FACTS]) for row in models.to_dicts()]
    return html({"Published models": (columns, NOTES)}, "published")


def cell(value: object) -> str:
    """A fact in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return written(value, str)
