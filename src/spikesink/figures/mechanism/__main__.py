"""Draw one figure of the mechanism of one or several models from their measures."""

import argparse
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from spikesink.figures.catalogue import FIGURES, SHARED
from spikesink.figures.command import add_common
from spikesink.figures.drawing import style
from spikesink.runs.json_file import read_json
from spikesink.tables.inputs import labelled, one_line_errors, read_measures


def draw(
    name: str, models: Mapping[str, Path], width: str = "auto", looks: Mapping[str, style.Look] | None = None
) -> tuple[Figure, pl.DataFrame]:
    """The figure of this name of models by label and folder, and the values drawn, with the run that each is of.

    Models that diverged, so have no measures, are named above. Raises InputError.
    """
    figure = import_module(f"spikesink.figures.mechanism.{name}")
    diverged = [label for label, folder in models.items() if has_diverged(folder)]
    tables = {
        label: read_measures(folder, figure.QUESTIONS) for label, folder in models.items() if label not in diverged
    }
    if tables:
        shared = {"looks": looks} if name in SHARED else {}
        drawn, data = figure.draw(tables, width, **shared), figure.data(tables)
    else:
        drawn = style.new_figure(style.inches(width, style.COLUMN), 0.5)
        data = pl.DataFrame(schema={"model": pl.String()})
    if diverged:
        style.title(drawn, "; ".join(f"{label} diverged" for label in diverged))
    runs = pl.DataFrame([{"model": label} | run_of(folder) for label, folder in models.items()], schema=RUN)
    return drawn, data.join(runs, on="model", how="left", maintain_order="left").select(*RUN, pl.exclude(*RUN))


RUN = {"model": pl.String(), "variant": pl.String(), "seed": pl.Int64()}


def run_of(folder: Path) -> dict:
    """Variant and seed of a run; a published model has neither."""
    path = folder / "run.json"
    if not path.exists():
        return {}
    run = read_json(path, "train this run again")
    return {key: run.get(key) for key in ("variant", "seed")}


def has_diverged(folder: Path) -> bool:
    """Whether a run has diverged; a pretrained model has no manifest."""
    path = folder / "manifest.json"
    return path.exists() and read_json(path, "train this run again").get("status") == "diverged"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spikesink.figures.mechanism", description=__doc__)
    parser.add_argument("figure", choices=FIGURES)
    parser.add_argument("--models", nargs="+", required=True, metavar="LABEL=FOLDER", help="folders with measures/")
    parser.add_argument(
        "--places",
        nargs="+",
        metavar="PLACE",
        help="of every model the place of its variant in its ablation, 0 for the baseline, or 'published': "
        "colours are then those of the other figures",
    )
    add_common(parser)
    options = parser.parse_args()
    models = labelled(options.models)
    looks = None
    if options.places:
        if len(options.places) != len(models):
            parser.error(f"--places names {len(options.places)} models, --models {len(models)}: name as many")
        places = [None if place == "published" else int(place) for place in options.places]
        looks = style.looks_at(dict(zip(models, places, strict=True)))
    return one_line_errors(lambda: style.save(*draw(options.figure, models, options.width, looks), options.output))


if __name__ == "__main__":
    sys.exit(main())
