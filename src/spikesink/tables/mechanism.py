"""Write mechanism.csv, the mechanism of several models in numbers with a row per model, and mechanism.html."""

import argparse
import sys
from pathlib import Path

from spikesink.runs.command import one_line_errors
from spikesink.tables.collecting.mechanism import mechanism_table
from spikesink.tables.contracts import without_unasked
from spikesink.tables.inputs import labelled
from spikesink.tables.outputs import write_table, write_text
from spikesink.tables.render.mechanism_page import mechanism_page


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.mechanism", description=__doc__)
    parser.add_argument("--models", nargs="+", required=True, metavar="LABEL=FOLDER", help="folders with measures/")
    parser.add_argument("--capabilities", action="store_true", help="they were given tasks: read what they answered")
    parser.add_argument("--output", type=Path, required=True, help="CSV file to write; the page is written beside it")
    options = parser.parse_args()
    models = without_unasked(mechanism_table(labelled(options.models), options.capabilities))
    write_table(models, options.output)
    write_text(mechanism_page(models), options.output.with_suffix(".html"))


if __name__ == "__main__":
    sys.exit(main())
