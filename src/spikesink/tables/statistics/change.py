"""How a variant differs from the baseline: differences and ratios over seeds, paired only where seeds pair.

Runs of equal seed share initial weights and the order of the data. Where their values are clearly correlated, that is
where the 95 % interval of the correlation lies above 0, the change is the mean of the pairs' differences with Student's
t interval. Else the two sides count as independent, and Welch's (1947) interval is used. Choosing by the sign of the
correlation alone would cover 93 instead of 95 %.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from spikesink.tables.statistics.intervals import (
    Bounds,
    Statistic,
    logarithms,
    mean_of,
    mostly_on,
    of_sample,
    student,
    upper_tail,
    varies,
)

Values = Mapping[int | str, float]


def change_of(ours: Values, base: Values, *, log: bool = False, bounds: Bounds | None = None) -> Statistic:
    """The change from ``base`` to ``ours``, values by seed: a difference of means, with ``log`` a ratio of geometric
    means.

    With ``bounds``, those of the values, the interval is widened where half of a side's values lie on a bound.
    """
    common = [seed for seed in ours if seed in base]
    count = min(len(ours), len(base))
    if not count:
        return Statistic(None, None, 0, log=log)
    sides = [logarithms(list(side.values())) if log else np.array(list(side.values()), float) for side in (ours, base)]
    if count == 1:
        return of_one(ours, base, common, sides, log)
    pairs = [np.array([values[seed] for seed in common], float) for values in (ours, base)]
    pairs = [np.log(side) for side in pairs] if log else pairs
    correlation = correlation_of(*pairs)
    differences = pairs[0] - pairs[1]
    if clearly_positive(correlation, len(common)) and varies(differences):
        found = of_sample(differences, log)._replace(method="paired")
    else:
        found = welch(*sides, log=log)
    found = found._replace(correlation=correlation)
    if bounds is not None and not log and (mostly_on(bounds, ours.values()) or mostly_on(bounds, base.values())):
        return widened(found, ours, base, bounds)
    return found if varies(sides[0]) or varies(sides[1]) else found._replace(at=None)


def of_one(ours: Values, base: Values, common: Sequence, sides: Sequence[np.ndarray], log: bool) -> Statistic:
    """A change where one side is one run: of the pair, if it is there, else of the means. It has no interval."""
    one = [np.log(side[common[0]]) if log else side[common[0]] for side in (ours, base)] if common else None
    difference = float(one[0] - one[1]) if one else float(sides[0].mean() - sides[1].mean())
    return Statistic(math.exp(difference) if log else difference, None, 1, log=log)


def welch(ours: np.ndarray, base: np.ndarray, log: bool) -> Statistic:
    """The difference of the means of independent values with Welch's interval."""
    variances = [float(side.var(ddof=1)) for side in (ours, base)]
    parts = [variance / len(side) for variance, side in zip(variances, (ours, base), strict=True)]
    total = sum(parts)
    shares = sum(part**2 / (len(side) - 1) for part, side in zip(parts, (ours, base), strict=True))
    freedom = total**2 / shares if shares else 1.0
    count = min(len(ours), len(base))
    difference, spread = float(ours.mean() - base.mean()), math.sqrt(sum(variances))
    return student(difference, math.sqrt(total), freedom, count, log, spread)._replace(method="Welch")


def correlation_of(ours: np.ndarray, base: np.ndarray) -> float | None:
    """Pearson's correlation over pairs; None with fewer than three, or where a side does not vary."""
    if len(ours) < 3 or not (varies(ours) and varies(base)):
        return None
    return float(np.clip(np.corrcoef(ours, base)[0, 1], -1.0, 1.0))


def clearly_positive(correlation: float | None, count: int) -> bool:
    """Whether the 95 % interval of a correlation lies above 0."""
    if correlation is None or correlation <= 0:
        return False
    rest = 1 - correlation**2
    return rest < 1e-12 or upper_tail(count - 2, correlation * math.sqrt((count - 2) / rest)) < 0.025


def widened(found: Statistic, ours: Values, base: Values, bounds: Bounds) -> Statistic:
    """A difference of bounded values, its interval joined with the one that the two sides' own intervals imply.

    Zou and Donner's (2008) method: the distances from each side's mean to the end of its interval add in squares.
    """
    one, other = (mean_of(list(side.values()), bounds=bounds) for side in (ours, base))

    def at(level: float) -> tuple[float, float]:
        (low, high), (base_low, base_high) = ends_of(one, level), ends_of(other, level)
        below = math.hypot(one.value - low, base_high - other.value)
        above = math.hypot(high - one.value, other.value - base_low)
        difference = one.value - other.value
        narrow = found.at(level)
        return min(narrow[0], difference - below), max(narrow[1], difference + above)

    return found._replace(at=at, wide=True)


def ratio_of(ours: Values, base: Values, bounds: Bounds | None = None) -> Statistic:
    """The ratio of the means of two sides, the mean of ``base`` positive; values may be 0.

    Donner and Zou's (2012) method joins the two sides' own intervals. No limit is negative where no value of ``ours``
    is; a limit is infinite where the interval of ``base`` reaches 0. The value is None where the mean of ``base`` is
    not positive.
    """
    one, other = (mean_of(list(side.values()), bounds=bounds) for side in (ours, base))
    count = min(len(ours), len(base))
    if not count or other.value <= 0:
        return Statistic(None, None, count)
    value = one.value / other.value
    if count == 1:
        return Statistic(value, None, 1)
    lowest = 0.0 if min(ours.values()) >= 0 else -math.inf

    def at(level: float) -> tuple[float, float]:
        (low, high), base_ends = ends_of(one, level), (other.value, *ends_of(other, level))
        ends = lower_ratio(one.value, max(lowest, low), *base_ends), -lower_ratio(-one.value, -high, *base_ends)
        return ends[0] + 0.0, ends[1] + 0.0  # no -0

    still = one.at is None and other.at is None
    spread = math.hypot(one.spread or 0.0, value * (other.spread or 0.0)) / other.value
    return Statistic(value, None if still else at, count, spread, method="Welch", wide=one.wide or other.wide)


def ends_of(side: Statistic, level: float) -> tuple[float, float]:
    return side.at(level) if side.at else (side.value, side.value)


def lower_ratio(mean: float, low: float, base: float, base_low: float, base_high: float) -> float:
    """The lower limit of a ratio. A positive one is furthest where ``base`` is high, a negative one where it is low."""
    if low < 0 and base_low <= 0:
        return -math.inf
    end = base_high if low >= 0 else base_low
    product, divisor, own = mean * base, end * (2 * base - end), low * (2 * mean - low)
    if abs(divisor) < 1e-12 * base**2:
        return own / (2 * product) if product else 0.0
    return (product - math.sqrt(max(0.0, product**2 - own * divisor))) / divisor
