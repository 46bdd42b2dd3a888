"""Which documents are held out for validation, decided as they come: neither their number nor their lengths are known.

There are two rules. ``is_validation`` goes by the document's number: the corpora that are part of this project use it.
``drawn`` goes by the length of what came before: files that people bring hold documents of any length.
"""

import hashlib
from collections.abc import Iterable, Iterator
from fractions import Fraction

SEED = 0  # of a corpus; the seeds of a study vary initial weights and the order of the data


def is_validation(index: int, validation_share: float) -> bool:
    """Whether the document at 0-based ``index`` is held out: one in every 1 / share, the first one included.

    The answer comes from exact integer arithmetic on the index alone. It needs no corpus length, so it stays the same
    when a corpus is cut short or extended. Of n >= 2 documents at least one is held out and at least one is not.
    """
    share = Fraction(str(validation_share))
    return (index * share.numerator) % share.denominator < share.numerator


def drawn(texts: Iterable[str], validation_share: float) -> Iterator[tuple[str, bool]]:
    """Each text, and whether it is held out: drawn so that ``validation_share`` of the whole length is.

    While less than that share of the bytes so far is held out, a seeded coin decides about each text. Its own length
    has no part in it, so long and short texts are held out alike. Of two or more texts that are not empty at least one
    is held out and at least one is not: the last one, if the coin gave no other.
    """
    share = Fraction(str(validation_share))
    lengths = {True: 0, False: 0}  # bytes that are held out, and that are not
    before = dict(lengths)  # without the newest text that is not empty
    waiting: list[tuple[str, bool]] = []  # that text, and empty ones after it
    for index, text in enumerate(texts):
        length = len(text.encode())
        is_held_out = lengths[True] < share * sum(lengths.values()) and coin(index, share)
        if length:
            yield from waiting
            waiting.clear()
        waiting.append((text, is_held_out))
        if length:
            before = dict(lengths)
            lengths[is_held_out] += length
    if waiting and any(before.values()) and not all(before.values()):
        text = waiting[0][0]
        waiting[0] = text, not before[True]
    yield from waiting


def coin(index: int, share: Fraction) -> bool:
    """Falls on True with a probability of (1 + share) / 2, from the seed and the text's index alone."""
    digest = hashlib.sha256(f"{SEED} {index}".encode()).digest()
    return Fraction(int.from_bytes(digest[:8]), 1 << 64) < (1 + share) / 2
