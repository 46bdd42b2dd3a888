"""Is SiLU the identity on spike tokens? Its input against its output, token by token (2603.05498 Fig 2)."""

import polars as pl
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures import style
from spikesink.figures.panels import panels

QUESTIONS = ("silu_identity",)
CAPTION = (
    "SiLU's output against its input in the SwiGLU blocks that make and remove the massive activation: cosine and "
    "ratio of norms over the hidden channels, one point per token, coloured by the token's largest |block output|. "
    "Rimmed: spike tokens. At (1, 1) SiLU is the identity and the block a quadratic form of its input; ordinary "
    "tokens, whose pre-activations are small, lie near a ratio of one half. After Fig 2 of Sun et al. (arXiv "
    "2603.05498)."
)

RIMS = {
    "other": ("none", "other token"),
    "spike": ("#D55E00", "spike token"),
    "leading": ("#0072B2", "largest token, no spike"),
}


def draw(models: dict[str, dict[str, pl.DataFrame]]) -> Figure:
    """One panel per model and block, one colour scale for all."""
    tables = {name: tables["silu_identity"] for name, tables in models.items()}
    figure, axes = panels(tables, height=2.0, extra=0.45)
    outputs = [value for table in tables.values() if len(table) for value in table["output_maximum"] if value > 0]
    colours = LogNorm(min(outputs, default=0.1), max(outputs, default=1))
    points = None
    for (name, block), axis in axes.items():
        part = tables[name].filter(pl.col("block") == block).sort("output_maximum")
        for group, (rim, _) in RIMS.items():
            members = part.filter(pl.col("group") == group)
            look = {"norm": colours, "s": 4 if rim == "none" else 16, "edgecolors": rim, "linewidths": 0.7}
            look |= {"rasterized": len(members) > 500, "zorder": 2 if rim == "none" else 4}
            points = axis.scatter(members["cosine"], members["norm_ratio"], c=members["output_maximum"], **look)
        axis.plot(1, 1, "+", color=style.BASELINE_COLOUR, markersize=6, zorder=3)
        axis.set(xlabel="Cosine of SiLU's input and output", ylabel="Ratio of norms")
    if points is not None:
        figure.colorbar(points, ax=list(axes.values()), aspect=30, pad=0.01, label="Largest |block output|")
    first = next(iter(axes.values()), None)
    for axis in axes.values():
        axis.sharex(first)
        axis.sharey(first)
    if first is not None:
        first.autoscale_view()
    groups = {group for table in tables.values() if len(table) for group in table["group"]}
    figure.legend(handles=legend(groups), loc="outside lower center", ncols=4)
    return figure


def legend(groups: set[str]) -> list[Line2D]:
    handles = []
    for group, (rim, label) in RIMS.items():
        if group in groups:
            mark = {"markersize": 2 if rim == "none" else 5, "markeredgecolor": rim, "markeredgewidth": 0.8}
            handles.append(Line2D([], [], color="none", marker="o", markerfacecolor="0.6", label=label, **mark))
    cross = {"color": style.BASELINE_COLOUR, "marker": "+", "linestyle": "none", "markersize": 6}
    return [*handles, Line2D([], [], **cross, label="identity")]
