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

from spikesink.figures.drawing.canvas import COLUMN, legend, wrapped
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.grid import grid, is_left
from spikesink.figures.drawing.scales import whole_ticks
from spikesink.figures.drawing.stacked import Models, stacked
from spikesink.figures.drawing.style import BASELINE_COLOUR, SPIKE, Style, lighter
from spikesink.tables.inputs import with_absent

QUESTIONS = ("gradients", "gradient_sink_ratio")
CAPTION = (
    "Norm of the loss gradient at the normalised input of every attention layer, summed over the batch first: violins "
    "over positions 1 and later with their median, and token 0. One run per model. Dashes are the null: token 0 if "
    "the same gradients came back to uniform attention, under which early keys collect more because more queries see "
    "them. Where token 0 stands far above its dash, attention sinks collect gradient. R is the gradient sink ratio of "
    "token 0 against positions 1 to 31, median and interquartile range over layers, and its median under uniform "
    "attention. After Figs 1, 6 and 14 of 2603.17771."
)
RATIO, NULL = "gradient_sink_ratio", "gradient_sink_ratio_uniform"
UNIFORM = {"color": SPIKE, "linewidth": 1.0, "linestyle": (0, (2, 1)), "zorder": 3}
COLUMNS = {"model": TEXT, "quantity": TEXT, "layer": WHOLE, "position": WHOLE, "value": REAL, "low": REAL, "high": REAL}


def data(models: Models) -> pl.DataFrame:
    """By quantity: log10_norm per layer and position, its median over positions 1 and later, and the model's ratio.

    log10_norm_uniform is that of token 0 under uniform attention. A position without gradient, outside of a loss
    window, has no logarithm and no row. Of gradient_sink_ratio low and high are the quartiles over layers;
    gradient_sink_ratio_uniform has none. Studies that were published before it existed have no null.
    """
    order, later = ["model", "layer", "position"], pl.col("position") > 0
    read = {"layer": WHOLE, "position": WHOLE, "input": REAL}
    gradients = stacked(models, "gradients", read, later={"input_uniform": REAL})
    gradients = gradients.sort("layer", "position", maintain_order=True)

    def logarithms(column: str, quantity: str) -> pl.DataFrame:
        positive = gradients.filter(pl.col(column) > 0)
        return positive.select(*order, value=pl.col(column).log10(), quantity=pl.lit(quantity))

    norms = logarithms("input", "log10_norm")
    medians = norms.filter(later).group_by("model", "layer", maintain_order=True).agg(pl.col("value").median())
    ratios = []
    for name, tables in models.items():
        table = with_absent(tables["gradient_sink_ratio"], {"ratio_uniform": REAL})
        median, low, high = over_layers(table, "ratio")
        null, *_ = over_layers(table, "ratio_uniform")
        ratios.append({"model": name, "quantity": RATIO, "value": median, "low": low, "high": high})
        ratios.append({"model": name, "quantity": NULL, "value": null, "low": None, "high": None})
    ratio = {name: COLUMNS[name] for name in ("model", "quantity", "value", "low", "high")}
    tables = [
        norms,
        logarithms("input_uniform", "log10_norm_uniform").filter(pl.col("position") == 0),
        medians.with_columns(quantity=pl.lit("median_log10_norm")),
        pl.DataFrame(ratios, schema=ratio),
    ]
    return pl.concat(tables, how="diagonal").select(*COLUMNS)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """A panel per model, layers to the right, all on one scale."""
    figure, axes = grid(list(style), rows=1, row_height=1.75, extra_height=0.1, width=width, widest=COLUMN)
    first = next(iter(axes.values()))[0]
    for label, (axis,) in axes.items():
        ours = data.filter(pl.col("model") == label)
        if axis is not first:
            axis.sharey(first)
        draw_layers(axis, ours)
        median, low, high = ours.filter(pl.col("quantity") == RATIO).select("value", "low", "high").row(0)
        null = ours.filter(pl.col("quantity") == NULL)["value"].drop_nulls().to_list()
        uniform = "".join(f"\nuniform: {value:.1f}" for value in null)
        found = "none" if median is None else f"{median:.1f} [{low:.1f}, {high:.1f}]"
        axis.set_title(f"{wrapped(label, 22)}\nR = {found}{uniform}")
        axis.set_xlabel("Attention layer")
        if is_left(axis):
            axis.set_ylabel(r"$\log_{10}\,\|\nabla_{\tilde{h}_t} L\|$")
    grey = lighter(BASELINE_COLOUR)
    marks = [Line2D([], [], color=SPIKE, marker="D", linestyle="none", label="token 0")]
    if data.filter(pl.col("quantity") == "log10_norm_uniform")["value"].is_finite().any():
        marks.append(Line2D([], [], **UNIFORM, label="token 0, uniform attention"))
    marks += [
        Patch(facecolor=grey, label="positions 1 and later"),
        Line2D([], [], color=BASELINE_COLOUR, linewidth=1, label="their median"),
    ]
    legend(figure, marks)
    return figure


def draw_layers(axis: Axes, shown: pl.DataFrame) -> None:
    """A violin, its median and a mark per layer."""
    norms = shown.filter(pl.col("quantity") == "log10_norm")
    layers = sorted(norms["layer"].unique())
    medians = dict(shown.filter(pl.col("quantity") == "median_log10_norm").select("layer", "value").iter_rows())
    for layer in layers:
        later = norms.filter((pl.col("layer") == layer) & (pl.col("position") > 0))["value"].to_numpy()
        if len(later) > 1:
            parts = axis.violinplot(later, [layer], widths=0.8, showextrema=False)
            parts["bodies"][0].set(facecolor=lighter(BASELINE_COLOUR), alpha=1, linewidth=0)
            axis.hlines(medians[layer], layer - 0.2, layer + 0.2, color=BASELINE_COLOUR, linewidth=1)
    null = shown.filter(pl.col("quantity") == "log10_norm_uniform")
    for layer, value in null.select("layer", "value").iter_rows():
        axis.plot([layer - 0.4, layer + 0.4], [value, value], **UNIFORM)
    first = norms.filter(pl.col("position") == 0)
    axis.scatter(first["layer"].to_list(), first["value"].to_list(), s=16, marker="D", color=SPIKE, zorder=4)
    if layers:
        axis.set_xlim(layers[0] - 0.6, layers[-1] + 0.6)
    whole_ticks(axis.xaxis, 8)
    axis.tick_params(labelleft=True)
    axis.margins(y=0.08)


def over_layers(ratios: pl.DataFrame, column: str) -> tuple[float | None, ...]:
    """Median, first and third quartile of a ratio of token 0 over layers; None where no layer has it."""
    values = ratios.filter(pl.col("position") == 0)[column].drop_nulls().to_numpy()
    return tuple(np.quantile(values, (0.5, 0.25, 0.75))) if len(values) else (None,) * 3
