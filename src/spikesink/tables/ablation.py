"""Write the table of one ablation, its values beside the papers' rows, as CSV, parquet, Markdown, LaTeX and HTML."""

import argparse
import sys
from pathlib import Path

from spikesink.runs.command import one_line_errors
from spikesink.tables.outputs import write_table, write_text
from spikesink.tables.parts import read_runs
from spikesink.tables.render.beside import tables_beside
from spikesink.tables.render.changes import change_notes, changes
from spikesink.tables.render.html import html
from spikesink.tables.render.latex import latex
from spikesink.tables.render.layout import columns, notes
from spikesink.tables.render.markdown import markdown
from spikesink.tables.statistics.comparison import compare


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.ablation", description=__doc__)
    parser.add_argument("--parts", type=Path, required=True, help="folder written by tables.collect")
    parser.add_argument("--ablation", required=True, help="name of the ablation")
    parser.add_argument("--output", required=True, help="path of the tables without .csv, .parquet, .md, .tex, .html")
    options = parser.parse_args()
    runs = read_runs(options.parts, options.ablation)
    variants = compare(runs)
    title = f"Ablation {options.ablation} of study {runs['study'][0]}"
    tables = {title: (columns(variants), notes(variants, runs))}
    if (variants["pairs"] > 1).any():
        tables["Change against the baseline"] = (changes(variants), change_notes(variants))
    tables |= tables_beside(variants)
    write_table(variants, f"{options.output}.csv")
    write_table(variants, f"{options.output}.parquet")
    write_text(markdown(tables), f"{options.output}.md")
    write_text(latex(tables, options.ablation), f"{options.output}.tex")
    write_text(html(tables, options.ablation), f"{options.output}.html")


if __name__ == "__main__":
    sys.exit(main())
