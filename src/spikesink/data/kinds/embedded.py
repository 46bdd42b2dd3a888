"""The public-domain English sample in the repository."""

from pathlib import Path

import datasets

from spikesink.data import readers
from spikesink.study.settings import Corpus

SAMPLE = Path(__file__).parents[1] / "embedded" / "english.parquet"


def names(corpus: Corpus) -> list[str]:
    return [SAMPLE.name]


def files(corpus: Corpus, download: bool = False) -> list[Path]:
    return [SAMPLE]


def documents(corpus: Corpus) -> datasets.IterableDataset:
    return readers.read([SAMPLE], "text")
