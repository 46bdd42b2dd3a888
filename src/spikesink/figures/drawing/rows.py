"""A row per variant in every panel: marks for its seeds, their mean with its interval, and the baseline's as a line."""

import polars as pl
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikesink.figures.drawing.canvas import wrapped
from spikesink.figures.drawing.grid import strip
from spikesink.figures.drawing.metrics import INTERVAL, Panel, has_several_seeds, mark_cuts, marks_of, set_limits
from spikesink.figures.drawing.style import REFERENCE, Style, lighter
from spikesink.runs.folder import FINISHED
from spikesink.study.names import BASELINE


def draw_panels(
    panels: list[Panel], variants: pl.DataFrame, data: pl.DataFrame, style: Style, width: str, *, room: float
) -> tuple[Figure, list[Axes]]:
    """A figure with its panels side by side and a row per variant, in the order of ``variants``; and the panels' axes.

    ``room`` is the height in inches of what is no row.
    """
    rows = {name: row for row, name in enumerate(variants["variant"])}
    height = 0.27 if len(rows) <= 8 else 0.2
    figure, axes = strip(len(panels), room + height * len(rows), 0.1, width, sharey=True)
    for panel, axis in zip(panels, axes, strict=True):
        draw_panel(axis, panel, data, rows, style)
    axes[0].set_yticks(
        list(rows.values()), [tick_label(*row) for row in variants.select("label", "outcome").iter_rows()]
    )
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    return figure, axes


def draw_panel(axis: Axes, panel: Panel, data: pl.DataFrame, rows: dict[str, int], style: Style) -> None:
    """A mark per seed, the mean with its interval, and an open diamond for the second quantity.

    Marks of one kind are one collection: drawing takes time for each.
    """
    several = has_several_seeds(data)
    seeds, means, second = (table.drop_nulls("value") for table in marks_of(data, panel))

    def points(table: pl.DataFrame) -> tuple[list[float], list[int]]:
        return table["value"].to_list(), [rows[variant] for variant in table["variant"]]

    def colours(table: pl.DataFrame) -> list[str]:
        return [style[variant].colour for variant in table["variant"]]

    reference = means.filter(pl.col("variant") == BASELINE)["value"]
    if len(reference):
        axis.axvline(reference[0], **REFERENCE)
    edges = [lighter(colour) for colour in colours(second)]
    axis.scatter(*points(second), s=16, marker="D", facecolors="none", edgecolors=edges, zorder=2)
    if several:
        palette = {name: style[name].colour for name in rows}
        common = {"order": [*rows], "hue": "variant", "hue_order": [*rows], "palette": palette, "legend": False}
        marks = seeds.select("variant", "value").to_dict(as_series=False)
        seaborn.stripplot(
            marks, x="value", y="variant", **common, ax=axis, orient="y", jitter=False, size=3, alpha=0.5, zorder=2.5
        )
    mark = {"marker": "|", "s": 80} if several else {"marker": "o", "s": 16}
    axis.scatter(*points(means), color=colours(means), **mark, zorder=4)
    known = means.drop_nulls("low")
    intervals = (points(known)[1], known["low"].to_list(), known["high"].to_list(), colours(known))
    axis.hlines(*intervals, **INTERVAL)
    set_limits(axis.xaxis, panel, means, [*seeds["value"], *second["value"]])
    mark_cuts(axis.xaxis, zip(*intervals, strict=True))
    axis.set_xlabel(panel.label)
    axis.set_ylabel("")


def tick_label(label: str, outcome: str) -> str:
    """A variant's label, with the outcome of its seeds where not every one finished."""
    return wrapped(label, 28) if outcome == FINISHED else f"{wrapped(label, 28)}\n{outcome}"
