"""Write the tables of all runs of a study.

runs.csv and runs.html have one row per run, and long.parquet one per run and quantity. variants.html and variants.md
have one row per variant, with intervals over seeds. statistics.csv has one per variant and quantity, with tests against
the baseline.
"""

import argparse
import sys
from pathlib import Path

from spikesink.runs.command import one_line_errors
from spikesink.tables.all_runs import all_runs, long_table
from spikesink.tables.contracts import without_unasked
from spikesink.tables.outputs import write_table, write_text
from spikesink.tables.parts import read_part
from spikesink.tables.render.runs_page import runs_page
from spikesink.tables.render.variants_page import write_variants
from spikesink.tables.statistics.statistics import TESTED, statistics


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.runs", description=__doc__)
    parser.add_argument("--parts", type=Path, nargs="+", required=True, help="folders written by tables.collect")
    parser.add_argument("--output", type=Path, required=True, help="folder for runs.csv and the others")
    options = parser.parse_args()
    runs = all_runs([read_part(folder, "runs") for folder in options.parts])
    asked = without_unasked(runs)
    write_table(asked, options.output / "runs.csv")
    write_text(runs_page(runs), options.output / "runs.html")
    write_table(long_table(runs), options.output / "long.parquet")
    write_table(
        statistics(asked, [name for name in TESTED if name in asked.columns]), options.output / "statistics.csv"
    )
    write_variants(runs, options.output / "variants")


if __name__ == "__main__":
    sys.exit(main())
