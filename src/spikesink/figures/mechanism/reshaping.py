"""How branches reshape the gradient: Bloat, Change and Compress over the stream's norm (2603.17771, Figs 3, 10 and 11).

As there: log10 of the three ratios against log10 ||h_in||, one point per block, sequence and position, coloured by
position group; a column per model and branch.
"""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import legend, wrapped
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.grid import grid, is_left
from spikesink.figures.drawing.stacked import Models, stacked
from spikesink.figures.drawing.style import BASELINE_COLOUR, SPIKE, Style

QUESTIONS = ("reshaping", "reshaping_slopes")
CAPTION = (
    "What each branch does to the gradient that passes it, against the L2 norm of the residual stream: Bloat, its "
    "amplification through the branch; Change, the net effect on the stream's gradient; Compress, the gain through "
    "the pre-norm. One run per model. Within a block Compress falls as one over the norm (slope -1, a dotted line "
    "through the points of every block), so a massive activation shields the stream from the gradient that the sink "
    "amplifies. Above a panel stand two least-squares slopes: within blocks, with an intercept for every block, as "
    "each norm has gains of its own; and over all points with one intercept, into which the blocks' gains mix. After "
    "Figs 3, 10 and 11 of 2603.17771."
)
RATIOS = (("bloat", "Bloat"), ("change", "Change"), ("compress", "Compress"))
GROUPS = ("rest", "8-15", "4-7", "2-3", "1", "0")
"""Drawn in this order, token 0 on top."""
COLOURS = dict(zip(GROUPS, ("0.85", "#56B4E9", "#009E73", "#0072B2", "#CC79A7", SPIKE), strict=True))
FACTS = {"model": TEXT, "branch": TEXT, "block": WHOLE, "sequence": WHOLE, "position": WHOLE, "group": TEXT}
COLUMNS = {"model": TEXT, "branch": TEXT, "quantity": TEXT, "panel": TEXT} | FACTS
COLUMNS |= dict.fromkeys(("log10_input_norm", "log10_ratio", "slope", "slope_within", "intercept"), REAL)
INVERSE = {"color": BASELINE_COLOUR, "linewidth": 0.9, "linestyle": (0, (1, 1))}
BRANCHES = (("attention", "attention"), ("feed_forward", "feed-forward"))


def data(models: Models) -> pl.DataFrame:
    """Panel "points": logarithms of a ratio and the stream's norm, where they exist, by block, sequence and position.

    Panel "slopes": the slopes in a panel's title. Panel "inverse": of Compress, the intercept of every block's line of
    slope -1.
    """
    ratios = [name for name, _ in RATIOS]
    read = {name: kind for name, kind in FACTS.items() if name != "model"} | dict.fromkeys(
        ["input_norm", *ratios], REAL
    )
    points = stacked(models, "reshaping", read).sort("branch", maintain_order=True)
    long = points.unpivot(ratios, index=[*FACTS, "input_norm"], variable_name="quantity", value_name="ratio")
    long = long.filter((pl.col("ratio") > 0) & (pl.col("input_norm") > 0)).with_columns(
        log10_input_norm=pl.col("input_norm").log10(), log10_ratio=pl.col("ratio").log10()
    )
    middle = pl.col("log10_input_norm") + pl.col("log10_ratio")
    of_compress = long.filter(pl.col("quantity") == "compress")
    inverse = of_compress.group_by("model", "branch", "quantity", "block", maintain_order=True)
    slopes = [
        {"model": label, "branch": branch, "quantity": quantity, "slope": slope, "slope_within": within}
        for label, tables in models.items()
        for branch, _ in BRANCHES
        if branch in tables["reshaping"]["branch"]
        for quantity in ratios
        for slope, within in [slopes_of(tables["reshaping_slopes"], branch, quantity)]
    ]
    kinds = {name: COLUMNS[name] for name in ("model", "branch", "quantity", "slope", "slope_within")}
    parts = [
        pl.DataFrame(slopes, schema=kinds).with_columns(panel=pl.lit("slopes")),
        inverse.agg(intercept=middle.median()).with_columns(panel=pl.lit("inverse")),
        long.with_columns(panel=pl.lit("points")),
    ]
    return pl.concat(parts, how="diagonal").select(*COLUMNS)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """A column per model and branch, a row per ratio on one scale."""
    names = dict(BRANCHES)
    drawn = data.filter(pl.col("panel") == "slopes").select("model", "branch").unique(maintain_order=True)
    headings = {f"{label}, {names[branch]}": (label, branch) for label, branch in drawn.iter_rows()}
    figure, axes = grid(list(headings), rows=len(RATIOS), row_height=1.4, extra_height=0.3, width=width)
    first = next(iter(axes.values()))
    for heading, (label, branch) in headings.items():
        ours = data.filter((pl.col("model") == label) & (pl.col("branch") == branch))
        for axis, one, (quantity, title) in zip(axes[heading], first, RATIOS, strict=True):
            if axis is not one:
                axis.sharey(one)
            if axis is not first[0]:
                axis.sharex(first[0])
            panel = ours.filter(pl.col("quantity") == quantity)
            points, slopes, inverse = (
                panel.filter(pl.col("panel") == kind) for kind in ("points", "slopes", "inverse")
            )
            draw_points(axis, points)
            found = slopes.select("slope_within", "slope").row(0)
            text = "" if None in found else "slope {} within blocks,\n{} over all".format(*map(signed, found))
            axis.set_title(f"{wrapped(heading, 22)}\n{text}" if axis is axes[heading][0] else text)
            draw_inverse(axis, points, inverse)
            if is_left(axis):
                axis.set_ylabel(rf"$\log_{{10}}$ {title}")
            axis.tick_params(labelleft=is_left(axis), labelbottom=axis is axes[heading][-1])
        axes[heading][-1].set_xlabel(r"$\log_{10}\,\|h_\mathrm{in}\|$")
    for axis in first:
        axis.autoscale_view()
    named = {"rest": "later positions", "0": "token 0"}
    mark = {"marker": "o", "markersize": 3.5, "linestyle": "none"}
    marks = [Line2D([], [], color=COLOURS[group], **mark, label=named.get(group, group)) for group in reversed(GROUPS)]
    marks.append(Line2D([], [], **INVERSE, label="slope −1, block by block"))
    legend(figure, marks)
    return figure


def draw_points(axis: Axes, points: pl.DataFrame) -> None:
    for group in GROUPS:
        members = points.filter(pl.col("group") == group)
        x, y = (members[name].to_numpy() for name in ("log10_input_norm", "log10_ratio"))
        size = 9 if group == "0" else 4
        axis.scatter(x, y, s=size, color=COLOURS[group], linewidths=0, rasterized=True, label=group)


def draw_inverse(axis: Axes, points: pl.DataFrame, inverse: pl.DataFrame) -> None:
    """Slope -1 through the middle of every block's points."""
    for block, intercept in inverse.select("block", "intercept").iter_rows():
        norms = points.filter(pl.col("block") == block)["log10_input_norm"]
        ends = norms.min(), norms.max()
        axis.plot(ends, [intercept - end for end in ends], **INVERSE)


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
