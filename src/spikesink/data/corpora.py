"""The documents of a study, whatever the kind of its corpus, and which of them are held out."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import datasets

from spikesink.data.batches import file_sha256
from spikesink.data.hub import content_digest
from spikesink.data.kinds import KINDS
from spikesink.data.readers import CorpusError
from spikesink.study.settings import Corpus


def documents(corpus: Corpus) -> datasets.IterableDataset:
    """The documents in order, read as they are needed: a stream with the single column ``text``.

    Opens no connection: the files of a hub corpus must have been fetched by :func:`describe` before. Raises CorpusError
    when the corpus cannot be read or is empty; damage inside a file shows while iterating.
    """
    stream = KINDS[corpus.kind].documents(corpus)
    if next(iter(stream), None) is None:
        raise CorpusError(f"the corpus is empty: {short_name(corpus)} holds no document")
    return stream if corpus.documents is None else stream.take(corpus.documents)


def split_batches(corpus: Corpus, size: int = 256) -> Iterator[tuple[list[str], list[bool]]]:
    """All documents in batches of ``size``: their texts, and for each whether it is held out for validation."""
    first = 0
    for batch in documents(corpus).iter(batch_size=size):
        texts = batch["text"]
        if None in texts:
            raise CorpusError(f"document {first + texts.index(None)} of {short_name(corpus)} is null: remove it")
        yield texts, [is_validation(first + offset, corpus.validation_share) for offset in range(len(texts))]
        first += len(texts)


def is_validation(index: int, validation_share: float) -> bool:
    """Whether the document at 0-based ``index`` is held out: one in every 1 / share, the first one included.

    The answer comes from exact integer arithmetic on the index alone. It needs no corpus length, so it stays the same
    when a corpus is cut short or extended. Of n >= 2 documents at least one is held out and at least one is not.
    """
    share = Fraction(str(validation_share))
    return (index * share.numerator) % share.denominator < share.numerator


def describe(corpus: Corpus, download: bool = False) -> dict[str, Any]:
    """What the corpus consists of, for the rules that depend on its content: its files with size and digest.

    With ``download`` the files of a hub corpus are fetched first. Their digests are the hub's own where the local cache
    knows them, so that terabytes need not be read again. Raises CorpusError.
    """
    kind = KINDS[corpus.kind]
    paths = kind.files(corpus, download)
    available = kind.count(corpus)
    if available is not None and corpus.documents is not None:
        available = min(available, corpus.documents)
    return {
        "kind": corpus.kind,
        "dataset": corpus.dataset,
        "revision": corpus.revision,
        "documents": available,
        "files": [
            {
                "name": name,
                "bytes": path.stat().st_size,
                "digest": (corpus.dataset and content_digest(path)) or file_sha256(path),
            }
            for name, path in zip(kind.names(corpus), paths, strict=True)
        ],
    }


def check_unchanged(corpus: Corpus, description: dict[str, Any]) -> None:
    """Raise CorpusError when the corpus differs from its ``description``, by names and sizes of the files."""
    kind = KINDS[corpus.kind]
    sizes, names = [path.stat().st_size for path in kind.files(corpus)], kind.names(corpus)
    if names != [file["name"] for file in description["files"]]:
        raise CorpusError("the corpus description lists other files than the settings: describe the corpus again")
    for name, size, file in zip(names, sizes, description["files"], strict=True):
        if size != file["bytes"]:
            raise CorpusError(f"{name} has {size} bytes, {file['bytes']} when it was described: describe it again")


def short_name(corpus: Corpus) -> str:
    """What messages call the corpus: its first file, or its kind."""
    if not corpus.files:
        return corpus.kind
    return corpus.files[0] + (f" and {len(corpus.files) - 1} more files" if len(corpus.files) > 1 else "")
