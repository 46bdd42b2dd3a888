"""Where the sinks are: mean attention on position 0 by layer and head, one map per variant."""

import sys
from pathlib import Path

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from spikesink.figures.command import command
from spikesink.figures.drawing import style
from spikesink.figures.drawing.grid import grid, is_left
from spikesink.tables.parts import labels, read_part, read_runs, variant_names


def data(parts: Path, ablation: str) -> pl.DataFrame:
    """Means over seeds by variant, layer and head: attention on position 0, on the key with most, and the threshold."""
    runs, heads = read_runs(parts, ablation), read_part(parts, "heads")
    means = heads.group_by("variant", "layer", "head", maintain_order=True).agg(
        pl.len().alias("seeds"), pl.col("sink_mass", "largest_key_mass", "epsilon").mean()
    )
    order = pl.DataFrame({"variant": variant_names(runs)}).with_columns(label=pl.col("variant").replace(labels(runs)))
    return order.join(means.sort("layer", "head"), on="variant", maintain_order="left_right")


def draw(parts: Path, ablation: str, width: str = "auto") -> Figure:
    """One map per variant, one colour bar for all; dots mark heads above the threshold."""
    runs, means = read_runs(parts, ablation), data(parts, ablation)
    names, label = variant_names(runs), labels(runs)
    epsilon = means["epsilon"].max() if len(means) else 0.3
    # The threshold always lies on the colour bar.
    top = max([epsilon, *means["sink_mass"]])
    figure, axes = grid(names, rows=1, row_height=1.45, extra_height=0.3, width=width)
    image = None
    for name in names:
        (axis,) = axes[name]
        axis.set_title(style.wrapped(label[name], 24))
        axis.grid(False)
        members = means.filter(pl.col("variant") == name)
        if members.is_empty():
            status = runs.filter(pl.col("variant") == name)["status"][0]
            axis.text(0.5, 0.5, status, transform=axis.transAxes, ha="center")
            axis.set(xticks=[], yticks=[])
            continue
        image = draw_map(axis, members, top)
        axis.set_xlabel("Head")
        if is_left(axis):
            axis.set_ylabel("Attention layer")
    if image is not None:
        bar = figure.colorbar(image, ax=[axis for (axis,) in axes.values()], aspect=30, pad=0.01)
        bar.set_label("Attention on position 0")
        bar.ax.axhline(epsilon, color="white", linewidth=1)
    style.title(figure, f"Attention sinks by head: {ablation.replace('_', ' ')}")
    style.legend(figure, legend(epsilon))
    return figure


def draw_map(axis: Axes, heads: pl.DataFrame, top: float):
    """Layers upwards, heads to the right; both counted from 0. Returns the mesh for the colour bar."""
    table = heads.sort("head").pivot("head", index="layer", values="sink_mass").sort("layer").drop("layer")
    mesh = axis.pcolormesh(table.to_numpy(), vmin=0, vmax=top)
    size = dot_size(axis, *table.shape)
    above = heads.filter(pl.col("sink_mass") > pl.col("epsilon"))
    elsewhere = heads.filter(
        (pl.col("largest_key_mass") > pl.col("epsilon")) & (pl.col("sink_mass") <= pl.col("epsilon"))
    )
    rim = 0.4 if size >= 4 else 0
    for members, colour, width in ((above, "black", rim), (elsewhere, "none", 0.6)):
        x, y = ((members[name] + 0.5).to_list() for name in ("head", "layer"))
        axis.scatter(x, y, s=size, marker="o", facecolors=colour, edgecolors="white", linewidths=width)
    for one_axis, count in ((axis.xaxis, table.width), (axis.yaxis, table.height)):
        # Ticks in the middle of the cells, on at most six whole numbers.
        ticks = MaxNLocator(nbins=5, integer=True).tick_values(0, count - 1)
        shown = sorted({int(tick) for tick in ticks if 0 <= tick < count})
        one_axis.set_ticks([tick + 0.5 for tick in shown], [str(tick) for tick in shown])
    return mesh


def dot_size(axis: Axes, layers: int, heads: int) -> float:
    """Area of a dot in square points: a third of the smaller side of a cell, within what a reader sees."""
    box = axis.get_position().transformed(axis.figure.transFigure)
    cell = min(box.width / heads, box.height / layers) * 72 / axis.figure.dpi
    return min(12.0, max(0.8, (cell / 3) ** 2))


def legend(epsilon: float) -> list[Line2D]:
    mark = {"color": "none", "marker": "o", "markersize": 4}
    return [
        Line2D(
            [], [], **mark, markerfacecolor="black", markeredgecolor="0.4", label=f"above {epsilon:g} on position 0"
        ),
        Line2D([], [], **mark, markerfacecolor="none", markeredgecolor="0.4", label=f"above {epsilon:g} elsewhere"),
    ]


if __name__ == "__main__":
    sys.exit(command("sink_map", __doc__, draw, data))
