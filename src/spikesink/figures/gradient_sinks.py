"""Gradient sinks: the gradient norm of every position in every layer, token 0 apart (2603.17771, Figs 1, 6 and 14).

As there: violins of log10 ||grad h~_t|| over the positions of a layer, token 0 as a mark, one panel per model with the
median and interquartile range over layers of the gradient sink ratio R_GS(0).
"""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from spikesink.figures import style

QUESTIONS = ("gradients", "gradient_sink_ratio")
CAPTION = (
    "Norm of the loss gradient at the normalised input of every attention layer, summed over the batch first: violins "
    "over positions 1 and later with their median, and token 0. Where token 0 stands far above the violins, attention "
    "sinks collect gradient. R is the gradient sink ratio of token 0 against positions 1 to 31, median and "
    "interquartile range over layers. After Figs 1, 6 and 14 of 2603.17771."
)
TOKEN_0 = "#D55E00"
COLUMNS = 2


def draw(models: dict[str, dict[str, pl.DataFrame]]) -> Figure:
    """A panel per model, layers to the right, all on one scale."""
    columns = min(COLUMNS, len(models))
    bands = -(-len(models) // columns)
    figure = style.new_figure(style.COLUMN if columns == 1 else style.PAGE, 0.45 + 1.75 * bands)
    axes = figure.subplots(bands, columns, sharey=True, squeeze=False).flatten()
    for axis, (label, tables) in zip(axes, models.items(), strict=False):
        draw_layers(axis, tables["gradients"])
        median, low, high = ratio_over_layers(tables["gradient_sink_ratio"])
        axis.set_title(f"{style.wrapped(label, 40)}\nR = {median:.1f} [{low:.1f}, {high:.1f}]")
        axis.set_xlabel("Attention layer")
        if axis.get_subplotspec().is_first_col():
            axis.set_ylabel(r"$\log_{10}\,\|\nabla_{\tilde{h}_t} L\|$")
    for axis in axes[len(models) :]:
        axis.remove()
    grey = style.lighter(style.BASELINE_COLOUR)
    handles = [
        Line2D([], [], color=TOKEN_0, marker="D", linestyle="none", label="token 0"),
        Patch(facecolor=grey, label="positions 1 and later"),
        Line2D([], [], color=style.BASELINE_COLOUR, linewidth=1, label="their median"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def draw_layers(axis: Axes, gradients: pl.DataFrame) -> None:
    """A violin and a mark per layer; positions without gradient, outside of a loss window, have no logarithm."""
    layers = sorted(gradients["layer"].unique())
    for layer in layers:
        rows = gradients.filter((pl.col("layer") == layer) & (pl.col("input") > 0))
        later = np.log10(rows.filter(pl.col("position") > 0)["input"].to_numpy())
        if len(later) > 1:
            parts = axis.violinplot(later, [layer], widths=0.8, showextrema=False, showmedians=True)
            parts["bodies"][0].set(facecolor=style.lighter(style.BASELINE_COLOUR), alpha=1, linewidth=0)
            parts["cmedians"].set(color=style.BASELINE_COLOUR, linewidth=1)
    first = gradients.filter((pl.col("position") == 0) & (pl.col("input") > 0)).sort("layer")
    axis.scatter(
        first["layer"].to_list(), np.log10(first["input"].to_numpy()), s=16, marker="D", color=TOKEN_0, zorder=4
    )
    axis.set_xlim(layers[0] - 0.6, layers[-1] + 0.6)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axis.tick_params(labelleft=True)
    axis.margins(y=0.08)


def ratio_over_layers(ratios: pl.DataFrame) -> tuple[float, float, float]:
    """Median, first and third quartile of R_GS(0) over layers."""
    values = ratios.filter(pl.col("position") == 0)["ratio"].drop_nulls().to_numpy()
    return tuple(np.quantile(values, (0.5, 0.25, 0.75))) if len(values) else (float("nan"),) * 3
