"""Axes: logarithmic where values ask for it, whole numbers at the ticks, one scale for several panels."""

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from spikesink.figures.drawing.grid import is_left


def spans_a_decade(values: Iterable[float | None]) -> bool:
    """Whether all values are positive and lie more than a factor of ten apart: then a logarithmic axis reads better."""
    values = [value for value in values if value is not None]
    return bool(values) and min(values) > 0 and max(values) > 10 * min(values)


def log_scale(axis: XAxis | YAxis) -> None:
    """Make an axis logarithmic, with plain numbers at the ticks, few enough not to touch."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = axis.get_view_interval()
    if high < 4 * low:
        axis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
        axis.set_minor_locator(NullLocator())
    else:
        subs = (1.0,) if high > 150 * low else (1.0, 3.0) if high > 12 * low else (1.0, 2.0, 5.0)
        axis.set_major_locator(LogLocator(subs=subs, numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def whole_ticks(axis: XAxis | YAxis, most: int = 6) -> None:
    """Put ticks at whole numbers, about this many."""
    axis.set_major_locator(MaxNLocator(nbins=most, integer=True))


def ticks_of_cells(axis: XAxis | YAxis, count: int, most: int = 5) -> None:
    """Number the cells of a map from 0, with about this many ticks, each in the middle of its cell."""
    ticks = MaxNLocator(nbins=most, integer=True).tick_values(0, count - 1)
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
