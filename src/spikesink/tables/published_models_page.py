"""Write what the published models of a study are as an HTML page."""

import argparse
import sys
from pathlib import Path

from spikesink.runs.command import one_line_errors
from spikesink.tables.contracts import PUBLISHED_MODELS
from spikesink.tables.inputs import read_table
from spikesink.tables.outputs import write_text
from spikesink.tables.render.published_models_page import published_models_page


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m spikesink.tables.published_models_page", description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="published_models.csv of the study")
    parser.add_argument("--output", type=Path, required=True, help="HTML file to write")
    options = parser.parse_args()
    models = read_table(options.models, PUBLISHED_MODELS, "collect the published models again", required=["model"])
    write_text(published_models_page(models), options.output)


if __name__ == "__main__":
    sys.exit(main())
