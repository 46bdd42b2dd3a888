"""Which keys a query sees."""

import torch
from torch import Tensor


def visible(queries: int, keys: int, window: int | None, device: torch.device) -> Tensor:
    """Which of so many keys each of the last ``queries`` positions sees: [queries, keys], true where it does.

    A query sees no later key and, with a window, only that many keys up to its own.
    """
    place = torch.arange(keys, device=device)
    age = place[keys - queries :, None] - place
    return age >= 0 if window is None else (age >= 0) & (age < window)


def hidden_removed(scores: Tensor, window: int | None) -> Tensor:
    """Scores [..., queries, keys] of the last positions, with -inf at keys that their query does not see.

    Scores of fewer queries than keys may be changed in place.
    """
    queries, keys = scores.shape[-2:]
    if window is None and queries < keys:
        # Later keys are all in the last square. To go over the whole would cost as much as a softmax.
        scores[..., keys - queries :].masked_fill_(~visible(queries, queries, None, scores.device), float("-inf"))
        return scores
    return scores.masked_fill(~visible(queries, keys, window, scores.device), float("-inf"))
