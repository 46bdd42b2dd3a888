"""A study at a glance: every variant's sink ratio and spike, and how far it is from the baseline's."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from spikesink.figures.drawing.canvas import WIDTHS, legend, new_figure, wrapped
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.labels import Label, place
from spikesink.figures.drawing.scales import log_scale, spans_a_decade
from spikesink.figures.drawing.style import BASELINE_COLOUR, Look, Style, lighter
from spikesink.quantities import QUANTITIES
from spikesink.study.names import BASELINE
from spikesink.tables.contracts import RUNS
from spikesink.tables.statistics.statistics import statistics

SINKS, SPIKE = "sink_ratio", "spike"
NEEDED = {name: RUNS[name] for name in ("ablation", "variant", "label", "seed", "status", SINKS, SPIKE)}
"""The columns of runs.csv that the figure reads."""
COLUMNS = {"ablation": TEXT, "variant": TEXT, "label": TEXT, "seeds": WHOLE} | {
    SINKS: REAL,
    f"{SINKS}_low": REAL,
    f"{SINKS}_high": REAL,
    SPIKE: REAL,
    f"{SPIKE}_low": REAL,
    f"{SPIKE}_high": REAL,
    "left_out": TEXT,
}
HEIGHTS = {"page": 3.9, "column": 3.5}
"""Height of the figure in inches by width."""

INTERVAL = {"linewidth": 0.8, "alpha": 0.6, "zorder": 2}
HINTS = {"spikes without sinks": (0.01, 0.99, "left", "top"), "sinks without spikes": (0.99, 0.01, "right", "bottom")}


class Mark(NamedTuple):
    """A variant: means over its finished seeds, with their 95 % intervals, None where there is one seed.

    ``x`` is the sink ratio in % of heads, ``y`` the geometric mean of the spike.
    """

    variant: str
    label: str
    ablation: str
    x: float
    y: float
    x_interval: tuple[float, float] | None
    y_interval: tuple[float, float] | None


def data(runs: pl.DataFrame) -> pl.DataFrame:
    """One row per variant: its mark with the ends of its intervals, and which seeds are in no mark and why."""
    found = {
        name: statistics(runs, (name,)).select(
            "variant", "seeds", "left_out", **{name: "centre", f"{name}_low": "low", f"{name}_high": "high"}
        )
        for name in (SINKS, SPIKE)
    }
    names = runs.select("ablation", "variant", "label").unique("variant", maintain_order=True)
    joined = names.join(found[SINKS], on="variant", maintain_order="left")
    joined = joined.join(found[SPIKE].drop("seeds", "left_out"), on="variant", maintain_order="left")
    return joined.select(*COLUMNS)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """The figure of all variants of a study, by itself as wide as a page."""
    drawn, note = marks(data), not_drawn(data)
    width = "page" if width == "auto" else width
    figure = new_figure(WIDTHS[width], HEIGHTS[width])
    axis = figure.subplots()
    axis.set_xlabel(QUANTITIES[SINKS].label)
    axis.set_ylabel(QUANTITIES[SPIKE].label)
    if note:
        axis.set_title(wrapped(f"Left out: {note}", 105 if width == "page" else 52), loc="left", fontsize=6.5)
    if not drawn:
        return figure
    axis.plot([mark.x for mark in drawn], [mark.y for mark in drawn], linestyle="none")  # the limits are of all marks
    set_scales(axis, drawn)
    arrows = draw_arrows(axis, drawn, style)
    for mark in drawn:
        draw_mark(axis, mark, style[mark.variant])
    legend(figure, handles({mark.ablation: style[mark.variant].marker for mark in drawn}))
    figure.draw_without_rendering()
    hints = draw_hints(axis, drawn)
    names = [Label(mark.x, mark.y, mark.label, style[mark.variant].colour) for mark in drawn]
    place(axis, names, [*hints, *interval_boxes(axis, drawn)], arrows)
    return figure


def marks(data: pl.DataFrame) -> list[Mark]:
    """The variants of which a seed finished, in the order of the data."""
    return [
        Mark(
            *(row[name] for name in ("variant", "label", "ablation", SINKS, SPIKE)),
            interval(row, SINKS),
            interval(row, SPIKE),
        )
        for row in data.drop_nulls([SINKS, SPIKE]).iter_rows(named=True)
    ]


def interval(row: dict, name: str) -> tuple[float, float] | None:
    return None if row[f"{name}_low"] is None else (row[f"{name}_low"], row[f"{name}_high"])


def not_drawn(data: pl.DataFrame) -> str:
    """The seeds that are in no mark, by variant, and why; empty where every seed is in one."""
    found = []
    for row in data.iter_rows(named=True):
        if row["left_out"]:
            found.append(f"{row['label']} ({row['left_out']})")
        elif row[SINKS] is None or row[SPIKE] is None:
            found.append(f"{row['label']} (no value)")
    return "; ".join(found)


def set_scales(axis: Axes, drawn: Iterable[Mark]) -> None:
    """Show sink ratios from 0 to 100 %, and spikes on a logarithmic axis where they span a decade.

    An interval widens the axis by no more than a factor of 3 on either side and is cut there: an interval over two
    seeds may span many decades.
    """
    spikes = [mark.y for mark in drawn]
    ends = [end for mark in drawn if mark.y_interval for end in mark.y_interval]
    low, high = min(spikes), max(spikes)
    lowest = min(low, *(max(end, low / 3) for end in ends)) if ends else low
    highest = max(high, *(min(end, high * 3) for end in ends)) if ends else high
    axis.set_xlim(-4, 104)
    if spans_a_decade([lowest, highest]):
        axis.set_ylim(lowest / 1.5, highest * 1.5)
        log_scale(axis.yaxis)
    else:
        edge = 0.12 * (highest - lowest) or 0.2 * highest
        axis.set_ylim(max(0.0, lowest - edge), highest + edge)


def draw_arrows(axis: Axes, drawn: list[Mark], style: Style) -> list[tuple]:
    """Draw a thin arrow from the baseline to every other variant. Returns the arrows' ends in data coordinates."""
    start = next(((mark.x, mark.y) for mark in drawn if mark.variant == BASELINE), None)
    if start is None:
        return []
    others = [mark for mark in drawn if mark.variant != BASELINE]
    for mark in others:
        way = {"arrowstyle": "-|>,head_width=0.12,head_length=0.25", "linewidth": 0.5, "shrinkA": 3, "shrinkB": 3}
        colour = lighter(style[mark.variant].colour)
        axis.annotate("", (mark.x, mark.y), start, arrowprops=way | {"color": colour, "zorder": 1}, zorder=1)
    return [(start, (mark.x, mark.y)) for mark in others]


def draw_mark(axis: Axes, mark: Mark, look: Look) -> None:
    if mark.x_interval:
        axis.hlines(mark.y, *mark.x_interval, color=look.colour, **INTERVAL)
    if mark.y_interval:
        axis.vlines(mark.x, *mark.y_interval, color=look.colour, **INTERVAL)
    axis.plot(mark.x, mark.y, look.marker, color=look.colour, label=mark.variant, clip_on=False, zorder=3)


def draw_hints(axis: Axes, drawn: Iterable[Mark]) -> list[Sequence[float]]:
    """Write into corners without marks what a mark there would mean. Returns the boxes of the words in pixels."""
    found, at = [], axis.transData.transform([(mark.x, mark.y) for mark in drawn])
    for text, (x, y, horizontal, vertical) in HINTS.items():
        hint = axis.text(x, y, text, transform=axis.transAxes, ha=horizontal, va=vertical)
        hint.set(color="0.55", fontstyle="italic", in_layout=False)
        box = hint.get_window_extent().padded(4)
        if any(box.contains(*point) for point in at):
            hint.remove()
        else:
            found.append(box.extents)
    return found


def interval_boxes(axis: Axes, drawn: Iterable[Mark]) -> list[Sequence[float]]:
    """The intervals as thin boxes in pixels."""
    lines = [((mark.x_interval[0], mark.y), (mark.x_interval[1], mark.y)) for mark in drawn if mark.x_interval]
    lines += [((mark.x, mark.y_interval[0]), (mark.x, mark.y_interval[1])) for mark in drawn if mark.y_interval]
    return [Bbox(axis.transData.transform(line)).padded(1).extents for line in lines]


def handles(ablations: dict[str, str]) -> list[Line2D]:
    """The legend: the marker of every ablation."""
    return [
        Line2D([], [], color=BASELINE_COLOUR, marker=marker, linestyle="none", label=ablation.replace("_", " "))
        for ablation, marker in ablations.items()
    ]
