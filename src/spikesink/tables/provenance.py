"""Write provenance.csv, which says of every run of a study where it comes from."""

import argparse
import sys
from pathlib import Path

from spikesink.runs.command import one_line_errors
from spikesink.tables.collecting.provenance import provenance
from spikesink.tables.outputs import write_table


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.provenance", description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="the study's folder")
    parser.add_argument("--variants", nargs="+", required=True, help="names of its variants")
    parser.add_argument("--seeds", nargs="+", type=int, required=True, help="seeds that each was trained with")
    parser.add_argument("--output", type=Path, required=True, help="CSV file to write")
    options = parser.parse_args()
    names = [(variant, seed) for variant in options.variants for seed in options.seeds]
    folders = [options.results / "runs" / variant / f"seed{seed}" for variant, seed in names]
    table = provenance(folders)
    write_table(table, options.output)


if __name__ == "__main__":
    sys.exit(main())
