"""Local files: txt, jsonl, json or parquet, also compressed."""

import re
from pathlib import Path

import datasets

from spikesink.data import readers
from spikesink.data.errors import CorpusError
from spikesink.study.settings import Corpus

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def names(corpus: Corpus) -> list[str]:
    """``corpus.files``, then ``corpus.validation_files``, with every range written out.

    part-{08..10}.gz is part-08.gz, part-09.gz, part-10.gz.

    All numbers are as wide as the first one. Raises CorpusError for a range that runs backwards.
    """
    patterns = (*corpus.files, *(corpus.validation_files or ()))
    return [name for pattern in patterns for name in expanded(pattern)]


def expanded(pattern: str) -> list[str]:
    """The names that a pattern with any number of ranges stands for."""
    found = RANGE.search(pattern)
    if found is None:
        return [pattern]
    first, last = found.groups()
    if int(first) > int(last):
        raise CorpusError(f"corpus.files: {found[0]} of {pattern} runs backwards: write the smaller number first")
    before, after = pattern[: found.start()], pattern[found.end() :]
    numbers = range(int(first), int(last) + 1)
    return [name for number in numbers for name in expanded(f"{before}{number:0{len(first)}}{after}")]


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


def count(corpus: Corpus) -> int | None:
    return readers.count(files(corpus))
