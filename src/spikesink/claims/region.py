"""The numbers that a claim allows."""

import math
from typing import NamedTuple


class Region(NamedTuple):
    """An interval of the real line; an open end does not belong to it."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = True
    open_high: bool = True

    @classmethod
    def between(
        cls,
        above: float | None = None,
        below: float | None = None,
        at_least: float | None = None,
        at_most: float | None = None,
        within: float | None = None,
    ) -> "Region":
        """The numbers that all given bounds allow; ``within`` y means from -y to y."""
        lows = [(bound, is_open) for bound, is_open in ((above, True), (at_least, False)) if bound is not None]
        highs = [(bound, is_open) for bound, is_open in ((below, True), (at_most, False)) if bound is not None]
        if within is not None:
            lows.append((-within, False))
            highs.append((within, False))
        low, open_low = max(lows, default=(-math.inf, True))
        high, open_high = min(highs, key=lambda bound: (bound[0], not bound[1]), default=(math.inf, True))
        return cls(low, high, open_low, open_high)

    @property
    def empty(self) -> bool:
        return self.low > self.high or (self.low == self.high and (self.open_low or self.open_high))

    def holds(self, value: float) -> bool:
        """Whether a number lies in it. An end that is infinite excludes nothing, not even an infinite value."""
        above = self.low == -math.inf or (value > self.low if self.open_low else value >= self.low)
        below = self.high == math.inf or (value < self.high if self.open_high else value <= self.high)
        return above and below

    def holds_all(self, low: float, high: float) -> bool:
        """Whether the whole interval from low to high lies in it."""
        return self.holds(low) and self.holds(high)

    def holds_none(self, low: float, high: float) -> bool:
        """Whether the whole interval from low to high lies outside, on one side or the other."""
        under = high <= self.low if self.open_low else high < self.low
        over = low >= self.high if self.open_high else low > self.high
        return under or over

    def __str__(self) -> str:
        if not self.open_low and not self.open_high and self.low == -self.high:
            return f"within {self.high:g}"
        ends = []
        if self.low > -math.inf:
            ends.append(f"{'above' if self.open_low else 'at least'} {self.low:g}")
        if self.high < math.inf:
            ends.append(f"{'below' if self.open_high else 'at most'} {self.high:g}")
        return " and ".join(ends)
