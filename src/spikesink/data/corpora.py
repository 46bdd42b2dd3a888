"""The documents of a study, from wherever they come, and which of them are held out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import datasets

from spikesink.data import readers, synthetic
from spikesink.data.batches import file_sha256
from spikesink.data.hub import HubError, content_digest, hub_file
from spikesink.data.readers import CorpusError
from spikesink.study.settings import Corpus

EMBEDDED = Path(__file__).parent / "embedded" / "english.parquet"
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def documents(corpus: Corpus) -> datasets.IterableDataset:
    """The documents in order, read as they are needed: a stream with the single column ``text``.

    Opens no connection: hub files must have been fetched by :func:`local_files` before. Raises CorpusError when the
    corpus cannot be read or is empty; damage inside a file shows while iterating.
    """
    paths = local_files(corpus)
    if corpus.kind == "bigram_backcopy":
        stream = synthetic.stream(embedded_language(), corpus)
    else:
        stream = readers.read(paths, "text" if corpus.kind == "embedded" else corpus.text_field)
    if next(iter(stream), None) is None:
        raise CorpusError(f"the corpus is empty: {_listing(corpus)} holds no document")
    return stream if corpus.documents is None else stream.take(corpus.documents)


def split_batches(corpus: Corpus, size: int = 256) -> Iterator[tuple[list[str], list[bool]]]:
    """All documents in batches of ``size``: their texts, and for each whether it is held out for validation."""
    first = 0
    for batch in documents(corpus).iter(batch_size=size):
        texts = batch["text"]
        if None in texts:
            raise CorpusError(f"document {first + texts.index(None)} of {_listing(corpus)} is null: remove it")
        yield texts, [is_validation(first + offset, corpus.validation_share) for offset in range(len(texts))]
        first += len(texts)


def is_validation(index: int, validation_share: float) -> bool:
    """Whether the document at 0-based ``index`` is held out: one in every 1 / share, the first one included.

    Exact integer arithmetic on the index alone, so that the answer needs no corpus length, stays the same when a
    corpus is cut short or extended, and n >= 2 documents leave at least one on either side.
    """
    share = Fraction(str(validation_share))
    return (index * share.numerator) % share.denominator < share.numerator


@lru_cache(maxsize=1)
def embedded_language() -> synthetic.Language:
    """Character and bigram counts of the embedded sample, from which the synthetic corpus is drawn."""
    return synthetic.language([row["text"] for row in readers.read([EMBEDDED], "text")])


def file_names(corpus: Corpus) -> list[str]:
    """``corpus.files`` with every range written out: part-{08..10}.gz is part-08.gz, part-09.gz, part-10.gz.

    The width of the first number is that of all. Raises CorpusError for a range that runs backwards.
    """
    return [name for pattern in corpus.files for name in _expanded(pattern)]


def _expanded(pattern: str) -> list[str]:
    found = RANGE.search(pattern)
    if found is None:
        return [pattern]
    first, last = found.groups()
    if int(first) > int(last):
        raise CorpusError(f"corpus.files: {found[0]} of {pattern} runs backwards: write the smaller number first")
    before, after = pattern[: found.start()], pattern[found.end() :]
    numbers = range(int(first), int(last) + 1)
    return [name for number in numbers for name in _expanded(f"{before}{number:0{len(first)}}{after}")]


def local_files(corpus: Corpus, download: bool = False) -> list[Path]:
    """The local files that hold the corpus; with ``download``, hub files are fetched first.

    Raises CorpusError for a missing file.
    """
    if corpus.kind == "hub":
        try:
            return [
                hub_file(corpus.dataset, name, revision=corpus.revision, kind="dataset", download=download)
                for name in file_names(corpus)
            ]
        except HubError as error:
            raise CorpusError(str(error)) from None
    if corpus.kind != "files":
        return [EMBEDDED]
    names = file_names(corpus)
    for name in names:
        if not Path(name).is_file():
            raise CorpusError(f"{name} does not exist: corpus.files takes paths from the folder snakemake runs in")
    return [Path(name) for name in names]


def describe(corpus: Corpus, download: bool = False) -> dict[str, Any]:
    """What the corpus consists of, for the rules that depend on its content: files with size and digest.

    Hub files carry the hub's own digest where the cache knows it, so that terabytes need not be read again.
    """
    paths = local_files(corpus, download)
    available = synthetic.number_of_documents(corpus) if corpus.kind == "bigram_backcopy" else readers.count(paths)
    if available is not None and corpus.documents is not None:
        available = min(available, corpus.documents)
    names = file_names(corpus) or [path.name for path in paths]
    return {
        "kind": corpus.kind,
        "dataset": corpus.dataset,
        "revision": corpus.revision,
        "documents": available,
        "files": [
            {
                "name": name,
                "bytes": path.stat().st_size,
                "digest": (corpus.kind == "hub" and content_digest(path)) or file_sha256(path),
            }
            for name, path in zip(names, paths, strict=True)
        ],
    }


def check_unchanged(corpus: Corpus, description: dict[str, Any]) -> None:
    """Raise CorpusError when a file is not, by name and size, the one in the ``description``."""
    found = [path.stat().st_size for path in local_files(corpus)]
    names = file_names(corpus) or [EMBEDDED.name]
    if names != [file["name"] for file in description["files"]]:
        raise CorpusError("the corpus description lists other files than the settings: describe the corpus again")
    for name, size, file in zip(names, found, description["files"], strict=True):
        if size != file["bytes"]:
            raise CorpusError(f"{name} has {size} bytes, {file['bytes']} when it was described: describe it again")


def _listing(corpus: Corpus) -> str:
    if not corpus.files:
        return corpus.kind
    return corpus.files[0] + (f" and {len(corpus.files) - 1} more files" if len(corpus.files) > 1 else "")
