"""Documents from local files, one at a time, however large the files are.

The ending of a file's name says its format: txt (one document per file), jsonl or json (JSON lines, or one JSON array),
or parquet. The first three may be compressed: .gz, .zst or .bz2.
"""

import io
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet

from spikesink.study.errors import first_line

datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # load_dataset tells a server, even when it reads a local file

COMPRESSIONS = (".gz", ".zst", ".bz2")
FORMATS = (".txt", ".jsonl", ".json", ".parquet")


class CorpusError(ValueError):
    """A corpus that cannot be read; the message names file or key, value and what to do."""


def file_format(path: str | Path) -> str:
    """.txt, .jsonl, .json or .parquet, without the ending of a compression. Raises CorpusError for anything else."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    if not suffixes or suffixes[-1] not in FORMATS:
        raise CorpusError(
            f"{path} has an unknown format: use {', '.join(FORMATS)}, also with {', '.join(COMPRESSIONS)}"
        )
    return suffixes[-1]


def read(paths: list[Path], text_field: str) -> datasets.IterableDataset:
    """The documents of ``paths`` in order, as a stream with the single column ``text``.

    Parquet files are checked here, the others while they are read; both raise CorpusError.
    """
    parts = []
    for is_parquet, group in groupby(paths, key=lambda path: file_format(path) == ".parquet"):
        files = [str(path) for path in group]
        parts.append(parquet_stream(files, text_field) if is_parquet else generated_stream(files, text_field))
    return parts[0] if len(parts) == 1 else datasets.concatenate_datasets(parts)


def count(paths: list[Path]) -> int | None:
    """Number of documents in the files, or None where only reading every line would tell."""
    formats = {file_format(path) for path in paths}
    if formats <= {".txt", ".parquet"}:
        return sum(1 if file_format(path) == ".txt" else parquet_metadata(path).num_rows for path in paths)
    return None


def parquet_stream(files: list[str], text_field: str) -> datasets.IterableDataset:
    """The documents of parquet files, whose column ``text_field`` must hold text. Raises CorpusError."""
    for file in files:
        schema = parquet_metadata(file).schema.to_arrow_schema()
        if text_field not in schema.names:
            raise CorpusError(
                f"{file} has no column {text_field!r}: set text_field to one of {', '.join(schema.names)}"
            )
        kind = schema.field(text_field).type
        if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
            raise CorpusError(
                f"column {text_field!r} of {file} holds {kind}, not text: set text_field to a text column"
            )
    features = datasets.Features({text_field: datasets.Value("string")})
    stream = datasets.load_dataset(
        "parquet", data_files=files, split="train", streaming=True, columns=[text_field], features=features
    )
    return stream if text_field == "text" else stream.rename_column(text_field, "text")


def parquet_metadata(file: str | Path) -> pyarrow.parquet.FileMetaData:
    try:
        return pyarrow.parquet.read_metadata(file)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise CorpusError(f"{file} is not a readable parquet file ({first_line(error)}): fetch it again") from None


def generated_stream(files: list[str], text_field: str) -> datasets.IterableDataset:
    """The documents of txt, jsonl and json files; damage in a file shows while iterating."""
    features = datasets.Features({"text": datasets.Value("string")})
    return datasets.IterableDataset.from_generator(
        documents, features=features, gen_kwargs={"files": files, "text_field": text_field}
    )


def documents(files: list[str], text_field: str) -> Iterator[dict[str, str]]:
    for file in files:
        try:
            # Arrow, not gzip and zstandard: only Arrow reports a zstd file that ends early.
            with pyarrow.input_stream(file) as stream, io.BufferedReader(stream, 1 << 20) as lines:
                if file_format(file) == ".txt":
                    yield {"text": decoded(lines.read(), file)}
                else:
                    yield from records(lines, file, text_field)
        except OSError as error:
            raise CorpusError(f"{file} is damaged or ends early ({first_line(error)}): fetch it again") from None


def records(lines: io.BufferedReader, file: str, text_field: str) -> Iterator[dict[str, str]]:
    # datasets' own JSON reader is not used: it infers one schema for all columns. It fails when a column that nobody
    # reads, such as crawl metadata, changes its type between shards.
    if file_format(file) == ".json" and lines.peek(1)[:1] == b"[":
        for number, record in enumerate(parsed(lines.read(), file), 1):
            yield {"text": text_of(record, f"record {number} of {file}", text_field)}
        return
    for number, line in enumerate(lines, 1):
        if line.strip():
            place = f"line {number} of {file}"
            yield {"text": text_of(parsed(line, place), place, text_field)}


def parsed(content: bytes, place: str) -> object:
    try:
        return json.loads(decoded(content, place))
    except json.JSONDecodeError as error:
        raise CorpusError(f"{place} is not valid JSON ({error}): repair the file or fetch it again") from None


def text_of(record: object, place: str, text_field: str) -> str:
    if not isinstance(record, dict):
        raise CorpusError(f"{place} is not a JSON object with a key {text_field!r}")
    if text_field not in record:
        raise CorpusError(f"{place} has no key {text_field!r}: set text_field to one of {', '.join(record)}")
    if not isinstance(record[text_field], str):
        raise CorpusError(f"{place} has no text under {text_field!r} but {json.dumps(record[text_field])[:40]}")
    return record[text_field]


def decoded(content: bytes, place: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{place} is not UTF-8 at byte {error.start}: convert the file to UTF-8") from None
