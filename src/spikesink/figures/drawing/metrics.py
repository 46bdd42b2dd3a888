"""Panels of perplexity, sinks and spike by variant: which quantities they show, their marks, scales and legend."""

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import NamedTuple

import polars as pl
from matplotlib.axis import XAxis, YAxis
from matplotlib.lines import Line2D

from spikesink.figures.drawing.scales import log_scale, spans_a_decade, with_margin
from spikesink.figures.drawing.style import BASELINE_COLOUR, REFERENCE, lighter
from spikesink.quantities import QUANTITIES
from spikesink.runs.folder import FINISHED
from spikesink.tables.statistics.intervals import mostly_on
from spikesink.tables.statistics.statistics import bounds_of


class Panel(NamedTuple):
    """A quantity on an axis, and the mean of a second quantity beside it."""

    quantity: str
    second: str | None = None
    second_name: str = ""

    @property
    def label(self) -> str:
        return QUANTITIES[self.quantity].label

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The ends of the axis; None where the values have no end on a side."""
        bounds = QUANTITIES[self.quantity].bounds
        return bounds if bounds and all(map(isfinite, bounds)) else None

    @property
    def is_geometric(self) -> bool:
        """Whether its means are geometric."""
        return QUANTITIES[self.quantity].scale == "log"

    @property
    def is_magnitude(self) -> bool:
        """Whether its axis is always logarithmic; that of perplexities is where they span a decade."""
        return self.is_geometric and not self.quantity.startswith("perplexity")


PANELS = (
    Panel("perplexity", "perplexity_loss_window", "perplexity in the loss window"),
    Panel("sink_ratio"),
    Panel("sink_mass_mean", "sink_mass_max", "largest head"),
    Panel("spike_over_median"),
    Panel("spike_over_elsewhere"),
    Panel("spike"),
)
SECONDS = tuple(panel.second for panel in PANELS if panel.second)
KINDS = {"perplexity": "perplexities", "spike": "spikes"}
"""What the legend calls quantities of the logarithmic scale, by the first word of their names."""
NARROW = 0.05
"""Values of a share that lie closer than this part of its range get an axis of twice that."""
INTERVAL = {"linewidth": 1.0, "zorder": 3}
ON_BOUNDS = "\n(at least half of the seeds at 0 or 100 %:\nGaffke's interval; few seeds exclude little)"
"""What the legend says of the long interval where five seeds have no sink."""


def panels_of(data: pl.DataFrame) -> list[Panel]:
    """The panels of this data, without what was not measured when a study was published.

    A second quantity that no run has, such as a loss window's, needs no mark.
    """
    found = set(data.drop_nulls("value")["quantity"]) or {panel.quantity for panel in PANELS}
    shown = [panel for panel in PANELS if panel.quantity in found]
    return [panel if panel.second in found else panel._replace(second=None) for panel in shown]


def marks_of(data: pl.DataFrame, panel: Panel) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """A panel's finished runs, their means, and the means of its second quantity."""
    own, mean = pl.col("quantity") == panel.quantity, pl.col("mark") == "mean"
    return (
        data.filter(own & ~mean & (pl.col("status") == FINISHED)),
        data.filter(own & mean),
        data.filter(mean & (pl.col("quantity") == (panel.second or ""))),
    )


def set_limits(axis: XAxis | YAxis, panel: Panel, means: pl.DataFrame, values: Iterable[float | None]) -> None:
    """Set limits that show all values; the axis is logarithmic for magnitudes, and where values span a decade.

    An interval widens the axis by no more than the values span, on a logarithmic axis by no more than a factor of 3 on
    either side, and is cut there: an interval over two seeds may span many decades, that of a share that is 0 in all
    seeds half of what is possible.
    """
    limits = axis.axes.set_xlim if axis.axis_name == "x" else axis.axes.set_ylim
    values = [value for value in (*means["value"], *values) if value is not None]
    if not values:
        if panel.bounds:
            limits(*limits_of_share(panel.bounds, values))
        return
    low, high = min(values), max(values)
    log = not panel.bounds and low > 0 and (panel.is_magnitude or spans_a_decade(values))
    span = high - low or 0.1 * abs(high) or 1.0
    floor, ceiling = (low / 3, high * 3) if log else (low - span, high + span)
    low = min([low, *(max(end, floor) for end in means["low"].drop_nulls())])
    high = max([high, *(min(end, ceiling) for end in means["high"].drop_nulls())])
    limits(*(limits_of_share(panel.bounds, (low, high)) if panel.bounds else with_margin(low, high, log)))
    if log:
        log_scale(axis)


def mark_cuts(axis: XAxis | YAxis, intervals: Iterable[tuple[float, float, float, str]]) -> None:
    """An arrowhead at the end of the axis where it cuts an interval, which is a place, two ends and a colour."""
    low, high = axis.get_view_interval()
    across = axis.axis_name == "x"
    transform = axis.axes.get_yaxis_transform() if across else axis.axes.get_xaxis_transform()
    for place, start, end, colour in intervals:
        for at, is_cut, marker in ((0, start < low, "<" if across else "v"), (1, end > high, ">" if across else "^")):
            if is_cut:
                where = (at, place) if across else (place, at)
                look = {"color": colour, "marker": marker, "markersize": 3, "zorder": 3}
                axis.axes.plot(*where, transform=transform, clip_on=False, **look)


def limits_of_share(bounds: tuple[float, float], values: Sequence[float]) -> tuple[float, float]:
    """The whole range of a share, or a tenth of it around values that would else lie on each other."""
    lowest, highest = bounds
    low, high = (min(values), max(values)) if values else bounds
    if high - low < NARROW * (highest - lowest):
        middle, half = (low + high) / 2, NARROW * (highest - lowest)
        low = min(max(lowest, middle - half), highest - 2 * half)
        lowest, highest = low, low + 2 * half
    room = 0.04 * (highest - lowest)  # for marks at both ends
    return lowest - room, highest + room


def has_several_seeds(data: pl.DataFrame) -> bool:
    """Whether any variant has several finished seeds."""
    return (data["seeds"].max() or 0) > 1


def is_on_bounds(quantity: str, values: Iterable[float | None]) -> bool:
    """Whether several seeds have Gaffke's interval, because half of their values are the least or largest possible."""
    bounds, known = bounds_of(quantity), [value for value in values if value is not None and isfinite(value)]
    return bounds is not None and len(known) > 1 and mostly_on(bounds, known)


def metrics_legend(panels: list[Panel], data: pl.DataFrame) -> list[Line2D]:
    """What the marks mean, whatever their colour."""
    seeds = data["seeds"].max() or 0  # of the variant with most
    handles = [Line2D([], [], **REFERENCE, label="baseline")]
    if seeds > 1:
        one = {"color": BASELINE_COLOUR, "marker": "o", "markersize": 3, "linestyle": "none"}
        mean = {"color": BASELINE_COLOUR, "marker": "|", "markersize": 8, "linewidth": 1}
        handles.append(Line2D([], [], **one, label="one seed"))
        named = dict.fromkeys(KINDS[panel.quantity.split("_")[0]] for panel in panels if panel.is_geometric)
        geometric = f"\n(of {' and '.join(named)}: geometric mean)" if named else ""
        values = ((panel, marks_of(data, panel)[0].group_by("variant").agg("value")["value"]) for panel in panels)
        on_bounds = any(is_on_bounds(panel.quantity, one) for panel, found in values for one in found)
        label = f"mean of {seeds} seeds, 95 % interval{geometric}{ON_BOUNDS if on_bounds else ''}"
        handles.append(Line2D([], [], **mean, label=label))
    else:
        one = {"color": BASELINE_COLOUR, "marker": "o", "markersize": 4, "linestyle": "none"}
        handles.append(Line2D([], [], **one, label="one run of one seed"))
    for panel in panels:
        if panel.second:
            diamond = {"marker": "D", "markersize": 4, "markerfacecolor": "none", "linestyle": "none"}
            handles.append(Line2D([], [], color=lighter(BASELINE_COLOUR), label=panel.second_name, **diamond))
    return handles
