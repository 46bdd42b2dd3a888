"""The mechanism of several models in numbers: one row per model, its measures' numbers side by side."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from spikesink.quantities import CAPABILITIES, QUANTITIES, names_of
from spikesink.runs.folder import RunFolder
from spikesink.study.errors import InputError
from spikesink.tables.collecting.questions import mechanism_questions
from spikesink.tables.collecting.reductions import take
from spikesink.tables.inputs import read_measures
from spikesink.tables.topics import (
    abilities,
    amplifier,
    consequences,
    edited_heads,
    gradients,
    headline,
    layered,
    plateau,
    reshaped,
    same_tokens,
    sinks,
    spikes,
)

TOPICS = (
    headline,
    spikes,
    amplifier,
    plateau,
    sinks,
    same_tokens,
    gradients,
    reshaped,
    layered,
    consequences,
    edited_heads,
    abilities,
)


IN_RUNS = frozenset(headline.READS)
"""Questions whose numbers runs.csv has of every run: a published study keeps their answers of some runs alone."""


def mechanism_table(models: dict[str, Path], capabilities: bool = False) -> pl.DataFrame:
    """One row per model: its label, whether it has measures, and the quantities of ``names_of("mechanism")``.

    ``models`` are folders with measures by label; ``capabilities``: whether they were given tasks, whose answers are
    read then. A run that diverged has empty measures and a row without numbers. A question that none of the models
    was asked, because it is newer than they are, leaves its columns empty, and so does an answer without a column that
    was added later, and one of IN_RUNS that a model lacks. Raises InputError where only some of the models lack another
    answer.
    """
    questions = [name for name in asked(models.values()) if capabilities or name != CAPABILITIES]
    rows = []
    for label, folder in models.items():
        kept = RunFolder(folder)
        tables = read_measures(
            folder, [name for name in questions if name not in IN_RUNS or kept.measure(name).exists()]
        )
        measured = not tables["lifecycle"].is_empty()
        found = numbers_of(tables) if measured else {}
        rows.append({"model": label, "measured": measured} | {name: found.get(name) for name in names_of("mechanism")})
    return pl.DataFrame(rows, infer_schema_length=None)


def asked(folders: Iterable[Path]) -> list[str]:
    """The questions of the table that any of the models has an answer to. Raises InputError where there is none."""
    folders = list(folders)
    found = [name for name in mechanism_questions() if any(RunFolder(path).measure(name).exists() for path in folders)]
    if "lifecycle" not in found:
        raise InputError(f"{folders[0]}: has no measures/lifecycle.parquet: measure this model first")
    return found


def numbers_of(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """The values by column of one model, from its measures' tables by question."""
    found: dict[str, Any] = {}
    for name in names_of("mechanism"):
        taken = QUANTITIES[name].taken
        if taken and taken.question in tables:
            found[name] = take(tables, taken)
    for topic in TOPICS:
        if tables.keys() >= set(topic.READS):
            with suppress(pl.exceptions.ColumnNotFoundError):  # published before the column existed: not measured
                found |= topic.columns(tables)
    return found
