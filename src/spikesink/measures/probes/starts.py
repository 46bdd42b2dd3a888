"""Sequences with and without the token that all of them begin with."""

from torch import Tensor


def starts(tokens_BT: Tensor) -> dict[str, Tensor]:
    """Sequences by what stands at position 0: ``bos`` as they are, ``text`` without their first token.

    Position 0 sees nothing but itself, so behind a BOS its states are the same in all sequences and their cosine is
    trivially 1. Sequences that do not all begin with the same token are ``text`` already.
    """
    if len(tokens_BT) > 1 and tokens_BT.shape[1] > 2 and bool((tokens_BT[:, 0] == tokens_BT[0, 0]).all()):
        return {"bos": tokens_BT, "text": tokens_BT[:, 1:]}
    return {"text": tokens_BT}
