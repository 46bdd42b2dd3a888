"""What simulated quantisation costs, and the ranges behind it (2603.17771, Table 4 and the rebuttal's W8A8 table)."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import legend
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.grid import strip
from spikesink.figures.drawing.scales import log_scale, round_ticks, spans_a_decade
from spikesink.figures.drawing.stacked import Models, stacked
from spikesink.figures.drawing.style import REFERENCE, Look, Style

QUESTIONS = ("quantisation", "activation_ranges")
CAPTION = (
    "Left: perplexity of the same held-out text, relative to full precision, with the matrices of all blocks quantised "
    "by published methods. INT8 weights and inputs: one input range per token, SmoothQuant (alpha = 0.5), one input "
    "range for all tokens, and that for the down projections alone. INT4 weights, a grid per 128 inputs: rounded to "
    "nearest, GPTQ, AWQ. Right: input of the down projections, the largest magnitude over all tokens and a token's own "
    "largest on average; where the two are far apart, one range for all tokens leaves few levels to most tokens. After "
    "Table 4 and the rebuttal's W8A8 table of Chen et al., Attention Sinks Induce Gradient Sinks (arXiv 2603.17771)."
)
COLUMNS = {"model": TEXT, "panel": TEXT, "setting": TEXT, "perplexity": REAL, "block": WHOLE} | {
    "absmax": REAL,
    "token_absmax": REAL,
}
SETTINGS = {
    "dynamic_per_token": "INT8, per token",
    "smoothquant": "INT8, SmoothQuant",
    "static_per_tensor": "INT8, per tensor",
    "down_projection_static": "INT8, down projections\nalone, per tensor",
    "round_to_nearest": "INT4 weights, nearest",
    "gptq": "INT4 weights, GPTQ",
    "awq": "INT4 weights, AWQ",
}
"""From top to bottom."""


def data(models: Models) -> pl.DataFrame:
    """Panel "cost": a perplexity per model and setting; panel "range": magnitudes per model and feed-forward block."""
    costs = stacked(models, "quantisation", {"setting": TEXT, "perplexity": REAL})
    read = {"matrix": TEXT, "block": WHOLE, "absmax": REAL, "token_absmax": REAL}
    ranges = stacked(models, "activation_ranges", read).filter(pl.col("matrix") == "down")
    ranges = ranges.sort("block", maintain_order=True)
    parts = [costs.with_columns(panel=pl.lit("cost")), ranges.with_columns(panel=pl.lit("range"))]
    return pl.concat(parts, how="diagonal").select(*COLUMNS)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """Cost by setting and ranges by block, models by colour."""
    figure, (costs, ranges) = strip(2, 2.4, 0.1, width)
    measured = set(data["setting"])
    shown = [setting for setting in SETTINGS if setting in measured]
    for index, name in enumerate(style):
        ours = data.filter(pl.col("model") == name)
        place = (index - (len(style) - 1) / 2) * min(0.22, 0.8 / len(style))
        draw_costs(costs, ours.filter(pl.col("panel") == "cost"), shown, style[name], place)
        draw_ranges(ranges, ours.filter(pl.col("panel") == "range"), style[name])
    costs.axvline(1, **REFERENCE)
    costs.set_yticks(range(len(shown)), [SETTINGS[setting] for setting in shown])
    costs.set_ylim(len(shown) - 0.4, -0.6)
    costs.grid(False, axis="y")
    costs.set_xlabel("Perplexity over that in full precision")
    round_ticks(costs.xaxis, 5)
    if spans_a_decade(relative_cost(data)["cost"]):
        log_scale(costs.xaxis)
    ranges.set_xlabel("Feed-forward block")
    ranges.set_ylabel("Input of the down\nprojection (magnitude)")
    blocks = data["block"].drop_nulls().unique().sort().to_list()
    if len(blocks) <= 8:
        ranges.set_xticks(blocks)
    if blocks:
        log_scale(ranges.yaxis)
    lines = [Line2D([], [], color=look.colour, marker=look.marker, label=name) for name, look in style.items()] + [
        Line2D([], [], color="0.5", label="largest over tokens"),
        Line2D([], [], color="0.5", linestyle=(0, (1, 1)), label="a token's largest, mean"),
    ]
    legend(figure, lines)
    return figure


def relative_cost(data: pl.DataFrame) -> pl.DataFrame:
    """The costs with column ``cost``, the perplexity over the model's own in full precision."""
    costs = data.filter((pl.col("panel") == "cost") & pl.col("perplexity").is_finite())
    whole = costs.filter(pl.col("setting") == "full_precision").select("model", whole="perplexity")
    return costs.join(whole, on="model", maintain_order="left").with_columns(
        cost=pl.col("perplexity") / pl.col("whole")
    )


def draw_costs(axis: Axes, table: pl.DataFrame, shown: list[str], look: Look, place: float) -> None:
    """A mark per setting, on a stem from full precision, whose cost is 1."""
    values = dict(relative_cost(table).select("setting", "cost").iter_rows())
    known = [(index + place, values[setting]) for index, setting in enumerate(shown) if setting in values]
    if known:
        rows, found = zip(*known, strict=True)
        axis.hlines(rows, 1, found, color=look.colour, linewidth=1.2)
        axis.scatter(found, rows, s=18, color=look.colour, marker=look.marker, zorder=3)


def draw_ranges(axis: Axes, down: pl.DataFrame, look: Look) -> None:
    """Two lines over the blocks whose feed-forward has a hidden layer."""
    for column, dash in (("absmax", "solid"), ("token_absmax", (0, (1, 1)))):
        axis.plot(
            down["block"].to_list(), down[column].to_list(), color=look.colour, linestyle=dash, marker=look.marker
        )
