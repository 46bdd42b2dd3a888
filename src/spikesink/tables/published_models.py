"""Write published_models.csv: what the published models of a study are, and from which files."""

import argparse
import sys
from pathlib import Path

from spikesink.runs.command import one_line_errors
from spikesink.tables.collecting.published_models import published_models
from spikesink.tables.outputs import write_table


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.published_models", description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="the study's folder")
    parser.add_argument("--models", nargs="+", required=True, help="names of its published models")
    parser.add_argument("--output", type=Path, required=True, help="CSV file to write")
    options = parser.parse_args()
    files = {name: options.results / "pretrained" / name / "pretrained.json" for name in options.models}
    write_table(published_models(files), options.output)


if __name__ == "__main__":
    sys.exit(main())
