"""Sequences with and without the token that all of them begin with."""

from torch import Tensor


def starts(tokens_BT: Tensor) -> dict[str, Tensor]:
    """The sequences by what they start with: ``bos``, as they are, and ``text``, without their first token.

    Only sequences that all begin with the same token (a BOS) have both: position 0 sees nothing but itself, so its
    states are the same in all of them, and their cosine is trivially 1. Other sequences are ``text`` as they are.
    """
    if len(tokens_BT) > 1 and tokens_BT.shape[1] > 2 and bool((tokens_BT[:, 0] == tokens_BT[0, 0]).all()):
        return {"bos": tokens_BT, "text": tokens_BT[:, 1:]}
    return {"text": tokens_BT}
