"""Documents from local files, one at a time, however many the files are.

The ending of a file's name says its format: txt, jsonl or json (JSON lines, or one JSON array), or parquet. The first
three may be compressed: .gz, .zst, .bz2 or .xz. A file is opened by its exact name: no character of it is a pattern.
"""

from collections.abc import Iterator
from pathlib import Path

import datasets

from spikesink.data import json_text, parquet
from spikesink.data.compression import opened
from spikesink.data.errors import CorpusError
from spikesink.data.pieces import pieces
from spikesink.runs.lfs import PULL, is_lfs_pointer
from spikesink.study.file_formats import file_format


def read(paths: list[Path], text_field: str, separator: str | None = None) -> datasets.IterableDataset:
    """The documents of ``paths`` in order, as a stream with the single column ``text``.

    ``separator`` cuts txt files, see :func:`spikesink.data.pieces.pieces`. Names, and the columns of parquet files, are
    checked here, content while it is read; both raise CorpusError, and an unknown format ValueError.
    """
    for path in paths:
        if is_lfs_pointer(path):
            raise CorpusError(f"{path} {PULL}")
        if file_format(path) == ".parquet":
            parquet.check_column(path, text_field)
    return datasets.IterableDataset.from_generator(
        rows,
        features=datasets.Features({"text": datasets.Value("string")}),
        gen_kwargs={"files": [str(path) for path in paths], "text_field": text_field, "separator": separator},
    )


def rows(files: list[str], text_field: str, separator: str | None) -> Iterator[dict[str, str | None]]:
    for file in files:
        yield from ({"text": text} for text in documents(file, text_field, separator))


def documents(file: str, text_field: str, separator: str | None) -> Iterator[str | None]:
    """The documents of one file. Raises CorpusError."""
    kind = file_format(file)
    if kind == ".parquet":
        yield from parquet.documents(file, text_field)
        return
    with opened(file) as content:
        if kind == ".txt":
            yield from pieces(json_text.decoded(content.read(), file), separator)
        else:
            yield from json_text.documents(content, file, text_field, may_be_array=kind == ".json")
