"""The variants of an ablation beside each other, beside the baseline and beside the papers' rows."""

from collections.abc import Iterable

import polars as pl

from spikesink.tables.paper.rows import COLUMNS, beside
from spikesink.tables.statistics.average import means_over_seeds
from spikesink.tables.statistics.statistics import LOG_SCALE, TESTED, statistics

STATISTICS = ("low", "high", "change", "change_low", "change_high", "correlation", "effect_size", "p", "p_holm")
PAPER_SCHEMA = {name: pl.String() if name in ("paper_row", "paper_source") else pl.Float64() for name in COLUMNS}


def compare(runs: pl.DataFrame) -> pl.DataFrame:
    """One row per variant, baseline first: means and standard deviations over seeds, the statistics of
    ``spikesink.tables.statistics.statistics`` as ``<quantity>_<statistic>``, and the paper's row.

    ``<quantity>_geometric_mean`` is the centre of the intervals on the logarithmic scale; ``p_holm`` is corrected over
    the variants of this ablation; ``left_out`` names the seeds that some mean is without. Raises InputError
    where ``stands_for`` names no row of the papers.
    """
    variants = means_over_seeds(runs)
    names = list(variants.select("variant", "stands_for").iter_rows())
    paper = pl.DataFrame(beside(names), schema=PAPER_SCHEMA)
    return variants.drop("stands_for").hstack(wide(statistics(runs))).hstack(paper)


def wide(found: pl.DataFrame) -> pl.DataFrame:
    """The statistics with one row per variant, in the same order: the columns of all quantities stand side by side."""
    pairs = found.filter(pl.col("quantity") == TESTED[0])["pairs"]
    by_variant = found.group_by("variant", maintain_order=True).agg("left_out")["left_out"]
    columns = [pairs, pl.Series("left_out", [named_once(texts) for texts in by_variant], dtype=pl.String)]
    for quantity in TESTED:
        rows = found.filter(pl.col("quantity") == quantity)
        if quantity in LOG_SCALE:
            columns.append(rows["centre"].alias(f"{quantity}_geometric_mean"))
        columns += [rows[name].alias(f"{quantity}_{name}") for name in STATISTICS]
    return pl.DataFrame(columns)


def named_once(texts: Iterable[str]) -> str:
    """The seeds that any of the texts names, with the reason."""
    return ", ".join(dict.fromkeys(part for text in texts if text for part in text.split(", ")))
