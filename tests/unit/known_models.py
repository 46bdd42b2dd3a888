"""Stand-ins for models whose predictions are known: measures call them as they call a decoder."""

import numpy as np
import torch
from torch import Tensor

CERTAIN = 200.0
"""A logit that leaves the others no probability."""


class KnownModel:
    """A model whose logits a function of the tokens [B, T] gives as [B, T, V].

    For what reads a decoder's parts: its embedding gives the logits, it has no block, and its head leaves them.
    """

    device = torch.device("cpu")
    blocks = ()

    def __init__(self, logits) -> None:
        self.logits = self.embedding = logits

    @property
    def head_weight(self) -> Tensor:
        return torch.eye(self.logits(torch.zeros(1, 1, dtype=torch.long)).shape[-1])

    def final_states(self, tokens: Tensor) -> Tensor:
        return self.logits(tokens)

    def __call__(self, tokens: Tensor, window: tuple[int, int] | None = None) -> Tensor:
        first, last = window or (0, tokens.shape[1])
        return self.logits(tokens)[:, first:last]


def uniform(vocabulary: int) -> KnownModel:
    """Every token is equally likely."""
    return KnownModel(lambda tokens: torch.zeros(*tokens.shape, vocabulary))


def copying(vocabulary: int, context: int = 1) -> KnownModel:
    """Predicts what followed the last ``context`` tokens when they last stood in the sequence; uniform if they never
    did: what a perfect induction head does."""

    def logits(tokens: Tensor) -> Tensor:
        found = torch.zeros(*tokens.shape, vocabulary)
        for row, sequence in enumerate(tokens.tolist()):
            followed: dict[tuple, int] = {}
            for place in range(context - 1, len(sequence)):
                key = tuple(sequence[place - context + 1 : place + 1])
                if key in followed:
                    found[row, place, followed[key]] = CERTAIN
                if place + 1 < len(sequence):
                    followed[key] = sequence[place + 1]
        return found

    return KnownModel(logits)


def oracle(triggers: tuple[int, ...], bigrams: np.ndarray, vocabulary: int) -> KnownModel:
    """Knows both rules of Bigram-Backcopy: copies after a trigger, else the bigrams' probabilities."""
    table = torch.full((vocabulary, vocabulary), -CERTAIN)
    characters = len(bigrams)
    shares = torch.from_numpy(bigrams / bigrams.sum(axis=1, keepdims=True)).float()
    table[:characters, :characters] = shares.log().clamp(min=-CERTAIN)

    def logits(tokens: Tensor) -> Tensor:
        found = table[tokens]
        for row, sequence in enumerate(tokens.tolist()):
            for place in range(1, len(sequence)):
                if sequence[place] in triggers:
                    found[row, place] = 0
                    found[row, place, sequence[place - 1]] = CERTAIN
        return found

    return KnownModel(logits)
