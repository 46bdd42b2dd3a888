"""Where every run of a study comes from: one row per run with its settings, code, text, software and machine."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from spikesink.runs.folder import TRAIN_AGAIN, RunFolder
from spikesink.study.errors import InputError, first_line
from spikesink.study.run import canonical
from spikesink.tables.contracts import PROVENANCE


def origin(folder: Path) -> dict[str, Any]:
    """The row of one run, from its run.json and manifest.json. Raises InputError."""
    run, manifest = RunFolder(folder).settings(), RunFolder(folder).facts()
    hardware = manifest.get("hardware") or {}
    known = {
        **manifest,
        **run,
        **(manifest.get("git") or {}),
        **(manifest.get("versions") or {}),
        **{name: hardware.get(name) for name in ("device", "system", "threads")},
        "machine": hardware.get("name"),
        "settings": canonical({part: run.get(part) for part in ("tokenizer", "model", "training")}),
    }
    return {name: known.get(name) for name in PROVENANCE}


def provenance(folders: Iterable[Path]) -> pl.DataFrame:
    """One row per run, in the order of the folders. Raises InputError."""
    return pl.concat([row_of(folder) for folder in folders])


def row_of(folder: Path) -> pl.DataFrame:
    """The row of one run as a table. Raises InputError."""
    try:
        return pl.DataFrame([origin(folder)], schema=PROVENANCE, orient="row")
    except (TypeError, OverflowError, pl.exceptions.PolarsError) as error:
        path = RunFolder(folder).manifest
        raise InputError(f"{path}: holds something unexpected ({first_line(error)}): {TRAIN_AGAIN}") from error
