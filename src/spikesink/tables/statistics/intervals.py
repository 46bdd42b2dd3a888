"""Intervals over seeds: what a handful of runs says about the mean over all seeds.

Every value is the mean of independent seeds with Student's t interval. On the logarithmic scale the mean is the
geometric mean and a difference is a ratio: the scale for magnitudes that are positive, skewed and compared by factors.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

LEVEL = 0.95


class Estimate(NamedTuple):
    """A value with its interval; ``low`` and ``high`` are None where one seed, or none, gives no interval.

    ``count`` is the number of seeds, or of pairs of runs with equal seed.
    """

    value: float | None
    low: float | None
    high: float | None
    count: int


NOTHING = Estimate(None, None, None, 0)


def mean_interval(values: Sequence[float], *, log: bool = False, level: float = LEVEL) -> Estimate:
    """Mean and t interval: mean ± t(n - 1) sd / sqrt(n), sd with n - 1.

    With ``log``: of the logarithms, transformed back, so the mean is geometric. Without values everything is None.
    Raises ValueError where a logarithm does not exist.
    """
    if not len(values):
        return NOTHING
    sample = logarithms(values) if log else np.asarray(values, float)
    back = math.exp if log else float
    mean, count = sample.mean(), len(sample)
    if count == 1:
        return Estimate(float(values[0]), None, None, 1)
    half = quantile(count, level) * sample.std(ddof=1) / math.sqrt(count)
    return Estimate(back(mean), back(mean - half), back(mean + half), count)


def change_interval(ours: Sequence[float], base: Sequence[float], *, log: bool, level: float = LEVEL) -> Estimate:
    """The change from ``base`` to ``ours``, paired by place: a difference, with ``log`` a ratio of geometric means."""
    if log:
        return mean_interval([one / other for one, other in zip(ours, base, strict=True)], log=True, level=level)
    return mean_interval([one - other for one, other in zip(ours, base, strict=True)], level=level)


def ratio_interval(ours: Sequence[float], base: Sequence[float], *, level: float = LEVEL) -> Estimate:
    """Ratio of the means of paired values, with Fieller's interval (Fieller 1954), for values that may be 0.

    The interval holds every ratio c for which the t interval of ours - c base includes 0. It is unbounded, from minus
    to plus infinity, where the mean of ``base`` is not clearly different from 0. The value is None where that is 0.
    """
    x, y = np.asarray(ours, float), np.asarray(base, float)
    count = len(x)
    if not count or y.mean() == 0:
        return Estimate(None, None, None, count)
    value = float(x.mean() / y.mean())
    if count == 1:
        return Estimate(value, None, None, 1)
    scale = quantile(count, level) ** 2 / count
    covariance = scale * np.cov(x, y, ddof=1)
    square = y.mean() ** 2 - covariance[1, 1]
    if square <= 0:
        return Estimate(value, -math.inf, math.inf, count)
    middle = x.mean() * y.mean() - covariance[0, 1]
    root = math.sqrt(max(0.0, middle**2 - square * (x.mean() ** 2 - covariance[0, 0])))
    return Estimate(value, float((middle - root) / square), float((middle + root) / square), count)


def effect_size(ours: Sequence[float], base: Sequence[float], *, log: bool) -> float | None:
    """Cohen's d_z for paired values: mean over sd of the differences (with ``log``, of logarithms).

    None with fewer than two pairs, or where the differences do not vary.
    """
    differences = paired_differences(ours, base, log)
    spread = differences.std(ddof=1) if len(differences) > 1 else 0.0
    return float(differences.mean() / spread) if varies(differences, spread) else None


def p_value(ours: Sequence[float], base: Sequence[float], *, log: bool) -> float | None:
    """Two-sided p value of the paired t test that nothing changes; None where ``effect_size`` is."""
    effect, count = effect_size(ours, base, log=log), len(ours)
    return None if effect is None else float(2 * stdtr(count - 1, -abs(effect) * math.sqrt(count)))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's (1979) step-down correction: p values that hold together; None stays None and is not counted."""
    order = sorted((index for index, p in enumerate(p_values) if p is not None), key=lambda index: p_values[index])
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def paired_differences(ours: Sequence[float], base: Sequence[float], log: bool) -> np.ndarray:
    pairs = [logarithms(values) if log else np.asarray(values, float) for values in (ours, base)]
    return pairs[0] - pairs[1]


def varies(differences: np.ndarray, spread: float) -> bool:
    """Whether a spread is larger than the rounding errors of equal differences."""
    return bool(spread > 1e-12 * max(1e-300, float(np.abs(differences).max(initial=0.0))))


def logarithms(values: Sequence[float]) -> np.ndarray:
    sample = np.asarray(values, float)
    if (sample <= 0).any():
        raise ValueError(f"{sample.min():g} has no logarithm")
    return np.log(sample)


def quantile(count: int, level: float) -> float:
    """Quantile of Student's t with ``count - 1`` degrees of freedom for a two-sided interval."""
    return float(stdtrit(count - 1, (1 + level) / 2))
