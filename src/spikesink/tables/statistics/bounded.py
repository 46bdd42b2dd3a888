"""Intervals for means of bounded values, where the spread between a few seeds says too little.

Five seeds without any sink have the standard deviation 0, which is no certainty. With values between two known bounds
an interval needs no standard deviation. For values that are all on a bound it is Clopper and Pearson's (1934), the
exact interval of a count. For other values it is Gaffke's (2005), which extends it to all bounded values.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.special import betaincinv

DRAWS = 20_000
"""Draws by which Gaffke's bound is computed; they are the same in every process."""


def clopper_pearson(successes: int, trials: int, level: float) -> tuple[float, float]:
    """The exact interval for the probability of a success, after ``successes`` of ``trials`` independent ones."""
    tail = (1 - level) / 2
    low = float(betaincinv(successes, trials - successes + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, trials - successes, 1 - tail)) if successes < trials else 1.0
    return low, high


def bounded_interval(values: Sequence[float], bounds: tuple[float, float], level: float) -> tuple[float, float]:
    """The interval for the mean of independent values that cannot leave ``bounds``."""
    lowest, highest = bounds
    scaled = sorted(min(1.0, max(0.0, (value - lowest) / (highest - lowest))) for value in values)
    if set(scaled) <= {0.0, 1.0}:
        low, high = clopper_pearson(int(sum(scaled)), len(scaled), level)
    else:
        high = upper_bound(tuple(scaled), (1 - level) / 2)
        low = 1 - upper_bound(tuple(sorted(1 - value for value in scaled)), (1 - level) / 2)
    return lowest + low * (highest - lowest), lowest + high * (highest - lowest)


@cache
def upper_bound(ordered: tuple[float, ...], tail: float) -> float:
    """Gaffke's upper bound for the mean of values between 0 and 1, which the mean exceeds with probability ``tail``.

    The values and 1 get random weights, uniform over all weights that sum to 1; the bound is a quantile of that mean.
    The draws say nothing of a probability below 1 / DRAWS: then the bound is 1, so that no p value is below 2 / DRAWS.
    """
    if tail < 1 / DRAWS:
        return 1.0
    means = weights(len(ordered)) @ np.array([*ordered, 1.0])
    return float(np.quantile(means, 1 - tail))


@cache
def weights(count: int) -> np.ndarray:
    """DRAWS rows of ``count`` + 1 random weights that sum to 1, uniform over all such weights."""
    return np.random.default_rng(0).dirichlet(np.ones(count + 1), DRAWS)
