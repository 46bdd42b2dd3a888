"""Intervals over seeds: what a handful of runs says about the mean over all seeds.

Seeds are independent, and means have Student's t interval. On the logarithmic scale a mean is the geometric mean and a
change is a ratio: the scale for what is positive, skewed and compared by factors, such as magnitudes and perplexities.
Where half of the values lie on a bound, the interval of ``spikesink.tables.statistics.bounded`` is added.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from spikesink.tables.statistics.bounded import bounded_interval

LEVEL = 0.95
SMALLEST_P = 1e-12

Bounds = tuple[float, float]


class Estimate(NamedTuple):
    """A value with its interval; ``low`` and ``high`` are None where one seed, or none, gives no interval.

    ``count`` is the number of seeds.
    """

    value: float | None
    low: float | None
    high: float | None
    count: int


NOTHING = Estimate(None, None, None, 0)


class Statistic(NamedTuple):
    """A value over seeds, and its interval at every level.

    ``at`` gives the interval at a level; None where seeds do not vary or are too few. ``spread`` is the standard
    deviation of one seed's value, of a change that of the difference of two runs, on the logarithmic scale where
    ``log``. ``method`` is "paired", "Welch" or "", ``correlation`` that of the two sides over their common seeds.
    ``wide`` says that half of the values lie on a bound.
    """

    value: float | None
    at: Callable[[float], tuple[float, float]] | None
    count: int
    spread: float | None = None
    log: bool = False
    method: str = ""
    correlation: float | None = None
    wide: bool = False

    def estimate(self, level: float = LEVEL) -> Estimate:
        low, high = self.at(level) if self.at else (None, None)
        return Estimate(self.value, low, high, self.count)


def mean_of(values: Sequence[float], *, log: bool = False, bounds: Bounds | None = None) -> Statistic:
    """The mean over seeds; with ``log`` the geometric mean.

    With ``bounds`` the interval ends there, and is Gaffke's too where half of the values lie on one. Raises ValueError
    where a logarithm does not exist.
    """
    if not len(values):
        return Statistic(None, None, 0, log=log)
    sample = logarithms(values) if log else np.asarray(values, float)
    count = len(sample)
    if count == 1:
        return Statistic(float(values[0]), None, 1, log=log)
    found = of_sample(sample, log)
    if bounds is None:
        return found if varies(sample) else found._replace(at=None)
    on_bound = mostly_on(bounds, values)

    def at(level: float) -> tuple[float, float]:
        low, high = found.at(level)
        if on_bound:
            wide = bounded_interval(values, bounds, level)
            low, high = min(low, wide[0]), max(high, wide[1])
        return max(low, bounds[0]), min(high, bounds[1])

    return found._replace(at=at if on_bound or varies(sample) else None, wide=on_bound)


def of_sample(sample: np.ndarray, log: bool) -> Statistic:
    """The mean of a sample with Student's t interval; with ``log`` the sample is of logarithms."""
    count, spread = len(sample), float(sample.std(ddof=1))
    return student(float(sample.mean()), spread / math.sqrt(count), count - 1, count, log, spread)


def student(mean: float, error: float, freedom: float, count: int, log: bool, spread: float) -> Statistic:
    """A statistic with Student's t interval; with ``log`` mean, error and spread are of logarithms."""
    back = math.exp if log else float

    def at(level: float) -> tuple[float, float]:
        half = float(stdtrit(freedom, (1 + level) / 2)) * error
        return guarded(back, mean - half), guarded(back, mean + half)

    return Statistic(back(mean), at, count, spread, log)


def guarded(back: Callable[[float], float], value: float) -> float:
    """exp of a large number is infinite, no error."""
    return math.inf if back is math.exp and value > 700 else back(value)


def p_value(found: Statistic, null: float) -> float | None:
    """Two-sided p value that the value is ``null``; None without an interval."""
    if found.at is None:
        return None
    return smallest_level(lambda level: not inside(null, found.at(level)))


def smallest_level(decided: Callable[[float], bool]) -> float:
    """The smallest alpha for which ``decided(1 - alpha)``: intervals shrink as alpha grows, so one half of all alphas
    decides. 1 where none does."""
    if not decided(0.0):
        return 1.0
    low, high = math.log(SMALLEST_P), 0.0
    if decided(1 - SMALLEST_P):
        return SMALLEST_P
    for _ in range(45):
        middle = (low + high) / 2
        low, high = (low, middle) if decided(1 - math.exp(middle)) else (middle, high)
    return math.exp(high)


def inside(value: float, ends: tuple[float, float]) -> bool:
    return ends[0] <= value <= ends[1]


def upper_tail(freedom: float, t: float) -> float:
    return float(stdtr(freedom, -t))


def mostly_on(bounds: Bounds, values: Iterable[float]) -> bool:
    """Whether at least half of the values lie on a bound: then their spread says too little for Student's t.

    Never where a bound is infinite: no interval of ``spikesink.tables.statistics.bounded`` helps there.
    """
    if math.isinf(bounds[1] - bounds[0]):
        return False
    room = 1e-9 * (bounds[1] - bounds[0])
    found = [value <= bounds[0] + room or value >= bounds[1] - room for value in values]
    return 2 * sum(found) >= len(found)


def varies(sample: np.ndarray) -> bool:
    """Whether values differ by more than the rounding errors of equal ones."""
    spread = float(np.ptp(sample)) if len(sample) else 0.0
    return spread > 1e-12 * max(1e-300, float(np.abs(sample).max(initial=0.0)))


def logarithms(values: Sequence[float]) -> np.ndarray:
    sample = np.asarray(values, float)
    if (sample <= 0).any():
        raise ValueError(f"{sample.min():g} has no logarithm")
    return np.log(sample)
