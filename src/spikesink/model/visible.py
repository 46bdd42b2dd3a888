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
