"""Read what earlier stages wrote; a file that is missing, broken or incomplete is an error of one line."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from spikesink.runs.folder import RunFolder
from spikesink.runs.sums import intact
from spikesink.study.errors import InputError
from spikesink.study.names import NAME

NAMES = ("study", "scale", "ablation", "variant")
"""Columns of names: those of a foreign study follow the rule that our own do."""


def read_table(
    path: Path,
    columns: Mapping[str, pl.DataType],
    remedy: str,
    finite: Iterable[str] = (),
    may_be_empty: bool = False,
    required: Iterable[str] | None = None,
) -> pl.DataFrame:
    """The named columns of a parquet or CSV file, in the named types; other columns are dropped.

    A missing file or column, an empty table, and a null, NaN or infinity in a column of ``finite`` raise InputError. So
    does a name that no study can have, and a text that is no line of printable characters.
    With ``required`` only these columns must be there. Any other that is missing is null in every row, not measured: a
    study that was published before the column existed lacks it.
    """
    intact(path, remedy)
    try:
        table = (
            pl.read_csv(path, infer_schema_length=None, glob=False)
            if path.suffix == ".csv"
            else pl.read_parquet(path, glob=False)
        )
    except pl.exceptions.PolarsError as error:
        fault = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: not a whole {path.suffix[1:]} file ({fault}): {remedy}") from error
    missing = [name for name in (columns if required is None else required) if name not in table.columns]
    if missing:
        raise InputError(f"{path}: has no column {missing[0]!r}: {remedy}")
    if table.is_empty() and not may_be_empty:
        raise InputError(f"{path}: has no rows: {remedy}")
    try:
        table = with_absent(table, columns).select(pl.col(name).cast(kind) for name, kind in columns.items())
    except pl.exceptions.PolarsError as error:
        fault = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: a column holds something else than numbers ({fault}): {remedy}") from error
    check_texts(path, table, remedy)
    for name in finite:
        if not table[name].is_finite().fill_null(False).all():
            raise InputError(f"{path}: column {name!r} holds a value that is no finite number: {remedy}")
    return table


def check_texts(path: Path, table: pl.DataFrame, remedy: str) -> None:
    """Raises InputError for a name that no study can have, and for a text that a page or a terminal cannot show."""
    for name in table.select(pl.col(pl.String)).columns:
        for text in table[name].drop_nulls().unique():
            if not text.isprintable() or (name in NAMES and not NAME.fullmatch(text)):
                raise InputError(f"{path}: column {name!r} holds {text[:100]!r}, which cannot stand there: {remedy}")


def with_absent(table: pl.DataFrame, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The table with those of the named columns that it lacks, null in every row: not measured."""
    return table.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in columns.items() if name not in table.columns
    )


def labelled(models: Iterable[str]) -> dict[str, Path]:
    """Folders by label from LABEL=FOLDER; a label may hold an equals sign, a folder does not."""
    return {label: Path(folder) for label, _, folder in (model.rpartition("=") for model in models)}


def read_measures(folder: Path, questions: Iterable[str]) -> dict[str, pl.DataFrame]:
    """The tables of a model's measures by question, with all their columns. Raises InputError."""
    tables = {}
    for question in questions:
        path = intact(RunFolder(folder).measure(question), "measure this model again")
        try:
            tables[question] = pl.read_parquet(path, glob=False)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise InputError(f"{path} cannot be read ({error}): measure this model again") from error
    return tables
