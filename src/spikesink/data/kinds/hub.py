"""Files of a Hugging Face dataset at a pinned commit; ``corpus.files`` names them, with ranges as of local files."""

from pathlib import Path

import datasets

from spikesink.data import readers
from spikesink.data.errors import CorpusError
from spikesink.data.hub import HubError, hub_file
from spikesink.data.kinds.files import names
from spikesink.study.settings import Corpus

__all__ = ["documents", "files", "names"]


def files(corpus: Corpus, download: bool = False) -> list[Path]:
    """The files in the local cache. Raises CorpusError for one that is not there or cannot be fetched."""
    try:
        return [
            hub_file(corpus.dataset, name, revision=corpus.revision, kind="dataset", download=download)
            for name in names(corpus)
        ]
    except HubError as error:
        raise CorpusError(str(error)) from None


def documents(corpus: Corpus) -> datasets.IterableDataset:
    return readers.read(files(corpus), corpus.text_field, corpus.document_separator)
