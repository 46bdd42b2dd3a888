"""Which path carries the gradient sink? Gradient norms of queries, keys and values over positions.

As in Figs 2, 8 and 9 of 2603.17771: means over layers of ||grad q_t||, ||grad k_t|| and ||grad v_t||, one panel per
path on one scale.
"""

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import legend
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.grid import is_left, strip
from spikesink.figures.drawing.scales import log_scale, whole_ticks
from spikesink.figures.drawing.stacked import Models
from spikesink.figures.drawing.style import BASELINE_COLOUR, Style, line

QUESTIONS = ("gradients",)
CAPTION = (
    "Norm of the loss gradient at the query, key and value projections of each position, summed over the batch first, "
    "mean over attention layers, one run per model; the mark is token 0. Dotted: the values' gradient if the same "
    "gradients came back to uniform attention, the null. In the paper the spike at token 0 is largest in the values "
    "and smaller in the keys. The query of token 0 sees one key only, so its gradient is zero and lies off the axis. "
    "After Figs 2, 8 and 9 of 2603.17771."
)
COLUMNS = {"model": TEXT, "path": TEXT, "position": WHOLE, "gradient_norm": REAL}
PATHS = (("query", "Queries", "q"), ("key", "Keys", "k"), ("value", "Values", "v"))
UNIFORM = {"linewidth": 0.9, "linestyle": (0, (1, 1))}
ROUNDING = 1e-5
"""A token-0 norm below this share of the median is zero up to rounding."""


def data(models: Models) -> pl.DataFrame:
    """A gradient norm, the mean over layers, per model, path and position; value_uniform is the null of value.

    Studies that were published before it existed have no null.
    """
    return pl.concat(
        over_layers(tables["gradients"], path).select(
            "position", model=pl.lit(label), path=pl.lit(path), gradient_norm=path
        )
        for path in (*(path for path, _, _ in PATHS), "value_uniform")
        for label, tables in models.items()
        if path in tables["gradients"].columns or path != "value_uniform"
    ).select(*COLUMNS)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """A panel per path, a line per model."""
    figure, axes = strip(len(PATHS), 1.9, 0.0, width, sharey=True)
    for axis, (path, name, letter) in zip(axes, PATHS, strict=True):
        for label, look in style.items():
            means = data.filter((pl.col("model") == label) & (pl.col("path") == path))
            position, norm = means["position"].to_list(), means["gradient_norm"].to_list()
            axis.plot(position, norm, color=look.colour, linestyle=line(look), linewidth=1)
            null = data.filter((pl.col("model") == label) & (pl.col("path") == f"{path}_uniform"))
            axis.plot(null["position"].to_list(), null["gradient_norm"].to_list(), color=look.colour, **UNIFORM)
            if position and position[0] == 0:
                axis.plot([0], norm[:1], color=look.colour, marker=look.marker, linestyle="none", zorder=4)
        axis.set_title(f"{name}, " + rf"$\|\nabla_{{{letter}_t}} L\|$")
        axis.set_xlabel("Position")
        whole_ticks(axis.xaxis)
        if is_left(axis):
            axis.set_ylabel("Gradient norm")
    log_scale(axes[0].yaxis)
    handles = [Line2D([], [], color=look.colour, linestyle=line(look), label=label) for label, look in style.items()]
    if "value_uniform" in data["path"]:
        handles.append(Line2D([], [], color=BASELINE_COLOUR, **UNIFORM, label="uniform attention"))
    legend(figure, handles)
    return figure


def over_layers(gradients: pl.DataFrame, path: str) -> pl.DataFrame:
    """Position and mean norm over layers, without positions whose norm is zero but for rounding."""
    means = gradients.group_by("position").agg(pl.col(path).mean()).sort("position")
    return means.filter(pl.col(path) > ROUNDING * pl.col(path).median())
