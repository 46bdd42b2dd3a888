"""Is SiLU the identity on spike tokens? Its input against its output, token by token (2603.05498 Fig 2)."""

import polars as pl
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import legend
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.grid import is_left
from spikesink.figures.drawing.panels import panels
from spikesink.figures.drawing.scales import log_scale
from spikesink.figures.drawing.stacked import Models, stacked
from spikesink.figures.drawing.style import BASELINE_COLOUR, NO_SPIKE, SPIKE, Style

QUESTIONS = ("silu_identity",)
CAPTION = (
    "SiLU's output against its input in the SwiGLU blocks that make and remove the massive activation: cosine and "
    "ratio of norms over the hidden channels, one point per token, coloured by the token's largest |block output|. "
    "Rimmed: spike tokens. At (1, 1) SiLU is the identity and the block a quadratic form of its input; ordinary "
    "tokens, whose pre-activations are small, lie near a ratio of one half. After Fig 2 of Sun et al. (arXiv "
    "2603.05498)."
)
COLUMNS = {"model": TEXT, "block": WHOLE, "role": TEXT, "sequence": WHOLE, "position": WHOLE, "group": TEXT} | {
    "cosine": REAL,
    "norm_ratio": REAL,
    "output_maximum": REAL,
}
RIMS = {
    "other": ("none", "other token"),
    "spike": (SPIKE, "spike token"),
    "leading": (NO_SPIKE, "largest token, no spike"),
}


def data(models: Models) -> pl.DataFrame:
    """A row per model, block and token."""
    return stacked(models, "silu_identity", {name: kind for name, kind in COLUMNS.items() if name != "model"})


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """One panel per model and block, one colour scale for all."""
    figure, axes = panels(list(style), data, 2.0, width)
    outputs = [value for value in data["output_maximum"] if value > 0]
    colours = LogNorm(min(outputs, default=0.1), max(outputs, default=1))
    points = None
    for (name, block), axis in axes.items():
        part = data.filter((pl.col("model") == name) & (pl.col("block") == block)).sort("output_maximum")
        for group, (rim, _) in RIMS.items():
            members = part.filter(pl.col("group") == group)
            few = rim != "none" and len(members) <= 100  # rims of more would cover everything
            look = {"norm": colours, "s": 16 if few else 4, "edgecolors": rim, "linewidths": 0.7 if few else 0.3}
            look |= {"rasterized": len(members) > 500, "zorder": 2 if rim == "none" else 4}
            points = axis.scatter(members["cosine"], members["norm_ratio"], c=members["output_maximum"], **look)
        axis.plot(1, 1, "+", color=BASELINE_COLOUR, markersize=6, zorder=3)
        axis.set(xlabel="Cosine of SiLU's input\nand output", ylabel="Ratio of norms" if is_left(axis) else "")
    if points is not None:
        bar = figure.colorbar(points, ax=list(axes.values()), aspect=30, pad=0.01, label="Largest |block output|")
        log_scale(bar.ax.yaxis)
    first = next(iter(axes.values()), None)
    for axis in axes.values():
        axis.sharex(first)
        axis.sharey(first)
    if first is not None:
        first.autoscale_view()
    legend(figure, handles(set(data["group"])))
    return figure


def handles(groups: set[str]) -> list[Line2D]:
    found = []
    for group, (rim, label) in RIMS.items():
        if group in groups:
            mark = {"markersize": 2 if rim == "none" else 5, "markeredgecolor": rim, "markeredgewidth": 0.8}
            found.append(Line2D([], [], color="none", marker="o", markerfacecolor="0.6", label=label, **mark))
    cross = {"color": BASELINE_COLOUR, "marker": "+", "linestyle": "none", "markersize": 6}
    return [*found, Line2D([], [], **cross, label="identity")]
