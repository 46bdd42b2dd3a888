"""Write the provenance of a study as an HTML page."""

import argparse
import sys
from pathlib import Path

from spikesink.runs.command import one_line_errors
from spikesink.tables.contracts import PROVENANCE
from spikesink.tables.inputs import read_table
from spikesink.tables.outputs import write_text
from spikesink.tables.render.provenance_page import provenance_page

PUBLISHED_EARLIER = [name for name in PROVENANCE if name != "reason"]
"""The columns that every provenance.csv has."""


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.provenance_page", description=__doc__)
    parser.add_argument("--provenance", type=Path, required=True, help="provenance.csv of the study")
    parser.add_argument("--study", required=True, help="its name, for the title")
    parser.add_argument("--output", type=Path, required=True, help="HTML file to write")
    options = parser.parse_args()
    runs = read_table(options.provenance, PROVENANCE, "collect the provenance again", required=PUBLISHED_EARLIER)
    write_text(provenance_page(runs, options.study), options.output)


if __name__ == "__main__":
    sys.exit(main())
