"""Sinks and massive activations layer by layer: token 0 against early tokens (2603.17771, Figs 7 and 12).

As there: sink rate and the L2 norms of residual stream, branch outputs and value vectors over the layers, token 0
(solid) beside the mean over positions 1 to 15 (dashed), several models in one panel.
"""

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import COLUMN, PAGE, inches, new_figure, wrapped
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.scales import log_scale, whole_ticks
from spikesink.figures.drawing.stacked import Models
from spikesink.figures.drawing.style import Style

QUESTIONS = ("layers",)
CAPTION = (
    "Layer by layer, one run per model: token 0 (solid) and the mean over positions 1 to 15 (dashed): the share of "
    "heads whose attention on position 0 exceeds the threshold, and the L2 norms of the residual stream after the "
    "layer, of what its two branches add and of its value vectors as attention mixes them (dotted: as projected, "
    "where a valve contracts them). In the paper V-scale keeps the sinks and lowers token 0's norms. After Figs 7 and "
    "12 of 2603.17771."
)
COLUMNS = {"model": TEXT, "quantity": TEXT, "layer": WHOLE, "value": REAL}
PANELS = (
    ("stream", r"Residual stream $\|x_\mathrm{out}\|$"),
    ("feed_forward", r"Feed-forward $\|r_\mathrm{mlp}\|$"),
    ("attention", r"Attention $\|r_\mathrm{attn}\|$"),
    ("value", r"Values $\|v\|$"),
)
EARLY, RAW = (0, (4, 2)), (0, (1, 1))
LINES = {
    "sink_rate": {"marker": "."},
    "{site}_token0": {"marker": "."},
    "{site}_early_mean": {"linestyle": EARLY, "linewidth": 1},
    "{site}_raw_token0": {"linestyle": RAW},
}


def data(models: Models) -> pl.DataFrame:
    """A value per model, quantity and layer: the sink rate, and every site's norm of token 0 and of early positions."""
    found = []
    for label, tables in models.items():
        layers = tables["layers"].sort("layer")
        names = ["sink_rate", *(f"{site}_{end}" for site, _ in PANELS for end in ("token0", "early_mean"))]
        names += ["value_raw_token0"] if contracts(layers) else []
        long = layers.unpivot(names, index="layer", variable_name="quantity")
        found.append(long.select(pl.lit(label).alias("model"), "quantity", "layer", "value"))
    return pl.concat(found, how="vertical_relaxed").select(pl.col(name).cast(kind) for name, kind in COLUMNS.items())


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """A panel for the sink rate and one per norm, with the legend in the sixth place."""
    wide = inches(width, PAGE)
    rows, columns = (2, 3) if wide > COLUMN else (3, 2)
    figure = new_figure(wide, 1.75 * rows)
    axes = list(figure.subplots(rows, columns).flatten())
    for axis, (site, name) in zip(axes, (("sink_rate", "Sink rate (share of heads)"), *PANELS), strict=False):
        ours = data.filter(pl.col("quantity").str.starts_with(site))
        for label in style:
            for quantity, look in LINES.items():
                line = ours.filter((pl.col("model") == label) & (pl.col("quantity") == quantity.format(site=site)))
                if len(line):
                    axis.plot(line["layer"].to_list(), line["value"].to_list(), color=style[label].colour, **look)
        if site == "sink_rate":
            axis.set_ylim(-0.04, 1.04)
        elif ours["value"].min() > 0:
            log_scale(axis.yaxis)
        axis.set_ylabel(name)
    last = data["layer"].max()
    for axis in axes[:-1]:
        axis.set_xlim(-0.05 * last - 0.1, 1.05 * last + 0.1)
        whole_ticks(axis.xaxis)
        axis.set_xlabel("Layer")
    axes[-1].axis("off")
    contracted = "value_raw_token0" in data["quantity"]
    axes[-1].legend(handles=handles(style, contracted), loc="center")
    return figure


def contracts(table: pl.DataFrame) -> bool:
    """Whether the values that attention mixes differ from those projected."""
    return bool(((table["value_token0"] - table["value_raw_token0"]).abs() > 1e-4 * table["value_raw_token0"]).any())


def handles(style: Style, contracted: bool) -> list[Line2D]:
    grey = "0.4"
    found = [Line2D([], [], color=look.colour, linewidth=2, label=wrapped(label, 20)) for label, look in style.items()]
    found.append(Line2D([], [], color=grey, marker=".", label="token 0"))
    found.append(Line2D([], [], color=grey, linestyle=EARLY, linewidth=1, label="mean of positions\n1 to 15"))
    if contracted:
        found.append(Line2D([], [], color=grey, linestyle=RAW, label="token 0 before\nthe valve"))
    return found
