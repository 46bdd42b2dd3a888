"""Local files: txt, jsonl, json or parquet, also compressed."""

from pathlib import Path

import datasets

from spikesink.data import readers
from spikesink.data.errors import CorpusError
from spikesink.study.file_ranges import file_names as names
from spikesink.study.settings import Corpus

__all__ = ["documents", "files", "names"]


def files(corpus: Corpus, download: bool = False) -> list[Path]:
    """The paths. Raises CorpusError for a missing file."""
    found = names(corpus)
    for name in found:
        if Path(name).is_dir():
            raise CorpusError(f"{name} is a folder: corpus.files takes files, name those in it")
        if not Path(name).is_file():
            raise CorpusError(f"{name} does not exist: corpus.files takes paths from the folder snakemake runs in")
    return [Path(name) for name in found]


def documents(corpus: Corpus) -> datasets.IterableDataset:
    return readers.read(files(corpus), corpus.text_field, corpus.document_separator)
