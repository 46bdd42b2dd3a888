"""Batches from a packed token stream: a pure function of (seed, step).

There is no loader state: seed and step alone determine the batch. A resumed run therefore sees exactly what an
uninterrupted one would have seen, and all variants with one seed train on the same tokens in the same order.

Needs numpy and nothing else, so that training runs on a machine without ``datasets`` or ``tokenizers``.
Shapes: B sequences in a batch, T tokens of context; a row holds T + 1 tokens, T inputs and as many targets.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from spikesink.runs.json_file import sum_of
from spikesink.runs.sums import file_sum

INDEX = "tokens.json"
FORMAT = 1
KEYS = {"dtype": str, "vocabulary": int, "bos": str, "splits": dict}
"""What every index has, and its type."""
ENTRY = {"file": str, "bytes": int, "sha256": str}
"""What the entry of every split has, and its type."""


class TokenError(ValueError):
    """A token stream that is missing, damaged or too short; the message names the file and what to do."""


class SyntheticLanguage(NamedTuple):
    """What the synthetic text Bigram-Backcopy was drawn from, in token ids."""

    triggers: tuple[int, ...]
    """Tokens after which the token before them comes again."""
    bigrams: np.ndarray
    """Counts of each pair [n, n]: after another token, row, the next is drawn by them."""


@dataclass(frozen=True, eq=False)
class TokenStream:
    """One split of a packed corpus."""

    tokens: np.ndarray
    """Token ids, one after another (memory-mapped); or what has a length and is indexed like it."""
    bos: str
    """sequence: a BOS is put before every row, not stored in the stream; document, none: rows are cut from the
    stream."""
    bos_id: int | None
    """Id of the BOS token; None if there is none."""
    vocabulary: int
    """Number of token ids."""
    language: SyntheticLanguage | None = None
    """What the text was drawn from, where it is Bigram-Backcopy."""

    @classmethod
    def open(cls, folder: str | Path, split: str, verify: bool = True) -> Self:
        """Open ``train`` or ``validation``; ``verify`` reads the file once to compare its checksum with the index.

        Raises TokenError when the index or the file is missing, or the file is not the one that was packed.
        """
        index = read_index(folder)
        entry = entry_of(index, folder, split, ENTRY)
        path = file_of(entry["file"], folder)
        if not path.exists():
            raise TokenError(f"{path} is missing: {remake(path)}")
        size = path.stat().st_size
        if size != entry["bytes"]:
            raise TokenError(f"{path} has {size} bytes, its index says {entry['bytes']}: {remake(path)}")
        if verify and file_sum(path) != entry["sha256"]:
            raise TokenError(f"{path} is damaged, its sha256 differs from the index: {remake(path)}")
        tokens = np.memmap(path, dtype=index["dtype"], mode="r")
        facts = {"bos_id": index.get("bos_id")} | {name: index[name] for name in ("bos", "vocabulary")}
        if index["bos"] == "sequence" and not isinstance(facts["bos_id"], int):
            raise TokenError(f"{Path(folder) / INDEX} has no bos_id: {remake(Path(folder) / INDEX)}")
        if drawn := index.get("language"):
            facts["language"] = language_of(drawn, Path(folder) / INDEX)
        return cls(tokens=tokens, **facts)

    def number_of_sequences(self, sequence_length: int) -> int:
        """How many rows of ``sequence_length`` + 1 tokens the stream yields.

        Consecutive rows share one token, except with bos ``sequence``: there the first token of a row is the BOS.
        """
        return max(len(self.tokens) - (self.bos != "sequence"), 0) // sequence_length

    def sequences(self, indices: np.ndarray, sequence_length: int) -> np.ndarray:
        """Rows at ``indices`` [B], each T + 1 tokens from stream position index * T, as int64 [B, T + 1]."""
        first = np.asarray(indices, dtype=np.int64) * sequence_length
        if self.bos != "sequence":
            return self.tokens[first[:, None] + np.arange(sequence_length + 1)].astype(np.int64)
        rows = np.empty((len(first), sequence_length + 1), dtype=np.int64)
        rows[:, 0] = self.bos_id
        rows[:, 1:] = self.tokens[first[:, None] + np.arange(sequence_length)]
        return rows


def batch(
    stream: TokenStream, *, seed: int, step: int, batch_size: int, sequence_length: int, distinct: int | None = None
) -> np.ndarray:
    """The batch of a 0-based ``step``, int64 [B, T + 1]: inputs are [:, :-1], targets [:, 1:].

    Every epoch is a fresh permutation of all sequences, or of ``distinct`` ones that the seed draws from them; a batch
    may span two epochs. Raises TokenError when the stream is shorter than one sequence, or has fewer than ``distinct``.
    """
    whole = at_least_one_sequence(stream, sequence_length)
    count = whole if distinct is None else distinct
    if count > whole:
        raise TokenError(
            f"the stream has {whole:,} sequences of {sequence_length} tokens, and distinct_share asks for {count:,} "
            "different ones: use more text or a smaller distinct_share"
        )
    position = step * batch_size + np.arange(batch_size, dtype=np.int64)
    epoch, within = np.divmod(position, count)
    indices = np.empty(batch_size, dtype=np.int64)
    for number in np.unique(epoch):
        rows = epoch == number
        indices[rows] = permutation(seed, int(number), count)[within[rows]]
    if distinct is not None:
        indices = drawn_sequences(seed, whole, count)[indices]
    return stream.sequences(indices, sequence_length)


def read_index(folder: str | Path) -> dict:
    """The index of a packed corpus; raises TokenError when it is missing or not readable."""
    path = Path(folder) / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TokenError(f"{path} is missing: pack the tokens first") from None
    except (ValueError, RecursionError) as error:
        raise TokenError(f"{path} is not valid JSON ({error}): {remake(path)}") from None
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise TokenError(f"{path} is not a token index of format {FORMAT}: {remake(path)}")
    if missing := [key for key, kind in KEYS.items() if not isinstance(index.get(key), kind)]:
        raise TokenError(f"{path} has no {missing[0]!r}, or something else in its place: {remake(path)}")
    if index.get("sum") not in (None, sum_of(index)):
        raise TokenError(f"{path} is damaged, it is not what its own sum says: {remake(path)}")
    return index


def language_of(drawn: dict, index: Path) -> SyntheticLanguage:
    """What the file ``index`` says of the synthetic text. Raises TokenError."""
    try:
        return SyntheticLanguage(tuple(drawn["triggers"]), np.array(drawn["bigrams"]))
    except (KeyError, TypeError, ValueError) as error:
        raise TokenError(f"{index} does not describe its language ({error!r}): {remake(index)}") from None


def entry_of(index: dict, folder: str | Path, split: str, kinds: dict[str, type]) -> dict:
    """What an index says of a split, with all keys of ``kinds``. Raises TokenError."""
    path = Path(folder) / INDEX
    if split not in index["splits"]:
        raise TokenError(f"{path} has no split {split!r}: it has {', '.join(index['splits'])}")
    entry = index["splits"][split]
    for key, kind in kinds.items():
        if not isinstance(entry, dict) or not isinstance(entry.get(key), kind):
            raise TokenError(f"{path} has no splits.{split}.{key}, or something else in its place: {remake(path)}")
    return entry


def file_of(name: str, folder: str | Path) -> Path:
    """The path of a file that the index in ``folder`` names. Raises TokenError where it is outside the folder."""
    path, index = Path(folder) / name, Path(folder) / INDEX
    if path.name != name:
        raise TokenError(f"{index} names a file outside its folder, {name!r}: {remake(index)}")
    return path


def remake(path: Path) -> str:
    """What to do about a file of a token stream that is missing or damaged.

    Asked for alone, it is packed again. Its index then says what it said before, so that no run is trained again.
    """
    return f"delete it if it is there, then run the same snakemake command twice, first with the target {path}"


def at_least_one_sequence(stream: TokenStream, sequence_length: int) -> int:
    """How many rows the stream yields. Raises TokenError if there are none."""
    count = stream.number_of_sequences(sequence_length)
    if count < 1:
        raise TokenError(
            f"the stream has {len(stream.tokens)} tokens, less than one sequence of sequence_length = "
            f"{sequence_length}: use a larger corpus or a shorter sequence_length"
        )
    return count


@lru_cache(maxsize=2)  # two, because a batch may span two epochs
def permutation(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of the ``count`` sequences in an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count)


@lru_cache(maxsize=1)
def drawn_sequences(seed: int, whole: int, count: int) -> np.ndarray:
    """The places of ``count`` sequences of ``whole``, drawn without replacement, in the order of the text."""
    return np.sort(np.random.default_rng([seed, 0, whole]).permutation(whole)[:count])
