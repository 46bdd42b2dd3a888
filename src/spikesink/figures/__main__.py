"""Draw the overview of a study, every variant's sink ratio and spike, from the table of its runs."""

import argparse
import sys
from pathlib import Path

from spikesink.figures import overview
from spikesink.figures.command import add_common
from spikesink.figures.drawing.files import save
from spikesink.figures.drawing.finite import draw_finite
from spikesink.figures.drawing.literal import literal_texts
from spikesink.figures.drawing.style import style_of_study
from spikesink.runs.command import one_line_errors
from spikesink.tables.contracts import IDENTITY
from spikesink.tables.inputs import read_table


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m spikesink.figures", description=__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="runs.csv of a study")
    add_common(parser)
    options = parser.parse_args()
    required = [name for name in overview.NEEDED if name in IDENTITY]
    data = overview.data(read_table(options.runs, overview.NEEDED, "tabulate the runs again", required=required))
    style = style_of_study(dict(data.select("variant", "ablation").iter_rows()))
    picture = draw_finite(lambda shown: overview.draw(shown, style, options.width), literal_texts(data))
    save(picture, data, options.output)


if __name__ == "__main__":
    sys.exit(main())
