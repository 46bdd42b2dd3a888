"""Queries and keys of a sink head and of another head (2603.05498 Fig 6), and what the score of the sink buys.

As Fig 6: a t-SNE of queries and keys together, one sink head beside one that is none.
"""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import legend, note, wrapped
from spikesink.figures.drawing.files import REAL, TEXT, TRUTH, WHOLE
from spikesink.figures.drawing.grid import grid, is_left
from spikesink.figures.drawing.stacked import Models, stacked
from spikesink.figures.drawing.style import COLOURS, REFERENCE, SPIKE, STARTS, Style

QUESTIONS = ("sink_geometry", "key_query_embedding")
CAPTION = (
    "Top and middle: t-SNE of queries, keys and the keys at position 0 in the head with most attention on position 0 "
    "and in the one with least, of the same block where that has one below the threshold; in a sink head the sink key "
    "lies apart from all other keys and on the side of the queries. Behind a BOS there is one sink key. Bottom: how "
    "far the score of key 0 stands above the mean score of the other visible keys, before the softmax, over the mean "
    "attention that key 0 receives, per head; the line is the threshold of a sink head. After Fig 6 and Eq 26 of Sun "
    "et al., The Spike, the Sparse and the Sink (arXiv 2603.05498)."
)
COLUMNS = {"model": TEXT, "panel": TEXT, "block": WHOLE, "head": WHOLE, "sink_mass": REAL, "head_kind": TEXT} | {
    "role": TEXT,
    "is_sink": TRUTH,
    "sequence": WHOLE,
    "position": WHOLE,
    "x": REAL,
    "y": REAL,
    "start": TEXT,
    "logit_gap": REAL,
    "epsilon": REAL,
}
POINTS = (
    ("query", False, "queries", COLOURS[4], "o", 5),
    ("key", False, "keys", "0.65", "o", 5),
    ("key", True, "keys at position 0", SPIKE, "D", 18),
)
# The first head is no sink head where no head of the model is one.
KINDS = {"sink": "Most attention\non position 0", "other": "Least attention\non position 0"}
MARKS = {
    "bos": ("BOS at position 0", STARTS["bos"], "o"),
    "text": ("text at position 0", STARTS["text"], "^"),
}


def data(models: Models) -> pl.DataFrame:
    """Panel "embedding": a row per query and key in the two heads; panel "gap": a row per model, start and head."""
    of_points = ("block", "head", "sink_mass", "head_kind", "role", "is_sink", "sequence", "position", "x", "y")
    of_gaps = ("block", "head", "sink_mass", "start", "logit_gap", "epsilon")
    points = stacked(models, "key_query_embedding", {name: COLUMNS[name] for name in of_points})
    gaps = stacked(models, "sink_geometry", {name: COLUMNS[name] for name in of_gaps})
    parts = [points.with_columns(panel=pl.lit("embedding")), gaps.with_columns(panel=pl.lit("gap"))]
    return pl.concat(parts, how="diagonal").select(*COLUMNS)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """Three panels per model."""
    names = list(style)
    figure, axes = grid(names, rows=3, row_height=1.35, extra_height=0.6, width=width)
    for name in names:
        ours = data.filter(pl.col("model") == name)
        for axis, kind in zip(axes[name], KINDS, strict=False):
            draw_points(axis, ours.filter(pl.col("panel") == "embedding"), kind)
        axes[name][0].set_title(f"{wrapped(name, 24)}\n{axes[name][0].get_title()}".strip())
        draw_gaps(axes[name][2], ours.filter(pl.col("panel") == "gap"))
    gaps = [axes[name][2] for name in names]
    for axis in gaps[1:]:
        axis.sharex(gaps[0])
        axis.sharey(gaps[0])
    gaps[0].autoscale_view()
    gaps[0].set_xlim(left=0)
    legend(figure, handles(data))
    return figure


def draw_points(axis: Axes, embedding: pl.DataFrame, kind: str) -> None:
    """One head's points, the sink keys on top; the axes of a t-SNE have no unit."""
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    if embedding.is_empty():
        note(axis, "a single head")
        return
    members = embedding.filter(pl.col("head_kind") == kind)
    block, head, mass = members.select("block", "head", "sink_mass").row(0)
    axis.set_title(f"block {block}, head {head}:\n{mass:.2f} on position 0")
    for role, is_sink, _, colour, marker, size in POINTS:
        shown = members.filter((pl.col("role") == role) & (pl.col("is_sink") == is_sink))
        axis.scatter(shown["x"], shown["y"], s=size, color=colour, marker=marker, linewidths=0)
    if is_left(axis):
        axis.set_ylabel(KINDS[kind])


def draw_gaps(axis: Axes, heads: pl.DataFrame) -> None:
    """A mark per head and start."""
    for start, (_, colour, marker) in MARKS.items():
        shown = heads.filter(pl.col("start") == start).drop_nulls("logit_gap")
        axis.scatter(shown["sink_mass"], shown["logit_gap"], s=12, color=colour, marker=marker, linewidths=0)
    axis.axvline(heads["epsilon"][0], **REFERENCE)
    axis.set_xlabel("Attention on position 0")
    axis.tick_params(labelleft=is_left(axis))
    if is_left(axis):
        axis.set_ylabel("Logit gap to\nother keys")


def handles(data: pl.DataFrame) -> list[Line2D]:
    mark = {"linestyle": "none", "markersize": 4}
    return [
        Line2D([], [], **mark, marker=marker, color=colour, label=label) for _, _, label, colour, marker, _ in POINTS
    ] + [
        Line2D([], [], **mark, marker=marker, color=colour, label=f"head, {label}")
        for start, (label, colour, marker) in MARKS.items()
        if start in data["start"]
    ]
