"""The table of one ablation: means over seeds beside the paper's rows, as CSV, parquet, Markdown and LaTeX."""

import argparse
import sys
from pathlib import Path

import polars as pl

from spikesink.tables.average import over_seeds
from spikesink.tables.inputs import one_line_errors
from spikesink.tables.latex import latex
from spikesink.tables.layout import columns, notes
from spikesink.tables.markdown import markdown
from spikesink.tables.paper import COLUMNS, beside
from spikesink.tables.parts import read_runs

PAPER_SCHEMA = {name: pl.String() if name in ("paper_row", "paper_source") else pl.Float64() for name in COLUMNS}


def compare(runs: pl.DataFrame) -> pl.DataFrame:
    """One row per variant, baseline first: means and standard deviations over seeds, and the paper's row. Raises
    InputError where ``stands_for`` names no row of the papers."""
    variants = over_seeds(runs)
    names = list(variants.select("variant", "stands_for").iter_rows())
    return variants.drop("stands_for").hstack(pl.DataFrame(beside(names), schema=PAPER_SCHEMA))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.ablation", description=__doc__)
    parser.add_argument("--parts", type=Path, required=True, help="folder written by tables.collect")
    parser.add_argument("--ablation", required=True, help="name of the ablation")
    parser.add_argument("--output", required=True, help="path of the tables without .csv, .parquet, .md, .tex")
    options = parser.parse_args()

    def work() -> None:
        runs = read_runs(options.parts, options.ablation)
        variants = compare(runs)
        title = f"Ablation {options.ablation} of study {runs['study'][0]}"
        shown, remarks = columns(variants), notes(variants, runs)
        Path(options.output).parent.mkdir(parents=True, exist_ok=True)
        variants.write_csv(f"{options.output}.csv")
        variants.write_parquet(f"{options.output}.parquet")
        Path(f"{options.output}.md").write_text(markdown(title, shown, remarks))
        Path(f"{options.output}.tex").write_text(latex(title, options.ablation, shown, remarks))

    return one_line_errors(work)


if __name__ == "__main__":
    sys.exit(main())
