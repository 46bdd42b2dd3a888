"""Bigram-Backcopy, the synthetic language of Guo et al. (2410.13835), as text.

A document is a Markov chain over 65 characters: the first comes from the unigram distribution without the triggers,
each next one from the bigram distribution of the character before it. The k most frequent characters are triggers:
after a trigger comes a copy of the character before the trigger. A head that solves the task must look back one step at
triggers and nowhere at other characters, which makes it dormant there: it attends to the BOS.

The counts come from the embedded sample (the paper: tiny Shakespeare): all characters but its 65 most frequent are
dropped, and counts do not cross documents. The stream is finite, the paper samples afresh at every step.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import datasets
import numpy as np

from spikesink.data import readers
from spikesink.data.kinds.embedded import SAMPLE, files, names
from spikesink.study.settings import Corpus

__all__ = ["documents", "files", "names"]

CHARACTERS = 65
SEED = 0  # the corpus of a study; its seeds vary initial weights and data order
BLOCK = 1024  # documents drawn at a time; bounds memory


@dataclass(frozen=True, eq=False)
class Language:
    """Counts behind the synthetic text; ids number the characters in code-point order."""

    characters: str
    """The 65 characters; a character's position is its id."""
    unigrams: np.ndarray
    """Occurrences of each character [65]."""
    bigrams: np.ndarray
    """Occurrences of each pair [65, 65]: row, the first character; column, the second."""

    def triggers(self, number: int) -> np.ndarray:
        """Ids of the ``number`` most frequent characters, the most frequent first."""
        return np.argsort(-self.unigrams, kind="stable")[:number]


def language(texts: Sequence[str]) -> Language:
    """Count characters and pairs of ``texts``."""
    points = [np.frombuffer(text.encode("utf-32-le"), dtype="<u4") for text in texts]
    found, occurrences = np.unique(np.concatenate(points), return_counts=True)
    kept = np.sort(found[np.argsort(-occurrences, kind="stable")[:CHARACTERS]])
    ids = np.full(int(found.max()) + 1, -1, dtype=np.int64)
    ids[kept] = np.arange(len(kept))
    unigrams = np.zeros(len(kept), dtype=np.int64)
    bigrams = np.zeros(len(kept) ** 2, dtype=np.int64)
    for document in points:
        symbols = ids[document]
        symbols = symbols[symbols >= 0]
        unigrams += np.bincount(symbols, minlength=len(unigrams))
        bigrams += np.bincount(symbols[:-1] * len(kept) + symbols[1:], minlength=len(bigrams))
    characters = "".join(map(chr, kept))
    return Language(characters=characters, unigrams=unigrams, bigrams=bigrams.reshape(len(kept), len(kept)))


@lru_cache(maxsize=1)
def sample_language() -> Language:
    """Character and bigram counts of the embedded sample, from which the synthetic text is drawn."""
    return language([row["text"] for row in readers.read([SAMPLE], "text")])


def documents(corpus: Corpus) -> datasets.IterableDataset:
    """Synthetic documents of ``synthetic_length`` - 1 characters. Packing adds the BOS that opens each.

    There are as many as ``synthetic_tokens`` hold, and at least two, for one is held out.
    """
    features = datasets.Features({"text": datasets.Value("string")})
    return datasets.IterableDataset.from_generator(
        generate, features=features, gen_kwargs={"counts": sample_language(), "corpus": corpus}
    )


def sample(counts: Language, random: np.random.Generator, documents: int, length: int, triggers: int) -> np.ndarray:
    """Character ids of ``documents`` documents, int64 [documents, length]."""
    is_trigger = np.zeros(len(counts.unigrams), dtype=bool)
    is_trigger[counts.triggers(triggers)] = True
    first = cumulative_rows(np.where(is_trigger, 0, counts.unigrams)[None])
    following = cumulative_rows(counts.bigrams)
    symbols = np.empty((documents, length), dtype=np.int64)
    symbols[:, 0] = draw(first, np.zeros(documents, dtype=np.int64), random)
    for position in range(1, length):
        last = symbols[:, position - 1]
        drawn = draw(following, last, random)
        # A trigger is never first and a copy is never a trigger, so position - 2 exists wherever it is read.
        copied = symbols[:, max(position - 2, 0)]
        symbols[:, position] = np.where(is_trigger[last], copied, drawn)
    return symbols


def generate(counts: Language, corpus: Corpus) -> Iterator[dict[str, str]]:
    random = np.random.default_rng(SEED)
    alphabet = np.array(list(counts.characters))
    length = corpus.synthetic_length - 1
    remaining = max(corpus.synthetic_tokens // corpus.synthetic_length, 2)
    while remaining:
        number = min(remaining, BLOCK)
        symbols = sample(counts, random, number, length, corpus.synthetic_triggers)
        for row in alphabet[symbols]:
            yield {"text": "".join(row)}
        remaining -= number


def cumulative_rows(counts: np.ndarray) -> np.ndarray:
    """Rows of cumulative probabilities, row r shifted up by r: one sorted list that serves all rows at once."""
    sums = np.cumsum(counts, axis=1)
    return sums / sums[:, -1:] + np.arange(len(counts))[:, None]


def draw(cumulative: np.ndarray, rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
    columns = cumulative.shape[1]
    place = np.searchsorted(cumulative.ravel(), rows + random.random(len(rows)), side="right")
    return np.minimum(place - rows * columns, columns - 1)  # the minimum: rounding may reach the next row
