"""The command line that every figure family has."""

import argparse
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from spikesink.figures.style import save
from spikesink.tables.inputs import one_line_errors


def command(family: str, description: str, draw: Callable[[Path, str], Figure]) -> int:
    """Draw from --parts and --ablation, write --output with .pdf and .png; returns the exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m spikesink.figures.{family}", description=description)
    parser.add_argument("--parts", type=Path, required=True, help="folder written by tables.collect")
    parser.add_argument("--ablation", required=True, help="name of the ablation")
    parser.add_argument("--output", required=True, help="path of the figure without .pdf and .png")
    options = parser.parse_args()
    return one_line_errors(lambda: save(draw(options.parts, options.ablation), options.output))
