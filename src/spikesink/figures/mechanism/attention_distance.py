"""How far every head looks, and how far it looks beside the sink (2603.05498 Sec 3: sinks and local attention)."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import legend, wrapped
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.grid import grid, is_left
from spikesink.figures.drawing.stacked import Models, stacked
from spikesink.figures.drawing.style import BASELINE_COLOUR, COLOURS, REFERENCE, Style

QUESTIONS = ("attention_distance",)
CAPTION = (
    "Mean attention distance of every head over its mean attention on the sink, with all of its attention (hollow) "
    "and after taking the sink's share away and rescaling the rest (filled); a line joins the two of a head. Heads "
    "with much weight on the sink look far only because the sink is far; the rest of their attention is the most "
    "local. Dashed: uniform attention. After the account of sinks as a means of local attention in Sun et al., The "
    "Spike, the Sparse and the Sink (arXiv 2603.05498)."
)
COLUMNS = {"model": TEXT, "block": WHOLE, "head": WHOLE, "sink_mass": REAL, "distance": REAL} | {
    "distance_without_sink": REAL,
    "uniform": REAL,
}
WITH, WITHOUT = BASELINE_COLOUR, COLOURS[0]


def data(models: Models) -> pl.DataFrame:
    """A row per model and head: attention on the sink, distances with and without it, and that of uniform attention."""
    read = {name: COLUMNS[name] for name in ("block", "head", "sink_mass", "distance", "distance_without_sink")}
    heads = stacked(models, "attention_distance", read | {"tokens": WHOLE})
    return heads.with_columns(uniform=pl.col("tokens") / 4).select(*COLUMNS)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """A panel per model, all on one scale."""
    names = list(style)
    figure, axes = grid(names, rows=1, row_height=1.6, extra_height=0.3, width=width)
    panels = [axes[name][0] for name in names]
    for axis, name in zip(panels, names, strict=True):
        axis.set_title(wrapped(name, 24))
        draw_heads(axis, data.filter(pl.col("model") == name))
        axis.sharex(panels[0])
        axis.sharey(panels[0])
        axis.set_xlabel("Attention on the sink")
        axis.tick_params(labelleft=is_left(axis))
        if is_left(axis):
            axis.set_ylabel("Attention distance (tokens)")
    # Room for half a mark at the far ends.
    panels[0].set_xlim(0, 1.06 * data["sink_mass"].max())
    farthest = data.select(pl.max_horizontal(pl.col("distance", "distance_without_sink", "uniform").max())).item()
    panels[0].set_ylim(0, 1.08 * farthest)
    legend(figure, handles())
    return figure


def draw_heads(axis: Axes, heads: pl.DataFrame) -> None:
    """Two marks and a line per head; heads that attend to nothing but the sink have no second mark."""
    mass, every, rest = (heads[name].to_list() for name in ("sink_mass", "distance", "distance_without_sink"))
    joined = [one for one in zip(mass, every, rest, strict=True) if None not in one]
    axis.vlines([x for x, *_ in joined], [y for _, y, _ in joined], [y for *_, y in joined], color="0.8", zorder=1)
    for values, fill in ((every, "white"), (rest, WITHOUT)):
        y = [float("nan") if value is None else value for value in values]
        edge = WITH if fill == "white" else WITHOUT
        axis.scatter(mass, y, s=12, facecolors=fill, edgecolors=edge, linewidths=0.8, zorder=2)
    axis.axhline(heads["uniform"][0], **REFERENCE)


def handles() -> list[Line2D]:
    mark = {"linestyle": "none", "marker": "o", "markersize": 4}
    return [
        Line2D([], [], **mark, markerfacecolor="white", markeredgecolor=WITH, label="with the sink"),
        Line2D([], [], **mark, color=WITHOUT, label="without it"),
        Line2D([], [], **REFERENCE, label="uniform attention"),
    ]
