"""Where the sinks are: mean attention on position 0 by layer and head, one map per variant."""

from pathlib import Path

import polars as pl
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import legend, note, title, wrapped
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.grid import grid, is_left
from spikesink.figures.drawing.scales import ticks_of_cells
from spikesink.figures.drawing.seeds import ablation_of, named_variants
from spikesink.figures.drawing.style import Style
from spikesink.tables.parts import read_part, read_runs

CAPTION = (
    "Mean attention on position 0 of every head, one map per variant, averaged over queries and sequences (alpha in "
    "Eq. 27 of arXiv 2603.05498, with zeros for queries before the key). Heads have no order that seeds share, so "
    "those of a layer are sorted by their attention in every seed, and then averaged over seeds by rank. A filled dot "
    "marks a rank whose mean attention on position 0 exceeds the sink threshold. An open dot marks one that exceeds it "
    "on another key of the first half. Look for the layers in which sinks begin, and whether a variant removes them, "
    "thins them out or moves them."
)
PARTS = ("runs", "heads")
COLUMNS = {"ablation": TEXT, "variant": TEXT, "label": TEXT, "outcome": TEXT, "layer": WHOLE, "rank": WHOLE} | {
    "seeds": WHOLE,
    "sink_mass": REAL,
    "elsewhere_mass": REAL,
    "epsilon": REAL,
}
ON_POSITION_0 = pl.col("sink_mass") > pl.col("epsilon")
ELSEWHERE = ~ON_POSITION_0 & (pl.col("elsewhere_mass") > pl.col("epsilon"))
"""Heads with a sink."""


def data(parts: Path, ablation: str) -> pl.DataFrame:
    """Means over seeds by variant, layer and rank: attention on position 0, elsewhere, and the threshold.

    elsewhere_mass is the attention on the key with most; in a head where that key is mostly position 0 it is 0.

    Rank 0 is a layer's head with most attention on position 0, in each seed another. A variant without a finished run
    has one row without values.
    """
    runs, heads = read_runs(parts, ablation), read_part(parts, "heads")
    rank = pl.col("sink_mass").rank("ordinal", descending=True).over("variant", "seed", "layer").cast(pl.Int64) - 1
    elsewhere = pl.when(pl.col("sink_position") > 0).then("largest_key_mass").otherwise(0.0)
    means = (
        heads.with_columns(rank=rank, elsewhere_mass=elsewhere)
        .group_by("variant", "layer", "rank", maintain_order=True)
        .agg(pl.len().alias("seeds"), pl.col("sink_mass", "elsewhere_mass", "epsilon").mean())
    )
    variants = named_variants(runs, ablation)
    joined = variants.join(means.sort("layer", "rank"), on="variant", how="left", maintain_order="left_right")
    return joined.select(pl.col(name).cast(kind) for name, kind in COLUMNS.items())


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """One map per variant, one colour bar for all; dots mark heads above the threshold."""
    variants = data.unique("variant", maintain_order=True).rows_by_key("variant", named=True, unique=True)
    heads = data.drop_nulls("sink_mass")
    epsilon = heads["epsilon"].max() if len(heads) else 0.3
    # The threshold always lies on the colour bar.
    top = max([epsilon, *heads["sink_mass"]])
    figure, axes = grid(list(variants), rows=1, row_height=1.45, extra_height=0.3, width=width)
    image = None
    for name, facts in variants.items():
        (axis,) = axes[name]
        axis.set_title(wrapped(facts["label"], 24))
        axis.grid(False)
        members = heads.filter(pl.col("variant") == name)
        if members.is_empty():
            note(axis, wrapped(facts["outcome"], 14))
            axis.set(xticks=[], yticks=[])
            continue
        image = draw_map(axis, members, top)
        axis.set_xlabel("Head, by its attention")
        if is_left(axis):
            axis.set_ylabel("Attention layer")
    if image is not None:
        bar = figure.colorbar(image, ax=[axis for (axis,) in axes.values()], aspect=30, pad=0.01)
        bar.set_label("Attention on position 0")
        bar.ax.axhline(epsilon, color="white", linewidth=1)
    seeds = data["seeds"].max() or 0
    of_seeds = f"means of {seeds} seeds" if seeds > 1 else "one seed"
    title(figure, f"Attention sinks by head: {ablation_of(data)} ({of_seeds})")
    legend(figure, handles(heads, epsilon))
    return figure


def draw_map(axis: Axes, heads: pl.DataFrame, top: float) -> QuadMesh:
    """Layers upwards, ranks to the right; both counted from 0. Returns the mesh for the colour bar."""
    table = heads.sort("rank").pivot("rank", index="layer", values="sink_mass").sort("layer").drop("layer")
    mesh = axis.pcolormesh(table.to_numpy(), vmin=0, vmax=top)
    size = dot_size(axis, *table.shape)
    rim = 0.4 if size >= 4 else 0
    for sinks, colour, width in ((ON_POSITION_0, "black", rim), (ELSEWHERE, "none", 0.6)):
        members = heads.filter(sinks)
        x, y = ((members[name] + 0.5).to_list() for name in ("rank", "layer"))
        axis.scatter(x, y, s=size, marker="o", facecolors=colour, edgecolors="white", linewidths=width)
    ticks_of_cells(axis.xaxis, table.width)
    ticks_of_cells(axis.yaxis, table.height)
    return mesh


def dot_size(axis: Axes, layers: int, heads: int) -> float:
    """Area of a dot in square points: its width is a third of a cell's smaller side, within what a reader can see."""
    box = axis.get_position().transformed(axis.figure.transFigure)
    cell = min(box.width / heads, box.height / layers) * 72 / axis.figure.dpi
    return min(12.0, max(0.8, (cell / 3) ** 2))


def handles(heads: pl.DataFrame, epsilon: float) -> list[Line2D]:
    """The legend: the dots that are drawn."""
    mark = {"color": "none", "marker": "o", "markersize": 4, "markeredgecolor": "0.4"}
    looks = ((ON_POSITION_0, "black", "on position 0"), (ELSEWHERE, "none", "elsewhere"))
    return [
        Line2D([], [], **mark, markerfacecolor=face, label=f"above {epsilon:g} {where}")
        for sinks, face, where in looks
        if len(heads.filter(sinks))
    ]
