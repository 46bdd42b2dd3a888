"""The whole study in one table: a row per variant with intervals over seeds, beside the papers' rows."""

from pathlib import Path

import polars as pl

from spikesink.tables.outputs import write_text
from spikesink.tables.render.beside import tables_beside
from spikesink.tables.render.equal_terms import equal_terms
from spikesink.tables.render.html import html
from spikesink.tables.render.layout import Column, columns, notes
from spikesink.tables.render.markdown import markdown
from spikesink.tables.statistics.comparison import compare


def write_variants(runs: pl.DataFrame, stem: Path) -> None:
    """Write STEM.html with all columns and what stands beside them, and STEM.md with what a narrow table keeps.

    Both end with the variants on equal terms: at their best learning rates, and at equal loss.
    """
    variants = compare(runs)
    shown = [ablations(variants), *columns(variants)]
    narrow = [column for column in shown if column.essential and column.heading != "row"]
    title, remarks = f"All variants of study {runs['study'][0]}", notes(variants, runs)
    whole = {title: (shown, remarks)}
    whole |= {name: ([ablations(variants), *beside], said) for name, (beside, said) in tables_beside(variants).items()}
    fair = equal_terms(runs)
    write_text(html(whole | fair, "variants"), stem.with_suffix(".html"))
    write_text(markdown({title: (narrow, remarks)} | fair), stem.with_suffix(".md"))


def ablations(variants: pl.DataFrame) -> Column:
    """A column that names every ablation beside its first variant."""
    names = variants.select(pl.when(pl.col("ablation") != pl.col("ablation").shift(fill_value="")).then("ablation"))
    return Column("", "ablation", names.to_series().fill_null("").to_list())
