"""Read the collected tables of an ablation."""

from pathlib import Path

import polars as pl

from spikesink.study.errors import InputError
from spikesink.tables.contracts import CURVES, HEADS, IDENTITY, RUNS, STATES
from spikesink.tables.inputs import read_table

COLUMNS = {"runs": RUNS, "states": STATES, "heads": HEADS, "curves": CURVES}
KEYS = {"runs": ("study", "scale"), "states": ("state",), "heads": ("layer", "head"), "curves": tuple(CURVES)}
"""With the run's identity, the columns without which a file is no such table."""


def read_part(folder: Path, name: str) -> pl.DataFrame:
    """One of the tables runs, states, heads and curves from the folder that ``spikesink.tables.collect`` wrote.

    A column that was not measured when a study was published is null.
    """
    # Without a finished run only runs.parquet has rows.
    path, empty = folder / f"{name}.parquet", name != "runs"
    required = dict.fromkeys((*IDENTITY, *KEYS[name]))
    return read_table(path, COLUMNS[name], "collect the ablation again", may_be_empty=empty, required=required)


def read_runs(folder: Path, ablation: str) -> pl.DataFrame:
    """The table of runs, checked to be this ablation's. Raises InputError."""
    runs = read_part(folder, "runs")
    if ablation not in runs["ablation"]:
        found = ", ".join(runs["ablation"].unique(maintain_order=True))
        raise InputError(f"{folder}: holds {found}, not {ablation}: name the folder of {ablation}")
    return runs


def variant_names(runs: pl.DataFrame) -> list[str]:
    """Variant names in the study's order, the baseline first."""
    return runs["variant"].unique(maintain_order=True).to_list()
