"""The same packed text with its BOS elsewhere: a corpus is packed once, and a variant may be trained with another BOS.

Needs numpy and nothing else, as ``spikesink.data.batches`` does. A BOS before every document is put in,
or passed over, as rows are cut: nothing is written, and memory does not grow with the corpus.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spikesink.data.batches import TokenError, TokenStream
from spikesink.data.drawn_rows import document_starts


@dataclass(frozen=True, eq=False)
class WithStarts:
    """A stream of tokens with a BOS before every document, of one that has none there."""

    tokens: np.ndarray
    starts: np.ndarray
    """Where every document starts in the stream that this is: at its BOS."""
    bos_id: int

    def __len__(self) -> int:
        return len(self.tokens) + len(self.starts)

    def __getitem__(self, places: np.ndarray) -> np.ndarray:
        document = np.searchsorted(self.starts, places, side="right") - 1
        is_bos = places == self.starts[document]
        # Every document up to this one has put a BOS before the token; a BOS itself reads any token.
        found = self.tokens[np.where(is_bos, 0, places - document - 1)]
        return np.where(is_bos, np.asarray(self.bos_id, found.dtype), found)


@dataclass(frozen=True, eq=False)
class WithoutStarts:
    """A stream of tokens without the BOS that stands before every document of another."""

    tokens: np.ndarray
    starts: np.ndarray
    """Where every document starts in the stream that this is."""

    def __len__(self) -> int:
        return len(self.tokens) - len(self.starts)

    def __getitem__(self, places: np.ndarray) -> np.ndarray:
        document = np.searchsorted(self.starts, places, side="right") - 1
        return self.tokens[places + document + 1]


def with_bos(stream: TokenStream, starts: np.ndarray, bos: str | None) -> tuple[TokenStream, np.ndarray]:
    """The stream with this BOS (``training.bos``; None: as it is packed), and where its documents start then [D].

    ``starts`` [D] are the positions in ``stream`` at which documents start. Raises TokenError where a BOS is asked for
    and the text was packed without one.
    """
    if bos is None or bos == stream.bos:
        return stream, starts
    if bos != "none" and stream.bos_id is None:
        raise TokenError(f"training.bos = {bos!r}, and the text was packed without a BOS: set tokenizer.bos to {bos!r}")
    tokens, before = stream.tokens, np.arange(len(starts))
    if bos == "document":
        starts = starts + before
        tokens = WithStarts(tokens, starts, stream.bos_id)
    elif stream.bos == "document":
        starts = starts - before
        tokens = WithoutStarts(tokens, starts)
    return replace(stream, tokens=tokens, bos=bos, bos_id=None if bos == "none" else stream.bos_id), starts


def open_with_bos(
    folder: str | Path, split: str, bos: str | None, verify: bool = True
) -> tuple[TokenStream, np.ndarray]:
    """A split of a packed corpus with this BOS, and where its documents start. Raises TokenError."""
    return with_bos(TokenStream.open(folder, split, verify), document_starts(folder, split), bos)
