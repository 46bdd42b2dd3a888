"""Arguments that every command that draws a figure has."""

import argparse

from spikesink.figures.drawing.canvas import WIDTHS


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add --width and --output."""
    parser.add_argument(
        "--width", choices=WIDTHS, default="auto", help="width of a text column, of a page, or the figure's natural one"
    )
    parser.add_argument("--output", required=True, help="path of the figure without .pdf, .png and .csv")
