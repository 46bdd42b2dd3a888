"""Draw one figure of the mechanism of one or several models from their measures."""

import argparse
import sys
from importlib import import_module
from pathlib import Path

import polars as pl

from spikesink.figures.catalogue import FIGURES
from spikesink.figures.style import save
from spikesink.tables.inputs import InputError, one_line_errors


def read_models(names: list[str], questions: tuple[str, ...]) -> dict[str, dict[str, pl.DataFrame]]:
    """Tables of every ``LABEL=FOLDER``, by label and question. Raises InputError."""
    models = {}
    for name in names:
        label, _, folder = name.partition("=")
        models[label] = {question: read(Path(folder) / "measures" / f"{question}.parquet") for question in questions}
    return models


def read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path} cannot be read ({error}): measure this model again") from error


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spikesink.figures.mechanism", description=__doc__)
    parser.add_argument("figure", choices=FIGURES)
    parser.add_argument("--models", nargs="+", required=True, metavar="LABEL=FOLDER", help="folders with measures/")
    parser.add_argument("--output", required=True, help="path of the figure without .pdf and .png")
    options = parser.parse_args()
    figure = import_module(f"spikesink.figures.{options.figure}")
    return one_line_errors(lambda: save(figure.draw(read_models(options.models, figure.QUESTIONS)), options.output))


if __name__ == "__main__":
    sys.exit(main())
