"""Reading the collected tables of an ablation."""

from pathlib import Path

import polars as pl

from spikesink.tables.contracts import CURVES, HEADS, RUNS, STATES
from spikesink.tables.inputs import InputError, read_table

COLUMNS = {"runs": RUNS, "states": STATES, "heads": HEADS, "curves": CURVES}


def read_part(folder: Path, name: str) -> pl.DataFrame:
    """One of runs, states, heads, curves from the folder that ``spikesink.tables.collect`` wrote."""
    # Without a finished run only runs.parquet has rows.
    path, empty = folder / f"{name}.parquet", name != "runs"
    return read_table(path, COLUMNS[name], "collect the ablation again", may_be_empty=empty)


def read_runs(folder: Path, ablation: str) -> pl.DataFrame:
    """runs.parquet, after checking that it is this ablation's."""
    runs = read_part(folder, "runs")
    if ablation not in runs["ablation"]:
        found = ", ".join(runs["ablation"].unique(maintain_order=True))
        raise InputError(f"{folder}: holds {found}, not {ablation}: name the folder of {ablation}")
    return runs


def variants(runs: pl.DataFrame) -> list[str]:
    """Variant names in the study's order, the baseline first."""
    return runs["variant"].unique(maintain_order=True).to_list()


def labels(runs: pl.DataFrame) -> dict[str, str]:
    """What every variant is called in figures and tables."""
    return dict(runs.select("variant", "label").unique(maintain_order=True).iter_rows())
