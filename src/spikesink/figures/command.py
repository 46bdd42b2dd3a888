"""The command line that every figure family has."""

import argparse
from collections.abc import Callable
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from spikesink.figures.drawing.style import WIDTHS, save
from spikesink.tables.inputs import one_line_errors


def command(
    family: str, description: str, draw: Callable[[Path, str, str], Figure], data: Callable[[Path, str], pl.DataFrame]
) -> int:
    """Draw from --parts and --ablation, write --output with .pdf, .png and .csv; returns the exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m spikesink.figures.{family}", description=description)
    parser.add_argument("--parts", type=Path, required=True, help="folder written by tables.collect")
    parser.add_argument("--ablation", required=True, help="name of the ablation")
    add_common(parser)
    options = parser.parse_args()
    where = options.parts, options.ablation
    return one_line_errors(lambda: save(draw(*where, options.width), data(*where), options.output))


def add_common(parser: argparse.ArgumentParser) -> None:
    """What every command that draws a figure understands."""
    parser.add_argument("--width", choices=WIDTHS, default="auto", help="of a text column, of a page, or the figure's")
    parser.add_argument("--output", required=True, help="path of the figure without .pdf, .png and .csv")
