"""Held-out rows for measures: a draw over the whole held-out text, and which document every token is from.

Measures take some sequences of the text, never the first ones: these are one chapter of one book. Every measure takes
its rows here, so all of them see the same draw.
"""

from pathlib import Path

import numpy as np

from spikesink.data.batches import (
    TokenError,
    TokenStream,
    at_least_one_sequence,
    entry_of,
    file_of,
    read_index,
    remake,
)
from spikesink.runs.sums import file_sum
from spikesink.study.errors import first_line

DRAW_SEED = 0
"""Seed of the draw, the same for every model and measure; tables of perplexity record it."""


def drawn_places(stream: TokenStream, sequence_length: int, sequences: int) -> np.ndarray:
    """Places [n] of at most this many rows of ``sequence_length`` in the stream, drawn without replacement.

    A row is as likely as any other, so a document counts by its length. Fewer rows are the first ones of more. Raises
    TokenError when the stream is shorter than one sequence.
    """
    count = at_least_one_sequence(stream, sequence_length)
    return np.random.default_rng(DRAW_SEED).permutation(count)[:sequences]


def held_out_rows(stream: TokenStream, sequence_length: int, sequences: int) -> np.ndarray:
    """Rows [n, T + 1] of token ids, int64, drawn from the held-out text: inputs are [:, :-1], targets [:, 1:].

    n is ``sequences``, or fewer where the text has fewer. Raises TokenError as ``drawn_places`` does.
    """
    return stream.sequences(drawn_places(stream, sequence_length, sequences), sequence_length)


def document_starts(folder: str | Path, split: str) -> np.ndarray:
    """The position in the stream at which every document of a split starts. Raises TokenError."""
    entry = entry_of(read_index(folder), folder, split, {"document_starts": str})
    path = file_of(entry["document_starts"], folder)
    try:
        is_same = entry.get("document_starts_sha256") in (None, file_sum(path))
    except OSError as error:
        raise TokenError(f"{path} cannot be read ({error.strerror}): {remake(path)}") from error
    if not is_same:
        raise TokenError(f"{path} is damaged, its sha256 differs from the index: {remake(path)}")
    try:
        return np.load(path).astype(np.int64)
    except (OSError, EOFError, ValueError) as error:
        raise TokenError(f"{path} cannot be read ({first_line(error)}): {remake(path)}") from error


def documents_of_targets(
    stream: TokenStream, starts: np.ndarray, places: np.ndarray, sequence_length: int
) -> np.ndarray:
    """The number of the document that every target of the rows at ``places`` [n] is from: int64 [n, T], from 0."""
    first = places[:, None] * sequence_length + np.arange(sequence_length)
    # Behind a BOS of the sequence the first target is the row's first token of the stream; otherwise its second one.
    targets = first + (stream.bos != "sequence")
    return np.searchsorted(starts, targets, side="right") - 1
