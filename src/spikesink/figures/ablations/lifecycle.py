"""Rise, plateau and fall of massive activations: the three largest channel magnitudes over the blocks, per variant.

As Fig 1 of 2603.05498: the residual stream above, the block's own output below.
"""

import sys
from pathlib import Path

import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from spikesink.figures.command import command
from spikesink.figures.drawing import style
from spikesink.figures.drawing.grid import grid, is_left
from spikesink.figures.drawing.seeds import meaning, over_seeds
from spikesink.study.names import BASELINE
from spikesink.tables.parts import labels, read_part, read_runs, variant_names

ROWS = (
    ("Residual stream", ("top1", "top2", "top3"), "median"),
    ("Block output", ("output_top1", "output_top2", "output_top3"), None),
)
SHADES = (0.0, 0.4, 0.7)
"""Share of white in the colours of the largest, second and third channel."""


def data(parts: Path, ablation: str) -> pl.DataFrame:
    """Geometric means over seeds by variant, hidden state and quantity, with the band of the largest channels."""
    runs, states = read_runs(parts, ablation), read_part(parts, "states")
    found = []
    for _, quantities, median in ROWS:
        for quantity in (*quantities, *([median] if median else [])):
            means = over_seeds(states, ("variant", "state"), quantity, log=True)
            band = [pl.when(quantity == quantities[0]).then(end).alias(end) for end in ("low", "high")]
            found.append(means.with_columns(*band, quantity=pl.lit(quantity)))
    table = pl.concat(found)
    order = pl.DataFrame({"variant": variant_names(runs)}).with_columns(label=pl.col("variant").replace(labels(runs)))
    return order.join(table, on="variant", maintain_order="left_right").select(
        "variant", "label", "quantity", "state", "seeds", "value", "low", "high"
    )


def draw(parts: Path, ablation: str, width: str = "auto") -> Figure:
    """Two panels per variant; the baseline's largest channel is a dashed line in every other panel."""
    runs, shown = read_runs(parts, ablation), data(parts, ablation)
    names, label = variant_names(runs), labels(runs)
    looks = style.looks(names)
    figure, axes = grid(names, rows=2, row_height=1.1, extra_height=0.4, width=width)
    for name in names:
        axes[name][0].set_title(style.wrapped(label[name], 24))
        members = shown.filter(pl.col("variant") == name)
        for axis, (row, quantities, median) in zip(axes[name], ROWS, strict=True):
            draw_channels(axis, members, quantities, looks[name].colour)
            if median:
                draw_mean(axis, members, median, color="0.6", linestyle=(0, (1, 1)))
            if name != BASELINE:
                draw_mean(axis, shown.filter(pl.col("variant") == BASELINE), quantities[0], **style.REFERENCE)
            if is_left(axis):
                axis.set_ylabel(f"{row}\n(magnitude)")
        if members.is_empty():
            status = runs.filter(pl.col("variant") == name)["status"][0]
            note = axes[name][0].text(0.5, 0.5, status, transform=axes[name][0].transAxes, ha="center", zorder=4)
            note.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
        axes[name][1].set_xlabel("Block")
    share_axes(list(axes.values()), shown)
    style.title(figure, f"Channel magnitudes over the blocks: {ablation.replace('_', ' ')}")
    style.legend(figure, legend(shown["seeds"].max() or 0))
    return figure


def draw_channels(axis: Axes, shown: pl.DataFrame, quantities: tuple[str, ...], colour: str) -> None:
    """Means over seeds of the largest channels, and a band for the largest one."""
    band = shown.filter(pl.col("quantity") == quantities[0]).drop_nulls("low")
    ends = (band[name].to_list() for name in ("state", "low", "high"))
    axis.fill_between(*ends, color=colour, alpha=0.2, linewidth=0)
    for quantity, shade in zip(quantities, SHADES, strict=True):
        draw_mean(axis, shown, quantity, color=style.lighter(colour, shade), zorder=3 - shade)


def draw_mean(axis: Axes, shown: pl.DataFrame, quantity: str, **look) -> None:
    """The mean over seeds of a quantity, over hidden states."""
    mean = shown.filter(pl.col("quantity") == quantity)
    axis.plot(mean["state"].to_list(), mean["value"].to_list(), **look)


def share_axes(columns: list[list[Axes]], shown: pl.DataFrame) -> None:
    """One scale per row for all variants, logarithmic where magnitudes span more than a decade."""
    last = shown["state"].max() or 1
    for row, (_, quantities, median) in enumerate(ROWS):
        members = [column[row] for column in columns]
        for axis in members[1:]:
            axis.sharey(members[0])
        members[0].autoscale_view()
        if style.spans_a_decade(shown.filter(pl.col("quantity").is_in([*quantities, median]))["value"]):
            style.log_scale(members[0].yaxis)
        for axis in members:
            axis.minorticks_off()
            axis.set_xlim(-0.3, last + 0.3)
            axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
            axis.tick_params(labelleft=is_left(axis), labelbottom=row == len(ROWS) - 1)


def legend(seeds: int) -> list[Artist]:
    grey = style.BASELINE_COLOUR
    names = ("largest channel", "second", "third")
    handles = [
        Line2D([], [], color=style.lighter(grey, shade), label=name) for name, shade in zip(names, SHADES, strict=True)
    ]
    if seeds > 1:
        handles.insert(1, Patch(color=grey, alpha=0.2, linewidth=0, label=f"its {meaning(seeds)}"))
    handles.append(Line2D([], [], color="0.6", linestyle=(0, (1, 1)), label="median"))
    handles.append(Line2D([], [], **style.REFERENCE, label="baseline's largest channel"))
    return handles


if __name__ == "__main__":
    sys.exit(command("lifecycle", __doc__, draw, data))
