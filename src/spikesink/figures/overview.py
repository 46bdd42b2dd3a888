"""A study at a glance: every variant's sinks and relative spike, and how far they are from the baseline's."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from spikesink.figures.drawing.canvas import WIDTHS, lay_out, legend, new_figure, wrapped
from spikesink.figures.drawing.files import REAL, TEXT, TRUTH, WHOLE
from spikesink.figures.drawing.labels import Label, mark_boxes, place
from spikesink.figures.drawing.metrics import ON_BOUNDS, is_on_bounds
from spikesink.figures.drawing.scales import log_scale
from spikesink.figures.drawing.style import BASELINE_COLOUR, REFERENCE, Look, Style, lighter
from spikesink.quantities import QUANTITIES
from spikesink.study.labels import in_words
from spikesink.study.names import BASELINE
from spikesink.tables.contracts import RUNS
from spikesink.tables.statistics.statistics import by_seed, statistics

SINKS, SPIKE = ("sink_ratio", "sink_mass_mean"), "spike_over_median"
"""What the panels have as their horizontal axes, and their common vertical one: the absolute spike is a scale."""
NEEDED = {name: RUNS[name] for name in ("ablation", "variant", "label", "seed", "status", *SINKS, SPIKE)}
"""The columns of runs.csv that the figure reads."""
COLUMNS = {"ablation": TEXT, "variant": TEXT, "label": TEXT, "seeds": WHOLE}
COLUMNS |= {f"{name}{end}": REAL for name in (*SINKS, SPIKE) for end in ("", "_low", "_high")} | {"left_out": TEXT}
COLUMNS |= {f"{name}_on_bounds": TRUTH for name in SINKS}
HEIGHTS = {"page": 3.4, "column": 4.0}
"""Height of a panel in inches by the figure's width."""
MOST_NAMES, NAMED = 24, 14
"""More names would cover each other: of more variants only so many are named, far from one another."""
MOST_ARROWS = 6
"""More arrows than these would tangle: lines through the baseline take their place."""

INTERVAL = {"linewidth": 0.8, "alpha": 0.6, "zorder": 2}


class Mark(NamedTuple):
    """A variant: means over its finished seeds, with their 95 % intervals, None where there is one seed.

    ``x`` is a panel's measure of sinks, ``y`` the geometric mean of the relative spike.
    """

    variant: str
    label: str
    ablation: str
    x: float
    y: float
    x_interval: tuple[float, float] | None
    y_interval: tuple[float, float] | None


def data(runs: pl.DataFrame) -> pl.DataFrame:
    """One row per variant: its mark with the ends of its intervals, and which seeds are in no mark and why.

    It also says whether half of the seeds' sinks are the least or largest possible.
    """
    found = {
        name: statistics(runs, (name,)).select(
            "variant", "seeds", "left_out", **{name: "centre", f"{name}_low": "low", f"{name}_high": "high"}
        )
        for name in (*SINKS, SPIKE)
    }
    names = runs.select("ablation", "variant", "label").unique("variant", maintain_order=True)
    joined = names.join(found[SPIKE], on="variant", maintain_order="left")
    for name in SINKS:
        joined = joined.join(found[name].drop("seeds", "left_out"), on="variant", maintain_order="left")
        values = by_seed(runs, name)
        on_bounds = [is_on_bounds(name, values.get(variant, {}).values()) for variant in joined["variant"]]
        joined = joined.with_columns(pl.Series(f"{name}_on_bounds", on_bounds, dtype=TRUTH))
    return joined.select(*COLUMNS)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """The figure of all variants of a study, by itself as wide as a page: a panel per measure of sinks."""
    panels = {name: found for name in SINKS if (found := marks(data, name))}
    width = "page" if width == "auto" else width
    figure = new_figure(WIDTHS[width], 0.5 + HEIGHTS[width] * max(1, len(panels)))
    axes = figure.subplots(max(1, len(panels)), squeeze=False).flatten()
    notes = [f"Left out: {note}"] if (note := not_drawn(data)) else []
    if len(data) > MOST_NAMES:
        notes.append(f"Named: the baseline and {NAMED} variants that lie far from it and from one another")
    if data["seeds"].max() == 1:
        notes.append("Every mark is one run of one seed")
    if notes:
        axes[0].set_title(wrapped(". ".join(notes), 105 if width == "page" else 52), loc="left", fontsize=6.5)
    arrows = {name: draw_marks(axis, name, panels[name], style) for axis, name in zip(axes, panels, strict=False)}
    if not panels:
        return figure
    markers = {row[0]: style[row[1]] for row in data.select("ablation", "variant").iter_rows()}
    on_bounds = ON_BOUNDS if any(data[f"{name}_on_bounds"].any() for name in panels) else ""
    if width == "column":
        on_bounds = on_bounds.replace("\n", " ")  # so that the legend breaks its lines and has two columns
    legend(figure, handles(markers, data["seeds"].max() or 0, on_bounds))
    lay_out(figure)
    for axis, (name, drawn) in zip(axes, panels.items(), strict=True):
        named = spread_out(axis, drawn)
        unnamed = [(mark.x, mark.y) for mark in drawn if mark not in named]
        names = [Label(mark.x, mark.y, mark.label, style[mark.variant].colour) for mark in named]
        place(axis, names, [*interval_boxes(axis, drawn), *mark_boxes(axis, unnamed)], arrows[name])
    return figure


def spread_out(axis: Axes, drawn: list[Mark]) -> list[Mark]:
    """The marks that are named: all or, of many, the baseline and, one by one, the farthest from all named so far."""
    if len(drawn) <= MOST_NAMES:
        return drawn
    at = axis.transData.transform([(mark.x, mark.y) for mark in drawn])
    named = [next((index for index, mark in enumerate(drawn) if mark.variant == BASELINE), 0)]
    for _ in range(NAMED):
        gaps = np.linalg.norm(at[:, None] - at[named], axis=2).min(1)
        named.append(int(np.argmax(gaps)))
    return [drawn[index] for index in sorted(named)]


def draw_marks(axis: Axes, name: str, drawn: list[Mark], style: Style) -> list[tuple]:
    """One panel without the variants' names. Returns the ends of its arrows in data coordinates."""
    axis.set_xlabel(QUANTITIES[name].label)
    axis.set_ylabel(QUANTITIES[SPIKE].label)
    axis.plot([mark.x for mark in drawn], [mark.y for mark in drawn], linestyle="none")  # the limits are of all marks
    set_scales(axis, QUANTITIES[name].bounds, drawn)
    arrows = draw_changes(axis, drawn, style)
    faint = {"alpha": 0.3} if len(drawn) > MOST_NAMES else {}  # many cover the marks
    across = [(mark.y, *mark.x_interval, style[mark.variant].colour) for mark in drawn if mark.x_interval]
    upward = [(mark.x, *mark.y_interval, style[mark.variant].colour) for mark in drawn if mark.y_interval]
    for draw_lines, intervals in ((axis.hlines, across), (axis.vlines, upward)):
        if intervals:
            places, lows, highs, colours = zip(*intervals, strict=True)
            draw_lines(places, lows, highs, color=colours, **INTERVAL | faint)
    for mark in drawn:
        look = style[mark.variant]
        axis.plot(mark.x, mark.y, look.marker, color=look.colour, label=mark.variant, clip_on=False, zorder=3)
    return arrows


def marks(data: pl.DataFrame, sinks: str) -> list[Mark]:
    """The variants of which a seed finished, in the order of the data, by a measure of sinks."""
    return [
        Mark(
            *(row[name] for name in ("variant", "label", "ablation", sinks, SPIKE)),
            interval(row, sinks),
            interval(row, SPIKE),
        )
        for row in data.drop_nulls([sinks, SPIKE]).iter_rows(named=True)
    ]


def interval(row: dict, name: str) -> tuple[float, float] | None:
    return None if row[f"{name}_low"] is None else (row[f"{name}_low"], row[f"{name}_high"])


def not_drawn(data: pl.DataFrame) -> str:
    """The seeds that are in no mark, by variant, and why; empty where every seed is in one."""
    found = []
    for row in data.iter_rows(named=True):
        if row["left_out"]:
            found.append(f"{row['label']} ({row['left_out']})")
        elif all(row[name] is None for name in SINKS) or row[SPIKE] is None:
            found.append(f"{row['label']} (no value)")
    return "; ".join(found)


def set_scales(axis: Axes, bounds: tuple[float, float], drawn: Iterable[Mark]) -> None:
    """Show sinks from 0 to at least a tenth of what is possible, and spikes on a logarithmic axis.

    An interval widens the axis by no more than a factor of 3 on either side and is cut there: an interval over two
    seeds may span many decades.
    """
    spikes = [mark.y for mark in drawn]
    ends = [end for mark in drawn if mark.y_interval for end in mark.y_interval]
    low, high = min(spikes), max(spikes)
    lowest = min(low, *(max(end, low / 3) for end in ends)) if ends else low
    highest = max(high, *(min(end, high * 3) for end in ends)) if ends else high
    right = max(mark.x_interval[1] if mark.x_interval else mark.x for mark in drawn)
    right = min(bounds[1], max(1.25 * right, 0.1 * bounds[1]))  # room for the names
    room = 0.04 * (right - bounds[0])
    axis.set_xlim(bounds[0] - room, right + room)
    edge = (highest / lowest) ** 0.08 * 1.1
    axis.set_ylim(lowest / edge, highest * edge)
    log_scale(axis.yaxis)


def draw_changes(axis: Axes, drawn: list[Mark], style: Style) -> list[tuple]:
    """Show the way from the baseline to the others: a thin arrow to each or, of many, lines through the baseline.

    Returns the arrows' ends in data coordinates.
    """
    start = next(((mark.x, mark.y) for mark in drawn if mark.variant == BASELINE), None)
    if start is None:
        return []
    others = [mark for mark in drawn if mark.variant != BASELINE]
    if len(others) > MOST_ARROWS:
        axis.axvline(start[0], **REFERENCE)
        axis.axhline(start[1], **REFERENCE)
        return []
    for mark in others:
        way = {"arrowstyle": "-|>,head_width=0.12,head_length=0.25", "linewidth": 0.5, "shrinkA": 3, "shrinkB": 3}
        colour = lighter(style[mark.variant].colour)
        axis.annotate("", (mark.x, mark.y), start, arrowprops=way | {"color": colour, "zorder": 1}, zorder=1)
    return [(start, (mark.x, mark.y)) for mark in others]


def interval_boxes(axis: Axes, drawn: Iterable[Mark]) -> list[Sequence[float]]:
    """The intervals as thin boxes in pixels."""
    lines = [((mark.x_interval[0], mark.y), (mark.x_interval[1], mark.y)) for mark in drawn if mark.x_interval]
    lines += [((mark.x, mark.y_interval[0]), (mark.x, mark.y_interval[1])) for mark in drawn if mark.y_interval]
    return [Bbox(axis.transData.transform(line)).padded(1).extents for line in lines]


def handles(ablations: Mapping[str, Look], seeds: int, on_bounds: str) -> list[Line2D]:
    """The legend: the look of every ablation and, of several seeds, what marks and intervals are."""
    found = [
        Line2D([], [], color=look.colour, marker=look.marker, linestyle="none", label=in_words(ablation))
        for ablation, look in ablations.items()
    ]
    if seeds > 1:
        label = f"means of {seeds} seeds (spikes: geometric), 95 % intervals{on_bounds}"
        found.append(Line2D([], [], color=BASELINE_COLOUR, linewidth=0.8, label=label))
    return found
