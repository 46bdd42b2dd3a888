"""Does one direction carry a spike channel's quadratic form? Eigenvalues of S_k (2603.05498 Fig 4)."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import legend
from spikesink.figures.drawing.files import REAL, TEXT, TRUTH, WHOLE
from spikesink.figures.drawing.panels import panels
from spikesink.figures.drawing.scales import round_ticks
from spikesink.figures.drawing.stacked import Models, stacked
from spikesink.figures.drawing.style import BASELINE_COLOUR, NO_SPIKE, REFERENCE, SPIKE, Style

QUESTIONS = ("amplifier_spectrum",)
CAPTION = (
    "Eigenvalues of the symmetric form S_k of some output channels k, one row of ticks per channel: spike channels "
    "above, ordinary channels below. A spike channel's spectrum has one eigenvalue far from all others (dot), so "
    "that the block squares one direction of its input; an ordinary channel's has none. After Fig 4 of Sun et al. "
    "(arXiv 2603.05498)."
)
COLUMNS = {"model": TEXT, "block": WHOLE, "role": TEXT, "channel": WHOLE, "group": TEXT} | {
    "eigenvalue": REAL,
    "leading": TRUTH,
}
COLOURS = {"spike": SPIKE, "leading": NO_SPIKE, "ordinary": BASELINE_COLOUR}
NAMES = {"spike": "spike channel", "leading": "largest channel, no spike", "ordinary": "ordinary channel"}


def data(models: Models) -> pl.DataFrame:
    """An eigenvalue per row, channel by channel in the order drawn; ``leading`` is the one farthest from 0."""
    read = {name: COLUMNS[name] for name in ("block", "role", "channel", "group", "eigenvalue")}
    table = stacked(models, "amplifier_spectrum", read)
    size, channel = pl.col("eigenvalue").abs(), ("model", "block", "channel")
    return table.with_columns(leading=size == size.max().over(channel))


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """One panel per model and block."""
    figure, axes = panels(list(style), data, 1.8, width)
    for (name, block), axis in axes.items():
        draw_block(axis, data.filter((pl.col("model") == name) & (pl.col("block") == block)))
    shown = [group for group in NAMES if group in data["group"]]
    legend(figure, [Line2D([], [], color=COLOURS[group], label=NAMES[group]) for group in shown])
    return figure


def draw_block(axis: Axes, spectrum: pl.DataFrame) -> None:
    channels = spectrum.unique(["channel", "group"], maintain_order=True)
    for row, (channel, group) in enumerate(channels.select("channel", "group").iter_rows()):
        row_of = spectrum.filter(pl.col("channel") == channel)
        values, leading = row_of["eigenvalue"], row_of.filter("leading")["eigenvalue"][0]
        axis.plot(values, [row] * len(values), "|", color=COLOURS[group], markersize=9, markeredgewidth=0.6)
        axis.plot(leading, row, "o", color=COLOURS[group], markersize=3.5)
    axis.axvline(0, **REFERENCE)
    axis.set_yticks(range(len(channels)), [str(channel) for channel in channels["channel"]])
    axis.set_ylim(len(channels) - 0.4, -0.6)
    axis.grid(False, axis="y")
    round_ticks(axis.xaxis, 5)
    axis.set(xlabel="Eigenvalue of $S_k$", ylabel="Output channel k")
