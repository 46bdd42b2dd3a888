"""The definition of perplexity."""

import math


def perplexity(nll_nats: float, tokens: int) -> float | None:
    """exp(nll_nats / tokens), from the summed negative log-likelihood of so many tokens (2603.05498 App A).

    None where no token was scored, infinity where the exponential is too large for a number.
    """
    if not tokens:
        return None
    mean = nll_nats / tokens
    return math.exp(mean) if mean < 700 else math.inf
