"""A study at a glance: every variant's sink ratio and spike, and how far it is from the baseline's."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from spikesink.figures.command import add_common
from spikesink.figures.drawing import style
from spikesink.figures.drawing.labels import Label, place
from spikesink.study.names import BASELINE
from spikesink.tables.contracts import RUNS
from spikesink.tables.inputs import one_line_errors, read_table
from spikesink.tables.statistics.statistics import left_out, statistics

SINKS, SPIKE = "sink_ratio", "spike"
NEEDED = {name: RUNS[name] for name in ("ablation", "variant", "label", "seed", "status", SINKS, SPIKE)}
HEIGHTS = {"page": 3.9, "column": 3.5}
"""In inches, by width."""

# A colour is the variant's in its ablation's own figures, so it repeats between ablations; the shape does not.
SHAPES = ("s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
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


def marks(runs: pl.DataFrame) -> list[Mark]:
    """The variants of which a seed finished, in the order of ``runs``."""
    return [
        Mark(
            *(row[name] for name in ("variant", "label", "ablation", SINKS, SPIKE)),
            interval(row, SINKS),
            interval(row, SPIKE),
        )
        for row in data(runs).drop_nulls([SINKS, SPIKE]).iter_rows(named=True)
    ]


def interval(row: dict, name: str) -> tuple[float, float] | None:
    return None if row[f"{name}_low"] is None else (row[f"{name}_low"], row[f"{name}_high"])


def not_drawn(runs: pl.DataFrame, drawn: Sequence[Mark]) -> str:
    """Names the seeds that are in no mark, by variant; empty where all are in one."""
    variants, seeds = {mark.variant for mark in drawn}, sorted(set(runs["seed"]))
    labels = dict(runs.select("variant", "label").iter_rows())
    reasons = {name: left_out(runs, name, seeds) or ("" if name in variants else "no value") for name in labels}
    return "; ".join(f"{labels[name]} ({why})" for name, why in reasons.items() if why)


def data(runs: pl.DataFrame) -> pl.DataFrame:
    """One row per variant: its mark with the ends of its intervals, and which seeds are in no mark."""
    found = {
        name: statistics(runs, (name,)).select(
            "variant", "seeds", "left_out", **{name: "centre", f"{name}_low": "low", f"{name}_high": "high"}
        )
        for name in (SINKS, SPIKE)
    }
    names = runs.select("ablation", "variant", "label").unique("variant", maintain_order=True)
    joined = names.join(found[SINKS], on="variant", maintain_order="left")
    joined = joined.join(found[SPIKE].drop("seeds", "left_out"), on="variant", maintain_order="left")
    return joined.select(pl.exclude("left_out"), "left_out")


def draw(runs: pl.DataFrame, width: str = "auto") -> Figure:
    """The figure of all runs of a study; ``width`` is a key of style.WIDTHS, by itself a page's."""
    drawn = marks(runs)
    note = not_drawn(runs, drawn)
    width = "page" if width == "auto" else width
    figure = style.new_figure(style.WIDTHS[width], HEIGHTS[width])
    axis = figure.subplots()
    axis.set_xlabel("Sink ratio (% of heads)")
    axis.set_ylabel("Spike (magnitude)")
    if note:
        axis.set_title(style.wrapped(f"Left out: {note}", 105 if width == "page" else 52), loc="left", fontsize=6.5)
    if not drawn:
        return figure
    looks = looks_of(runs)
    axis.plot([mark.x for mark in drawn], [mark.y for mark in drawn], linestyle="none")  # the limits are of all marks
    set_scales(axis, drawn)
    arrows = draw_arrows(axis, drawn, looks)
    for mark in drawn:
        draw_mark(axis, mark, looks[mark.variant])
    ablations = {mark.ablation: looks[mark.variant].marker for mark in drawn}
    style.legend(figure, legend(ablations))
    figure.draw_without_rendering()
    hints = draw_hints(axis, drawn)
    names = [Label(mark.x, mark.y, mark.label, looks[mark.variant].colour) for mark in drawn]
    place(axis, names, [*hints, *interval_boxes(axis, drawn)], arrows)
    return figure


def looks_of(runs: pl.DataFrame) -> dict[str, style.Look]:
    """The colour of every variant in its ablation's figures, and a marker for every ablation."""
    looks = style.looks([BASELINE])
    ablations = runs.filter(pl.col("ablation") != BASELINE)["ablation"].unique(maintain_order=True)
    for index, ablation in enumerate(ablations):
        variants = runs.filter(pl.col("ablation") == ablation)["variant"].unique(maintain_order=True)
        for variant, look in style.looks(variants).items():
            if variant != BASELINE:
                looks[variant] = look._replace(marker=SHAPES[index % len(SHAPES)])
    return looks


def set_scales(axis: Axes, drawn: Iterable[Mark]) -> None:
    """Sink ratios from 0 to 100 %, spikes on a logarithmic axis where they span a decade.

    An interval widens the axis by no more than a factor of 3 on either side and is cut there: one over two seeds may
    span many decades.
    """
    spikes = [mark.y for mark in drawn]
    ends = [end for mark in drawn if mark.y_interval for end in mark.y_interval]
    low, high = min(spikes), max(spikes)
    lowest = min(low, *(max(end, low / 3) for end in ends)) if ends else low
    highest = max(high, *(min(end, high * 3) for end in ends)) if ends else high
    axis.set_xlim(-4, 104)
    if style.spans_a_decade([lowest, highest]):
        axis.set_ylim(lowest / 1.5, highest * 1.5)
        style.log_scale(axis.yaxis)
    else:
        edge = 0.12 * (highest - lowest) or 0.2 * highest
        axis.set_ylim(max(0.0, lowest - edge), highest + edge)


def draw_arrows(axis: Axes, drawn: list[Mark], looks: dict[str, style.Look]) -> list[tuple]:
    """A thin arrow from the baseline to every other variant; returns their ends in data coordinates."""
    start = next(((mark.x, mark.y) for mark in drawn if mark.variant == BASELINE), None)
    if start is None:
        return []
    others = [mark for mark in drawn if mark.variant != BASELINE]
    for mark in others:
        way = {"arrowstyle": "-|>,head_width=0.12,head_length=0.25", "linewidth": 0.5, "shrinkA": 3, "shrinkB": 3}
        colour = style.lighter(looks[mark.variant].colour)
        axis.annotate("", (mark.x, mark.y), start, arrowprops=way | {"color": colour, "zorder": 1}, zorder=1)
    return [(start, (mark.x, mark.y)) for mark in others]


def draw_mark(axis: Axes, mark: Mark, look: style.Look) -> None:
    if mark.x_interval:
        axis.hlines(mark.y, *mark.x_interval, color=look.colour, **INTERVAL)
    if mark.y_interval:
        axis.vlines(mark.x, *mark.y_interval, color=look.colour, **INTERVAL)
    axis.plot(mark.x, mark.y, look.marker, color=look.colour, label=mark.variant, clip_on=False, zorder=3)


def draw_hints(axis: Axes, drawn: Iterable[Mark]) -> list[Sequence[float]]:
    """What corners without marks mean; returns the boxes of the words in pixels."""
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


def legend(ablations: dict[str, str]) -> list[Line2D]:
    grey = style.BASELINE_COLOUR
    return [
        Line2D([], [], color=grey, marker=marker, linestyle="none", label=ablation.replace("_", " "))
        for ablation, marker in ablations.items()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spikesink.figures.ablations.overview", description=__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="runs.csv of a study")
    add_common(parser)
    options = parser.parse_args()

    def work() -> None:
        runs = read_table(options.runs, NEEDED, "tabulate the runs again")
        style.save(draw(runs, options.width), data(runs), options.output)

    return one_line_errors(work)


if __name__ == "__main__":
    sys.exit(main())
