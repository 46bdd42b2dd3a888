"""Sinks and massive activations layer by layer: token 0 against early tokens (2603.17771, Figs 7 and 12).

As there: sink rate and the L2 norms of residual stream, branch outputs and value vectors over the layers, token 0
(solid) beside the mean over positions 1 to 15 (dashed), several models in one panel.
"""

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from spikesink.figures.drawing import style

QUESTIONS = ("layers",)
CAPTION = (
    "Layer by layer, token 0 (solid) and the mean over positions 1 to 15 (dashed): the share of heads whose attention "
    "on position 0 exceeds the threshold, and the L2 norms of the residual stream after the layer, of what its two "
    "branches add and of its value vectors as attention mixes them (dotted: as projected, where a valve contracts "
    "them). In the paper V-scale keeps the sinks and lowers token 0's norms. After Figs 7 and 12 of 2603.17771."
)
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


def data(models: dict[str, dict[str, pl.DataFrame]]) -> pl.DataFrame:
    """A value per model, quantity and layer: the sink rate, and every site's norm of token 0 and of early positions."""
    found = []
    for label, tables in models.items():
        layers = tables["layers"].sort("layer")
        names = ["sink_rate", *(f"{site}_{end}" for site, _ in PANELS for end in ("token0", "early_mean"))]
        names += ["value_raw_token0"] if contracts(layers) else []
        long = layers.unpivot(names, index="layer", variable_name="quantity")
        found.append(long.select(pl.lit(label).alias("model"), "quantity", "layer", "value"))
    return pl.concat(found, how="vertical_relaxed")


def draw(
    models: dict[str, dict[str, pl.DataFrame]], width: str = "auto", looks: dict[str, style.Look] | None = None
) -> Figure:
    """A panel for the sink rate and one per norm, with the legend in the sixth place."""
    shown, looks = data(models), looks or style.looks(models)
    inches = style.inches(width, style.PAGE)
    rows, columns = (2, 3) if inches > style.COLUMN else (3, 2)
    figure = style.new_figure(inches, 1.75 * rows)
    axes = list(figure.subplots(rows, columns).flatten())
    for axis, (site, name) in zip(axes, (("sink_rate", "Sink rate (share of heads)"), *PANELS), strict=False):
        ours = shown.filter(pl.col("quantity").str.starts_with(site))
        for label in models:
            for quantity, look in LINES.items():
                line = ours.filter((pl.col("model") == label) & (pl.col("quantity") == quantity.format(site=site)))
                if len(line):
                    axis.plot(line["layer"].to_list(), line["value"].to_list(), color=looks[label].colour, **look)
        if site == "sink_rate":
            axis.set_ylim(-0.04, 1.04)
        elif style.spans_a_decade(ours["value"]):
            style.log_scale(axis.yaxis)
        else:
            axis.set_ylim(bottom=0)
        axis.set_ylabel(name)
    last = shown["layer"].max()
    for axis in axes[:-1]:
        axis.set_xlim(-0.05 * last - 0.1, 1.05 * last + 0.1)
        axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axis.set_xlabel("Layer")
    axes[-1].axis("off")
    contracted = "value_raw_token0" in shown["quantity"]
    axes[-1].legend(handles=legend(looks, list(models), contracted), loc="center")
    return figure


def contracts(table: pl.DataFrame) -> bool:
    """Whether the values that attention mixes differ from those projected."""
    return bool(((table["value_token0"] - table["value_raw_token0"]).abs() > 1e-4 * table["value_raw_token0"]).any())


def legend(looks: dict[str, style.Look], labels: list[str], contracted: bool) -> list[Line2D]:
    grey = "0.4"
    handles = [
        Line2D([], [], color=looks[label].colour, linewidth=2, label=style.wrapped(label, 20)) for label in labels
    ]
    handles.append(Line2D([], [], color=grey, marker=".", label="token 0"))
    handles.append(Line2D([], [], color=grey, linestyle=EARLY, linewidth=1, label="mean of positions\n1 to 15"))
    if contracted:
        handles.append(Line2D([], [], color=grey, linestyle=RAW, label="token 0 before\nthe valve"))
    return handles
