"""Which path carries the gradient sink? Gradient norms of queries, keys and values over positions.

As in Figs 2, 8 and 9 of 2603.17771: means over layers of ||grad q_t||, ||grad k_t|| and ||grad v_t||, one panel per
path on one scale.
"""

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from spikesink.figures import style

QUESTIONS = ("gradients",)
CAPTION = (
    "Norm of the loss gradient at the query, key and value projections of each position, summed over the batch first, "
    "mean over attention layers; the mark is token 0. In the paper the spike at token 0 is largest in the values and "
    "smaller in the keys; the query of token 0 sees one key only, so its gradient is zero and off the axis. "
    "After Figs 2, 8 and 9 of 2603.17771."
)
PATHS = (("query", "Queries", "q"), ("key", "Keys", "k"), ("value", "Values", "v"))
ROUNDING = 1e-6
"""A token-0 norm below this share of the median is zero up to rounding."""


def draw(models: dict[str, dict[str, pl.DataFrame]]) -> Figure:
    """A panel per path, a line per model."""
    figure = style.new_figure(style.PAGE, 2.3)
    axes = figure.subplots(1, len(PATHS), sharey=True)
    looks = style.looks(models)
    for axis, (path, name, letter) in zip(axes, PATHS, strict=True):
        for label, tables in models.items():
            means = over_layers(tables["gradients"], path)
            look = looks[label]
            position, norm = means["position"].to_list(), means[path].to_list()
            axis.plot(position, norm, color=look.colour, linestyle=style.line(look), linewidth=1)
            if position and position[0] == 0:
                axis.plot([0], norm[:1], color=look.colour, marker=look.marker, linestyle="none", zorder=4)
        axis.set_title(f"{name}, " + rf"$\|\nabla_{{{letter}_t}} L\|$")
        axis.set_xlabel("Position")
        axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    style.log_scale(axes[0].yaxis)
    axes[0].set_ylabel("Gradient norm")
    handles = [
        Line2D([], [], color=looks[label].colour, linestyle=style.line(looks[label]), label=label) for label in models
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def over_layers(gradients: pl.DataFrame, path: str) -> pl.DataFrame:
    """Position and mean norm over layers, without positions whose norm is zero but for rounding."""
    means = gradients.group_by("position").agg(pl.col(path).mean()).sort("position")
    return means.filter(pl.col(path) > ROUNDING * pl.col(path).median())
