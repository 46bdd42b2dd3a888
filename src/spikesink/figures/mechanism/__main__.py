"""Draw one figure of the mechanism of one or several models from their measures."""

import argparse
import sys

from spikesink.figures.catalogue import MECHANISM_FIGURES
from spikesink.figures.command import add_common
from spikesink.figures.compared import data_of, draw
from spikesink.figures.drawing.files import save
from spikesink.figures.drawing.style import style_of_models, style_of_variants
from spikesink.runs.command import one_line_errors
from spikesink.tables.inputs import labelled


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m spikesink.figures.mechanism", description=__doc__)
    parser.add_argument("figure", choices=MECHANISM_FIGURES)
    parser.add_argument("--models", nargs="+", required=True, metavar="LABEL=FOLDER", help="folders with measures/")
    parser.add_argument(
        "--places",
        nargs="+",
        metavar="PLACE",
        type=place,
        help="for every model the place of its variant in its ablation, 0 for the baseline, or 'published'; it decides "
        "the model's colour, which is then the same as in other figures (default: the models' order)",
    )
    add_common(parser)
    options = parser.parse_args()
    models = labelled(options.models)
    style = style_of_variants(models)
    if options.places:
        if len(options.places) != len(models):
            parser.error(f"--places names {len(options.places)} models, --models {len(models)}: name as many")
        style = style_of_models(dict(zip(models, options.places, strict=True)))
    data = data_of(options.figure, models)
    save(draw(options.figure, data, style, options.width), data, options.output)


def place(text: str) -> int | None:
    """A variant's place in its ablation, None for a published model."""
    return None if text == "published" else int(text)


if __name__ == "__main__":
    sys.exit(main())
