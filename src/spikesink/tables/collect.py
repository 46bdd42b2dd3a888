"""Collect the runs of one ablation, and the baseline's, into four tables from which its tables and figures are made."""

import argparse
import sys
from pathlib import Path

from spikesink.runs.command import one_line_errors
from spikesink.runs.json_file import json_object
from spikesink.tables.collecting.parts import collect
from spikesink.tables.outputs import write_table


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.collect", description=__doc__)
    parser.add_argument("--ablation", required=True, help="name of the ablation")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="run folders, the baseline's first")
    parser.add_argument(
        "--variants",
        default="{}",
        help='JSON object {variant: {"label": ..., "stands_for": ...}} of the variants that have either',
    )
    parser.add_argument("--capabilities", action="store_true", help="the runs were given tasks: read their answers")
    parser.add_argument("--output", type=Path, required=True, help="folder for runs, states, heads and curves")
    options = parser.parse_args()
    variants = json_object(options.variants, "--variants", "give one JSON object, or leave it out")
    tables = collect(options.runs, options.ablation, variants, options.capabilities)
    for name, table in tables.items():
        write_table(table, options.output / f"{name}.parquet")


if __name__ == "__main__":
    sys.exit(main())
