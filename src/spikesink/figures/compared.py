"""Figures that compare models: from the folders of their measures to one table, and from the table to the picture."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

import polars as pl
from matplotlib.figure import Figure

from spikesink.figures.drawing.canvas import COLUMN, inches, new_figure, title
from spikesink.figures.drawing.files import TEXT, WHOLE, Columns
from spikesink.figures.drawing.style import Style
from spikesink.runs.folder import DIVERGED, RunFolder
from spikesink.study.errors import InputError
from spikesink.tables.inputs import read_measures

RUN = {"model": TEXT, "variant": TEXT, "seed": WHOLE, "status": TEXT}
"""The first columns of every figure: which run a value is of. A published model has a name only."""


def module_of(figure: str) -> ModuleType:
    return import_module(f"spikesink.figures.mechanism.{figure}")


def columns_of(figure: str) -> Columns:
    """The columns of the figure's data with the run that each value is of."""
    return RUN | module_of(figure).COLUMNS


def data_of(figure: str, models: Mapping[str, Path]) -> pl.DataFrame:
    """The data of a figure of models by label and folder. A model that diverged has one row without values.

    Raises InputError, which names the file, where the answers to a question are missing or lack a column.
    """
    module = module_of(figure)
    runs = {label: run_of(folder) for label, folder in models.items()}
    answers = {
        label: read_measures(folder, module.QUESTIONS)
        for label, folder in models.items()
        if runs[label].get("status") != DIVERGED
    }
    try:
        values = module.data(answers) if answers else pl.DataFrame(schema=module.COLUMNS)
    except pl.exceptions.ColumnNotFoundError as error:
        files = " or ".join(f"{question}.parquet" for question in module.QUESTIONS)
        column = str(error).partition('"')[2].partition('"')[0]  # 'unable to find column "cache"; valid columns: ...'
        raise InputError(f"{files}: no column {column!r}, which {figure} shows: measure these models again") from error
    facts = pl.DataFrame([{"model": label} | run for label, run in runs.items()], schema=RUN)
    lost = facts.filter(pl.col("status") == DIVERGED)
    table = values.join(facts, on="model", how="left", maintain_order="left")
    return pl.concat([table, lost], how="diagonal").select(*columns_of(figure))


def run_of(folder: Path) -> dict:
    """Variant, seed and status of a run; a published model has none of them."""
    run, found = RunFolder(folder), {}
    if run.run.exists():
        found |= {key: run.settings().get(key) for key in ("variant", "seed")}
    if run.manifest.exists():
        found["status"] = run.status()
    return found


def draw(figure: str, data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """The picture of a figure's data. Models that diverged have no panel and are named in the title."""
    lost = data.filter(pl.col("status") == DIVERGED)["model"].to_list()
    shown = {model: look for model, look in style.items() if model not in lost}
    if shown:
        picture = module_of(figure).draw(data.filter(~pl.col("model").is_in(lost)), shown, width)
    else:
        picture = new_figure(inches(width, COLUMN), 0.5)
    if lost:
        title(picture, "; ".join(f"{model} diverged" for model in lost))
    return picture
