"""Rise, plateau and fall of massive activations: the three largest channel magnitudes over the blocks, per variant.

As Fig 1 of 2603.05498: the residual stream above, the block's own output below.
"""

import sys
from pathlib import Path

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from spikesink.figures import style
from spikesink.figures.command import command
from spikesink.figures.grid import COLUMNS, grid, is_left
from spikesink.tables.collect import BASELINE
from spikesink.tables.parts import labels, read_part, read_runs, variants

ROWS = (
    ("Residual stream", ("top1", "top2", "top3"), "median"),
    ("Block output", ("output_top1", "output_top2", "output_top3"), None),
)
SHADES = (0.0, 0.4, 0.7)
"""Share of white in the colours of the largest, second and third channel."""


def draw(parts: Path, ablation: str) -> Figure:
    """Two panels per variant; the baseline's largest channel is a dashed line in every other panel."""
    runs, states = read_runs(parts, ablation), read_part(parts, "states")
    names, label = variants(runs), labels(runs)
    looks = style.looks(names)
    figure, axes = grid(names, rows=2, row_height=1.1, extra_height=0.8)
    for name in names:
        axes[name][0].set_title(style.wrapped(label[name], 24))
        members = states.filter(pl.col("variant") == name)
        for axis, (row, quantities, median) in zip(axes[name], ROWS, strict=True):
            draw_channels(axis, members, quantities, looks[name].colour)
            if median:
                draw_mean(axis, members, median, color="0.6", linestyle=(0, (1, 1)))
            if name != BASELINE:
                draw_mean(axis, states.filter(pl.col("variant") == BASELINE), quantities[0], **style.REFERENCE)
            if is_left(axis):
                axis.set_ylabel(f"{row}\n(magnitude)")
        if members.is_empty():
            status = runs.filter(pl.col("variant") == name)["status"][0]
            axes[name][0].text(0.5, 0.6, status, transform=axes[name][0].transAxes, ha="center")
        axes[name][1].set_xlabel("Block")
    share_axes(list(axes.values()), states)
    figure.suptitle(f"Channel magnitudes over the blocks: {ablation.replace('_', ' ')}")
    handles = legend(several=runs["seed"].n_unique() > 1)
    figure.legend(handles=handles, loc="outside lower center", ncols=5 if len(names) >= COLUMNS else 2)
    return figure


def draw_channels(axis: Axes, states: pl.DataFrame, quantities: tuple[str, ...], colour: str) -> None:
    """Means over seeds of the largest channels; a band shows the seeds' range of the largest one."""
    top = quantities[0]
    spread = (
        states.drop_nulls(top)
        .group_by("state", maintain_order=True)
        .agg(low=pl.col(top).min(), high=pl.col(top).max())
        .sort("state")
    )
    axis.fill_between(
        spread["state"].to_list(),
        spread["low"].to_list(),
        spread["high"].to_list(),
        color=colour,
        alpha=0.2,
        linewidth=0,
    )
    for quantity, shade in zip(quantities, SHADES, strict=True):
        draw_mean(axis, states, quantity, color=style.lighter(colour, shade), zorder=3 - shade)


def draw_mean(axis: Axes, states: pl.DataFrame, quantity: str, **look) -> None:
    """The mean over seeds of a quantity, over hidden states."""
    mean = states.drop_nulls(quantity).group_by("state", maintain_order=True).agg(pl.col(quantity).mean()).sort("state")
    axis.plot(mean["state"].to_list(), mean[quantity].to_list(), **look)


def share_axes(columns: list[list[Axes]], states: pl.DataFrame) -> None:
    """One scale per row for all variants, logarithmic where magnitudes span more than a decade."""
    last = states["state"].max() or 1
    for row, (_, quantities, median) in enumerate(ROWS):
        members = [column[row] for column in columns]
        for axis in members[1:]:
            axis.sharey(members[0])
        members[0].autoscale_view()
        shown = [value for name in (*quantities, median) if name for value in states[name].drop_nulls()]
        if style.spans_a_decade(shown):
            style.log_scale(members[0].yaxis)
        for axis in members:
            axis.minorticks_off()
            axis.set_xlim(-0.3, last + 0.3)
            axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
            axis.tick_params(labelleft=is_left(axis), labelbottom=row == len(ROWS) - 1)


def legend(several: bool) -> list[Line2D]:
    grey = style.BASELINE_COLOUR
    names = ("largest channel" + (" (band: seeds)" if several else ""), "second", "third")
    handles = [
        Line2D([], [], color=style.lighter(grey, shade), label=name) for name, shade in zip(names, SHADES, strict=True)
    ]
    handles.append(Line2D([], [], color="0.6", linestyle=(0, (1, 1)), label="median"))
    handles.append(Line2D([], [], **style.REFERENCE, label="baseline's largest channel"))
    return handles


if __name__ == "__main__":
    sys.exit(command("lifecycle", __doc__, draw))
