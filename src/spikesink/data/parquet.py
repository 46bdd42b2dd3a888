"""The documents of a parquet file: one column of text, however the file stores it."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet

from spikesink.data.errors import CorpusError
from spikesink.study.errors import first_line

ROWS = 256
"""Read at a time; bounds memory."""


def documents(file: str | Path, text_field: str) -> Iterator[str | None]:
    """The values of the column, None for a null. Raises CorpusError, for damage inside the file while it is read."""
    check_column(file, text_field)
    first = 0
    try:
        with pyarrow.parquet.ParquetFile(file) as opened:
            for batch in opened.iter_batches(ROWS, columns=[text_field]):
                yield from batch.column(text_field).cast(pyarrow.large_string()).to_pylist()
                first += len(batch)
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{file} is not UTF-8 in column {text_field!r}, row {first} or later ({error.reason}): repair the file"
        ) from None
    except pyarrow.ArrowNotImplementedError as error:
        raise CorpusError(f"{file} cannot be read here ({first_line(error)}): write it with another codec") from None
    except (pyarrow.ArrowException, OSError) as error:
        raise CorpusError(f"{file} is damaged after row {first} ({first_line(error)}): fetch it again") from None


def check_column(file: str | Path, text_field: str) -> None:
    """Raise CorpusError where the file has no column of that name, or one that holds no text."""
    schema = metadata(file).schema.to_arrow_schema()
    if text_field not in schema.names:
        raise CorpusError(f"{file} has no column {text_field!r}: set text_field to one of {', '.join(schema.names)}")
    if schema.names.count(text_field) > 1:
        raise CorpusError(f"{file} has several columns {text_field!r}: write it again with one of that name")
    kind = schema.field(text_field).type
    if not is_text(kind):
        raise CorpusError(f"column {text_field!r} of {file} holds {kind}, not text: set text_field to a text column")


def is_text(kind: pyarrow.DataType) -> bool:
    """Whether values are text: strings of any size, views of them, or categories of them."""
    types = pyarrow.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def metadata(file: str | Path) -> pyarrow.parquet.FileMetaData:
    try:
        return pyarrow.parquet.read_metadata(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise CorpusError(f"{file} is not a readable parquet file ({first_line(error)}): fetch it again") from None
