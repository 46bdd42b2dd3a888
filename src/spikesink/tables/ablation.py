"""The table of one ablation: values over seeds beside the paper's rows, as CSV, parquet, Markdown, LaTeX and HTML."""

import argparse
import sys
from pathlib import Path

import polars as pl

from spikesink.tables.inputs import one_line_errors
from spikesink.tables.paper.rows import COLUMNS, beside
from spikesink.tables.parts import read_runs
from spikesink.tables.render.changes import change_notes, changes
from spikesink.tables.render.html import html
from spikesink.tables.render.latex import latex
from spikesink.tables.render.layout import columns, notes
from spikesink.tables.render.markdown import markdown
from spikesink.tables.statistics.average import over_seeds
from spikesink.tables.statistics.statistics import LOG_SCALE, TESTED, statistics

STATISTICS = ("low", "high", "change", "change_low", "change_high", "effect_size", "p", "p_holm")
PAPER_SCHEMA = {name: pl.String() if name in ("paper_row", "paper_source") else pl.Float64() for name in COLUMNS}


def compare(runs: pl.DataFrame) -> pl.DataFrame:
    """One row per variant, baseline first: means and standard deviations over seeds, the statistics of
    ``spikesink.tables.statistics.statistics`` as ``<quantity>_<statistic>``, and the paper's row.

    ``<quantity>_geometric_mean`` is the centre of the intervals on the logarithmic scale; ``p_holm`` is corrected over
    the variants of this ablation. Raises InputError where ``stands_for`` names no row of the papers.
    """
    variants = over_seeds(runs)
    names = list(variants.select("variant", "stands_for").iter_rows())
    paper = pl.DataFrame(beside(names), schema=PAPER_SCHEMA)
    return variants.drop("stands_for").hstack(wide(statistics(runs))).hstack(paper)


def wide(found: pl.DataFrame) -> pl.DataFrame:
    """The statistics with one row per variant, in the same order, and the columns of every quantity side by side."""
    pairs = found.filter(pl.col("quantity") == TESTED[0]).select("pairs", "left_out")
    columns = []
    for quantity in TESTED:
        rows = found.filter(pl.col("quantity") == quantity)
        if quantity in LOG_SCALE:
            columns.append(rows["centre"].alias(f"{quantity}_geometric_mean"))
        columns += [rows[name].alias(f"{quantity}_{name}") for name in STATISTICS]
    return pairs.hstack(columns)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.ablation", description=__doc__)
    parser.add_argument("--parts", type=Path, required=True, help="folder written by tables.collect")
    parser.add_argument("--ablation", required=True, help="name of the ablation")
    parser.add_argument("--output", required=True, help="path of the tables without .csv, .parquet, .md, .tex, .html")
    options = parser.parse_args()

    def work() -> None:
        runs = read_runs(options.parts, options.ablation)
        variants = compare(runs)
        title = f"Ablation {options.ablation} of study {runs['study'][0]}"
        tables = {title: (columns(variants), notes(variants, runs))}
        if (variants["pairs"] > 1).any():
            tables["Change against the baseline"] = (changes(variants), change_notes(variants))
        Path(options.output).parent.mkdir(parents=True, exist_ok=True)
        variants.write_csv(f"{options.output}.csv")
        variants.write_parquet(f"{options.output}.parquet")
        Path(f"{options.output}.md").write_text(markdown(tables))
        Path(f"{options.output}.tex").write_text(latex(tables, options.ablation))
        Path(f"{options.output}.html").write_text(html(tables, options.ablation))

    return one_line_errors(work)


if __name__ == "__main__":
    sys.exit(main())
