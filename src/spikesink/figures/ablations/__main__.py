"""Draw one figure of an ablation from its collected tables."""

import argparse
import sys
from importlib import import_module
from pathlib import Path

from spikesink.figures.catalogue import ABLATION_FIGURES
from spikesink.figures.command import add_common
from spikesink.figures.drawing.files import save
from spikesink.figures.drawing.finite import draw_finite
from spikesink.figures.drawing.literal import literal_texts
from spikesink.figures.drawing.style import style_of_variants
from spikesink.runs.command import one_line_errors
from spikesink.tables.parts import read_runs, variant_names


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m spikesink.figures.ablations", description=__doc__)
    parser.add_argument("figure", choices=ABLATION_FIGURES)
    parser.add_argument("--parts", type=Path, required=True, help="folder written by tables.collect")
    parser.add_argument("--ablation", required=True, help="name of the ablation")
    add_common(parser)
    options = parser.parse_args()
    figure = import_module(f"spikesink.figures.ablations.{options.figure}")
    data = figure.data(options.parts, options.ablation)
    style = style_of_variants(variant_names(read_runs(options.parts, options.ablation)))
    picture = draw_finite(lambda shown: figure.draw(shown, style, options.width), literal_texts(data))
    save(picture, data, options.output)


if __name__ == "__main__":
    sys.exit(main())
