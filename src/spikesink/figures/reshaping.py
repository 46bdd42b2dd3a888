"""How branches reshape the gradient: Bloat, Change and Compress over the stream's norm (2603.17771, Figs 3, 10 and 11).

As there: log10 of the three ratios against log10 ||h_in||, one point per block, sequence and position, coloured by
position group; a row per model and branch.
"""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures import style

QUESTIONS = ("reshaping", "reshaping_slopes")
CAPTION = (
    "What each branch does to the gradient that passes it, against the L2 norm of the residual stream: Bloat, its "
    "amplification through the branch; Change, the net effect on the stream's gradient; Compress, the gain through the "
    "pre-norm. Compress falls as one over the norm (slope -1, dotted), so a massive activation shields the stream from "
    "the gradient that the sink amplifies. Slopes are least squares over all points of a panel, in brackets with an "
    "intercept for every block, as each norm has gains of its own. After Figs 3, 10 and 11 of 2603.17771."
)
COLUMNS = (("bloat", "Bloat"), ("change", "Change"), ("compress", "Compress"))
GROUPS = ("rest", "8-15", "4-7", "2-3", "1", "0")
"""Drawn in this order, token 0 on top."""
COLOURS = dict(zip(GROUPS, ("0.85", "#56B4E9", "#009E73", "#E69F00", "#CC79A7", "black"), strict=True))
BRANCHES = (("attention", "attention"), ("feed_forward", "feed-forward"))


def draw(models: dict[str, dict[str, pl.DataFrame]]) -> Figure:
    """A row per model and branch, one scale per column and branch."""
    rows = [
        (label, tables, branch, name)
        for label, tables in models.items()
        for branch, name in BRANCHES
        if branch in tables["reshaping"]["branch"]
    ]
    figure = style.new_figure(style.PAGE, 0.55 + 1.6 * len(rows))
    axes = figure.subplots(len(rows), len(COLUMNS), squeeze=False, sharex=True, sharey="col")
    for line, (label, tables, branch, name) in zip(axes, rows, strict=True):
        points = tables["reshaping"].filter(pl.col("branch") == branch)
        for axis, (quantity, title) in zip(line, COLUMNS, strict=True):
            draw_points(axis, points, quantity)
            slopes = slopes_of(tables["reshaping_slopes"], branch, quantity)
            if None not in slopes:
                axis.set_title("slope {} ({})".format(*map(signed, slopes)), loc="right", fontsize=7, pad=2)
            if quantity == "compress":
                draw_inverse(axis, points)
            axis.set_ylabel(rf"$\log_{{10}}$ {title}")
        line[0].annotate(f"{label}, {name}", (0, 1), (0, 13), xycoords="axes fraction", textcoords="offset points")
    for axis in axes[-1]:
        axis.set_xlabel(r"$\log_{10}\,\|h_\mathrm{in}\|$")
    named = {"rest": "later positions", "0": "token 0"}
    handles = [
        Line2D(
            [], [], color=COLOURS[group], marker="o", markersize=3.5, linestyle="none", label=named.get(group, group)
        )
        for group in reversed(GROUPS)
    ]
    handles.append(Line2D([], [], color=style.BASELINE_COLOUR, linewidth=0.9, linestyle=(0, (1, 1)), label="slope −1"))
    figure.legend(handles=handles, loc="outside lower center", ncols=7, handletextpad=0.3)
    return figure


def draw_points(axis: Axes, points: pl.DataFrame, quantity: str) -> None:
    for group in GROUPS:
        members = points.filter((pl.col("group") == group) & (pl.col(quantity) > 0) & (pl.col("input_norm") > 0))
        x, y = (np.log10(members[name].to_numpy()) for name in ("input_norm", quantity))
        size = 9 if group == "0" else 4
        axis.scatter(x, y, s=size, color=COLOURS[group], linewidths=0, rasterized=True, label=group)


def draw_inverse(axis: Axes, points: pl.DataFrame) -> None:
    """Slope -1 through the middle of the points."""
    usable = points.filter((pl.col("compress") > 0) & (pl.col("input_norm") > 0))
    x, y = (np.log10(usable[name].to_numpy()) for name in ("input_norm", "compress"))
    if len(x):
        ends = np.array([x.min(), x.max()])
        axis.plot(ends, np.median(x + y) - ends, color=style.BASELINE_COLOUR, linewidth=0.9, linestyle=(0, (1, 1)))


def slopes_of(slopes: pl.DataFrame, branch: str, quantity: str) -> tuple[float | None, float | None]:
    """The slope over all points of a panel, and with an intercept for every block."""
    whole = slopes.filter(
        (pl.col("branch") == branch)
        & (pl.col("quantity") == quantity)
        & pl.col("block").is_null()
        & pl.col("group").is_null()
    )
    return (whole["slope"][0], whole["slope_within"][0]) if len(whole) else (None, None)


def signed(value: float) -> str:
    """Two decimals with a minus sign, not a hyphen, and no negative zero."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")
