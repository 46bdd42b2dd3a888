"""Figures that compare models: from the folders of their measures to one table, and from the table to the picture."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

import polars as pl
from matplotlib.figure import Figure

from spikesink.figures.drawing.canvas import COLUMN, inches, new_figure, title
from spikesink.figures.drawing.files import TEXT, WHOLE, Columns
from spikesink.figures.drawing.finite import draw_finite
from spikesink.figures.drawing.literal import literal_names, literal_texts
from spikesink.figures.drawing.style import Style
from spikesink.runs.folder import DIVERGED, RunFolder
from spikesink.tables.inputs import read_measures

NOT_MEASURED = "not measured"
"""The status of a model whose answers are older than a column that the figure shows."""
WITHOUT_VALUES = (DIVERGED, NOT_MEASURED)
RUN = {"model": TEXT, "variant": TEXT, "seed": WHOLE, "status": TEXT}
"""The first columns of every figure: which run a value is of. A published model has a name only."""


def module_of(figure: str) -> ModuleType:
    return import_module(f"spikesink.figures.mechanism.{figure}")


def columns_of(figure: str) -> Columns:
    """The columns of the figure's data with the run that each value is of."""
    return RUN | module_of(figure).COLUMNS


def data_of(figure: str, models: Mapping[str, Path]) -> pl.DataFrame:
    """The data of a figure of models by label and folder. A model that diverged has one row without values.

    Where the answers lack a column, because they are older than it, every model has one row without values and the
    status NOT_MEASURED. Raises InputError, which names the file, where the answers to a question are missing.
    """
    module = module_of(figure)
    runs = {label: run_of(folder) for label, folder in models.items()}
    answers = {
        label: read_measures(folder, module.QUESTIONS)
        for label, folder in models.items()
        if runs[label].get("status") != DIVERGED
    }
    facts = pl.DataFrame([{"model": label} | run for label, run in runs.items()], schema=RUN)
    try:
        values = module.data(answers) if answers else pl.DataFrame(schema=module.COLUMNS)
    except pl.exceptions.ColumnNotFoundError:
        values = pl.DataFrame(schema=module.COLUMNS)
        older = pl.when(pl.col("status").eq_missing(DIVERGED)).then("status").otherwise(pl.lit(NOT_MEASURED))
        facts = facts.with_columns(status=older)
    lost = facts.filter(pl.col("status").is_in(WITHOUT_VALUES))
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
    """The picture of a figure's data. Models without values have no panel; the title names them and says why.

    The title also says that a figure shows one seed of the variants: what differs between seeds is not on it.
    """
    data, style = literal_texts(data), literal_names(style)
    lost = dict(data.filter(pl.col("status").is_in(WITHOUT_VALUES)).select("model", "status").iter_rows())
    shown = {model: look for model, look in style.items() if model not in lost}
    if shown:
        with_values = data.filter(~pl.col("model").is_in(list(lost)))
        picture = draw_finite(lambda values: module_of(figure).draw(values, shown, width), with_values)
    else:
        picture = new_figure(inches(width, COLUMN), 0.5)
    said = [picture.get_suptitle()] if picture.get_suptitle() else []
    said += [f"{model} {status}" for model, status in lost.items()]
    seeds = data["seed"].drop_nulls().unique()
    if len(seeds) == 1 and shown:
        said.append(f"one run of each variant, seed {seeds[0]}")
    if said:
        title(picture, "; ".join(said))
    return picture
