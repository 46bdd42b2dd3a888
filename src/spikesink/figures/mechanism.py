"""Draw one figure of the mechanism of one or several models from their measures."""

import argparse
import sys
from importlib import import_module
from pathlib import Path

from matplotlib.figure import Figure

from spikesink.figures import style
from spikesink.figures.catalogue import FIGURES
from spikesink.tables.inputs import labelled, one_line_errors, read_json, read_measures


def draw(name: str, models: dict[str, Path]) -> Figure:
    """The figure of this name of models by label and folder; those that diverged, so have no measures, are named above.

    Raises InputError.
    """
    figure = import_module(f"spikesink.figures.{name}")
    diverged = [label for label, folder in models.items() if has_diverged(folder)]
    tables = {
        label: read_measures(folder, figure.QUESTIONS) for label, folder in models.items() if label not in diverged
    }
    drawn = figure.draw(tables) if tables else style.new_figure(style.COLUMN, 0.5)
    if diverged:
        drawn.suptitle(style.wrapped("; ".join(f"{label} diverged" for label in diverged), 60))
    return drawn


def has_diverged(folder: Path) -> bool:
    """Whether a run has diverged; a pretrained model has no manifest."""
    path = folder / "manifest.json"
    return path.exists() and read_json(path, "train this run again").get("status") == "diverged"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spikesink.figures.mechanism", description=__doc__)
    parser.add_argument("figure", choices=FIGURES)
    parser.add_argument("--models", nargs="+", required=True, metavar="LABEL=FOLDER", help="folders with measures/")
    parser.add_argument("--output", required=True, help="path of the figure without .pdf and .png")
    options = parser.parse_args()
    return one_line_errors(lambda: style.save(draw(options.figure, labelled(options.models)), options.output))


if __name__ == "__main__":
    sys.exit(main())
