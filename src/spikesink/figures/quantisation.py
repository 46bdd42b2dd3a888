"""What simulated INT8 inference costs, and the ranges behind it (2603.17771, the rebuttal's W8A8 table)."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures import style

QUESTIONS = ("quantisation", "activation_ranges")
CAPTION = (
    "Left: perplexity of the same held-out text in full precision and with 8-bit weights and inputs of all matrices, "
    "one input range per token or one for all, and with one range for the down projections alone. Right: input of the "
    "down projections, the largest magnitude over all tokens and a token's own largest on average; where the two are "
    "far apart, one range for all tokens leaves few levels to most. After the W8A8 table in the rebuttal of Chen et "
    "al., Attention Sinks Induce Gradient Sinks (arXiv 2603.17771)."
)
SETTINGS = {
    "full_precision": "full\nprecision",
    "dynamic_per_token": "all, per\ntoken",
    "static_per_tensor": "all, per\ntensor",
    "down_projection_static": "down only,\nper tensor",
}


def draw(models: dict[str, dict[str, pl.DataFrame]]) -> Figure:
    """Perplexity by setting and ranges by block, models by colour."""
    figure = style.new_figure(style.PAGE, 2.3)
    costs, ranges = figure.subplots(1, 2, width_ratios=(1.25, 1))
    looks = style.looks(models)
    for index, (name, tables) in enumerate(models.items()):
        place = (index - (len(models) - 1) / 2) * min(0.22, 0.8 / len(models))
        draw_costs(costs, tables["quantisation"], looks[name], place)
        draw_ranges(ranges, tables["activation_ranges"], looks[name])
    costs.set_xticks(range(len(SETTINGS)), list(SETTINGS.values()))
    costs.set_xlim(-0.6, len(SETTINGS) - 0.4)
    costs.grid(False, axis="x")
    costs.set_ylabel("Perplexity")
    if style.spans_a_decade(value for tables in models.values() for value in tables["quantisation"]["perplexity"]):
        style.log_scale(costs.yaxis)
    ranges.set_xlabel("Feed-forward block")
    ranges.set_ylabel("Input of the down\nprojection (magnitude)")
    blocks = sorted({int(block) for line in ranges.lines for block in line.get_xdata()})
    if len(blocks) <= 8:
        ranges.set_xticks(blocks)
    shown = [line.get_ydata() for line in ranges.lines]
    if style.spans_a_decade(value for values in shown for value in values):
        style.log_scale(ranges.yaxis)
    handles = [Line2D([], [], color=looks[name].colour, marker=looks[name].marker, label=name) for name in models] + [
        Line2D([], [], color="0.5", label="largest over tokens"),
        Line2D([], [], color="0.5", linestyle=(0, (1, 1)), label="a token's largest, mean"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def draw_costs(axis: Axes, table: pl.DataFrame, look: style.Look, place: float) -> None:
    """A mark per setting, on a stem from the model's full precision: what stands above it is the cost."""
    values = dict(table.select("setting", "perplexity").iter_rows())
    known = [(index + place, values[setting]) for index, setting in enumerate(SETTINGS) if setting in values]
    x, y = zip(*known, strict=True)
    axis.vlines(x, values["full_precision"], y, color=look.colour, linewidth=1.2)
    axis.scatter(x, y, s=18, color=look.colour, marker=look.marker, zorder=3)
    axis.axhline(values["full_precision"], color=look.colour, linewidth=0.6, linestyle=(0, (1, 2)), zorder=1)


def draw_ranges(axis: Axes, table: pl.DataFrame, look: style.Look) -> None:
    """Two lines over the blocks whose feed-forward has a hidden layer."""
    down = table.filter(pl.col("matrix") == "down").sort("block")
    for column, dash in (("absmax", "solid"), ("token_absmax", (0, (1, 1)))):
        axis.plot(
            down["block"].to_list(), down[column].to_list(), color=look.colour, linestyle=dash, marker=look.marker
        )
