"""Axes: logarithmic where values ask for it, whole numbers at the ticks, one scale for several panels."""

import math
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.ticker import FuncFormatter, Locator, MaxNLocator, NullFormatter

from spikesink.figures.drawing.grid import is_left

STEPS = [1, 2, 2.5, 5, 10]
"""Ticks stand at multiples of one of these, of ten times as much and so on: no reader counts in steps of 1.5 or 8."""
MOST_TICKS, FEWER = 6, 4
"""More numbers than these would touch on a narrow logarithmic axis; of many powers of ten, which are long, fewer."""


class LogTicks(Locator):
    """Ticks of a logarithmic axis: powers of ten, these with 3 between, with 2 and 5 between, or even steps.

    It is the first of these with three numbers on the axis. Over many decades it is every second or third power, ...
    """

    def __call__(self) -> list[float]:
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        low, high = sorted((vmin, vmax))
        if not 0 < low < high < math.inf:
            return []
        decades = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
        for factors in ((1,), (1, 3), (1, 2, 5)):
            found = [ten for power in decades for factor in factors if low <= (ten := factor * 10.0**power) <= high]
            if len(found) > 2:
                return found if len(found) <= MOST_TICKS else found[:: -(-len(found) // FEWER)]
        for most in (3, 4, 5, 7, 9):
            even = MaxNLocator(nbins=most, steps=[1, 2, 5, 10]).tick_values(low, high)
            found = [tick for tick in even if low <= tick <= high]
            if len(found) > 2:
                break
        return found


def spans_a_decade(values: Iterable[float | None]) -> bool:
    """Whether all finite values are positive and more than a factor of ten apart: a logarithmic axis reads better."""
    values = [value for value in values if value is not None and math.isfinite(value)]
    return bool(values) and min(values) > 0 and max(values) > 10 * min(values)


def log_scale(axis: XAxis | YAxis) -> None:
    """Make an axis logarithmic, with plain numbers at the ticks, few enough not to touch.

    Limits from the linear scale, where a margin may reach below 0, then begin at the smallest positive value.
    """
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = axis.get_view_interval()
    if low <= 0 < high:
        least = axis.get_minpos()
        axis.set_view_interval(min(least, high) / 1.1, high, ignore=True)
    axis.set_major_locator(LogTicks())
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axis.set_minor_formatter(NullFormatter())


def plain(value: float) -> str:
    """The number as people write it: 0.001 and 20000, but powers of ten where there would be many zeros."""
    digits, is_long, power = f"{value:g}".partition("e")
    if not is_long:
        return digits
    return ("$" if digits == "1" else rf"${digits}\times") + f"10^{{{int(power)}}}$"


def with_margin(low: float, high: float, log: bool = False) -> tuple[float, float]:
    """Limits of an axis that show these values with room for marks; on a logarithmic axis as a factor."""
    if log:
        edge = (high / low) ** 0.06 if high > 1.01 * low else 1.1
        return low / edge, high * edge
    edge = 0.06 * (high - low or 0.1 * abs(high) or 1.0)
    return low - edge, high + edge


def round_ticks(axis: XAxis | YAxis, most: int, whole: bool = False) -> None:
    """Put ticks at round numbers, about ``most`` of them, or at whole numbers only."""
    axis.set_major_locator(MaxNLocator(nbins=most, steps=STEPS, integer=whole))


def whole_ticks(axis: XAxis | YAxis, most: int = 6) -> None:
    """Put ticks at whole, round numbers, about ``most`` of them."""
    round_ticks(axis, most, whole=True)


def ticks_of_cells(axis: XAxis | YAxis, count: int, most: int = 5) -> None:
    """Number the cells of a map from 0, with about this many ticks, each in the middle of its cell."""
    ticks = MaxNLocator(nbins=most, steps=STEPS, integer=True).tick_values(0, count - 1)
    shown = sorted({int(tick) for tick in ticks if 0 <= tick < count})
    axis.set_ticks([tick + 0.5 for tick in shown], [str(tick) for tick in shown])


def share_y(panels: Sequence[Axes], magnitudes: Iterable[float | None] = ()) -> None:
    """Give panels one vertical scale, logarithmic where magnitudes span a decade, with numbers at the left alone."""
    for axis in panels[1:]:
        axis.sharey(panels[0])
    panels[0].autoscale_view()
    if spans_a_decade(magnitudes):
        log_scale(panels[0].yaxis)
    for axis in panels:
        axis.tick_params(labelleft=is_left(axis))
