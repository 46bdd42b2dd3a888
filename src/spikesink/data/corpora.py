"""The documents of a study, whatever the kind of its corpus, and which of them are held out."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import datasets

from spikesink.data.errors import CorpusError
from spikesink.data.held_out import drawn, is_validation
from spikesink.data.kinds import KINDS
from spikesink.runs.sums import file_sum, hub_digest
from spikesink.study.settings import Corpus

EVENLY = {"embedded", "bigram_backcopy"}
"""Kinds of corpora whose held-out documents are spread evenly by number: published results rest on that split."""


def documents(corpus: Corpus) -> datasets.IterableDataset:
    """The documents in order, read as they are needed: a stream with the single column ``text``.

    Opens no connection: the files of a hub corpus must have been fetched by :func:`describe` before. Raises CorpusError
    when the corpus cannot be read or is empty; damage inside a file shows while iterating.
    """
    stream = KINDS[corpus.kind].documents(corpus)
    if next(iter(stream), None) is None:
        remedy = (
            "name files that hold text under corpus.files" if corpus.files else "restore the file from the repository"
        )
        raise CorpusError(f"the corpus is empty: {short_name(corpus)} holds no document: {remedy}")
    return stream if corpus.documents is None else stream.take(corpus.documents)


def split_batches(corpus: Corpus) -> Iterator[tuple[list[str], list[bool]]]:
    """All documents in batches: their texts, and for each whether it is held out for validation."""
    split = with_split(corpus)
    while batch := list(islice(split, 256)):
        yield [text for text, _ in batch], [is_held_out for _, is_held_out in batch]


def with_split(corpus: Corpus) -> Iterator[tuple[str, bool]]:
    """Every document, and whether it is held out for validation. Raises CorpusError."""
    share = corpus.validation_share
    if corpus.validation_files:
        yield from ((text, False) for text in texts(replace(corpus, validation_files=None)))
        yield from ((text, True) for text in texts(of_validation_files(corpus)))
    elif corpus.kind in EVENLY:
        yield from ((text, is_validation(index, share)) for index, text in enumerate(texts(corpus)))
    else:
        yield from drawn(texts(corpus), share)


def of_validation_files(corpus: Corpus) -> Corpus:
    """The files that are held out, as a corpus of their own."""
    return replace(corpus, files=corpus.validation_files, validation_files=None, documents=None)


def texts(corpus: Corpus) -> Iterator[str]:
    """The documents as texts, read a batch at a time. Raises CorpusError for a null."""
    first = 0
    for batch in documents(corpus).iter(batch_size=256):
        if None in batch["text"]:
            raise CorpusError(
                f"document {first + batch['text'].index(None)} of {short_name(corpus)} is null: remove it"
            )
        yield from batch["text"]
        first += len(batch["text"])


def describe(corpus: Corpus) -> dict[str, Any]:
    """What the corpus consists of, for the rules that depend on its content: its files with size and digest.

    The files of a hub corpus are fetched first. Their digests are the hub's own where the local cache knows them, so
    that terabytes need not be read again. Raises CorpusError.
    """
    kind = KINDS[corpus.kind]
    paths = kind.files(corpus, download=True)
    documents(corpus)  # finds what can be found wrong without reading them all
    return {
        "kind": corpus.kind,
        "dataset": corpus.dataset,
        "revision": corpus.revision,
        "files": [
            {
                "name": name,
                "bytes": path.stat().st_size,
                "digest": (corpus.dataset and hub_digest(path)) or file_sum(path),
            }
            for name, path in zip(kind.names(corpus), paths, strict=True)
        ],
    }


def described_files(corpus: Corpus, description: dict[str, Any]) -> dict[Path, str]:
    """The files of the corpus with the digests of its ``description``. Raises CorpusError where it lists others."""
    kind, listed = KINDS[corpus.kind], description["files"]
    if kind.names(corpus) != [file["name"] for file in listed]:
        raise CorpusError("the corpus description lists other files than the settings: describe the corpus again")
    return {path: file["digest"] for path, file in zip(kind.files(corpus), listed, strict=True)}


def local_sources(description: dict[str, Any]) -> list[dict[str, str]]:
    """Name and SHA-256 of the files on this machine that a corpus and its tokenizer are read from."""
    files = description["files"] if description["kind"] == "files" else []
    tokenizer = description.get("tokenizer", {})
    local = {file["name"]: file["digest"] for file in files}
    if tokenizer.get("kind") == "file":
        local[tokenizer["name"]] = tokenizer["digest"]
        for name, digest in tokenizer["beside"].items():
            local[str(Path(tokenizer["name"]).with_name(name))] = digest
    return [{"file": name, "sha256": digest} for name, digest in local.items()]


def check_two_documents(corpus: Corpus) -> None:
    """Raise CorpusError when the corpus is one document, of which nothing can be held out."""
    if not corpus.validation_files and len(list(documents(corpus).take(2))) < 2:
        raise CorpusError(f"the corpus is a single document: {two_documents(corpus)}")


def two_documents(corpus: Corpus) -> str:
    """What a corpus must have, and what to do about it."""
    return (
        f"{short_name(corpus)} must hold at least 2 documents with text, for one is held out; cut txt files into "
        'documents with corpus.document_separator, for example "\\n\\n", or name corpus.validation_files'
    )


def short_name(corpus: Corpus) -> str:
    """What messages call the corpus: its first file, or its kind."""
    names = corpus.files or [str(path) for path in KINDS[corpus.kind].files(corpus)] or [corpus.kind]
    return names[0] + (f" and {len(names) - 1} more files" if len(names) > 1 else "")
