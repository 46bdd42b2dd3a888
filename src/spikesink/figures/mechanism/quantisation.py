"""What simulated INT8 inference costs, and the ranges behind it (2603.17771, the rebuttal's W8A8 table)."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import legend
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.grid import strip
from spikesink.figures.drawing.scales import log_scale, spans_a_decade
from spikesink.figures.drawing.stacked import Models, stacked
from spikesink.figures.drawing.style import Look, Style

QUESTIONS = ("quantisation", "activation_ranges")
CAPTION = (
    "Left: perplexity of the same held-out text in full precision and with 8-bit weights and inputs of all matrices, "
    "one input range per token or one for all, and with one range for the down projections alone. Right: input of the "
    "down projections, the largest magnitude over all tokens and a token's own largest on average; where the two are "
    "far apart, one range for all tokens leaves few levels to most tokens. After the W8A8 table in the rebuttal of "
    "Chen et al., Attention Sinks Induce Gradient Sinks (arXiv 2603.17771)."
)
COLUMNS = {"model": TEXT, "panel": TEXT, "setting": TEXT, "perplexity": REAL, "block": WHOLE} | {
    "absmax": REAL,
    "token_absmax": REAL,
}
SETTINGS = {
    "full_precision": "full\nprecision",
    "dynamic_per_token": "all, per\ntoken",
    "static_per_tensor": "all, per\ntensor",
    "down_projection_static": "down only,\nper tensor",
}


def data(models: Models) -> pl.DataFrame:
    """Panel "cost": a perplexity per model and setting; panel "range": magnitudes per model and feed-forward block."""
    costs = stacked(models, "quantisation", {"setting": TEXT, "perplexity": REAL})
    read = {"matrix": TEXT, "block": WHOLE, "absmax": REAL, "token_absmax": REAL}
    ranges = stacked(models, "activation_ranges", read).filter(pl.col("matrix") == "down")
    ranges = ranges.sort("block", maintain_order=True)
    parts = [costs.with_columns(panel=pl.lit("cost")), ranges.with_columns(panel=pl.lit("range"))]
    return pl.concat(parts, how="diagonal").select(*COLUMNS)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """Perplexity by setting and ranges by block, models by colour."""
    figure, (costs, ranges) = strip(2, 1.9, 0.1, width)
    for index, name in enumerate(style):
        ours = data.filter(pl.col("model") == name)
        place = (index - (len(style) - 1) / 2) * min(0.22, 0.8 / len(style))
        draw_costs(costs, ours.filter(pl.col("panel") == "cost"), style[name], place)
        draw_ranges(ranges, ours.filter(pl.col("panel") == "range"), style[name])
    costs.set_xticks(range(len(SETTINGS)), list(SETTINGS.values()))
    costs.set_xlim(-0.6, len(SETTINGS) - 0.4)
    costs.grid(False, axis="x")
    costs.set_ylabel("Perplexity")
    if spans_a_decade(data["perplexity"]):
        log_scale(costs.yaxis)
    ranges.set_xlabel("Feed-forward block")
    ranges.set_ylabel("Input of the down\nprojection (magnitude)")
    blocks = data["block"].drop_nulls().unique().sort().to_list()
    if len(blocks) <= 8:
        ranges.set_xticks(blocks)
    if spans_a_decade([*data["absmax"], *data["token_absmax"]]):
        log_scale(ranges.yaxis)
    lines = [Line2D([], [], color=look.colour, marker=look.marker, label=name) for name, look in style.items()] + [
        Line2D([], [], color="0.5", label="largest over tokens"),
        Line2D([], [], color="0.5", linestyle=(0, (1, 1)), label="a token's largest, mean"),
    ]
    legend(figure, lines)
    return figure


def draw_costs(axis: Axes, table: pl.DataFrame, look: Look, place: float) -> None:
    """A mark per setting, on a stem from the model's full precision: what stands above it is the cost."""
    values = dict(table.select("setting", "perplexity").iter_rows())
    known = [(index + place, values[setting]) for index, setting in enumerate(SETTINGS) if setting in values]
    x, y = zip(*known, strict=True)
    axis.vlines(x, values["full_precision"], y, color=look.colour, linewidth=1.2)
    axis.scatter(x, y, s=18, color=look.colour, marker=look.marker, zorder=3)
    axis.axhline(values["full_precision"], color=look.colour, linewidth=0.6, linestyle=(0, (1, 2)), zorder=1)


def draw_ranges(axis: Axes, down: pl.DataFrame, look: Look) -> None:
    """Two lines over the blocks whose feed-forward has a hidden layer."""
    for column, dash in (("absmax", "solid"), ("token_absmax", (0, (1, 1)))):
        axis.plot(
            down["block"].to_list(), down[column].to_list(), color=look.colour, linestyle=dash, marker=look.marker
        )
