"""Sinks and massive activations layer by layer: token 0 against early tokens (2603.17771, Figs 7 and 12).

As there: sink rate and the L2 norms of residual stream, branch outputs and value vectors over the layers, token 0
(solid) beside the mean over positions 1 to 15 (dashed), several models in one panel.
"""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from spikesink.figures import style

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


def draw(models: dict[str, dict[str, pl.DataFrame]]) -> Figure:
    """A panel for the sink rate, one per norm, and the legend in the sixth place."""
    figure = style.new_figure(style.PAGE, 3.5)
    grid = figure.subplots(2, 3)
    axes = list(grid.flatten())
    looks = style.looks(models)
    tables = {label: questions["layers"].sort("layer") for label, questions in models.items()}
    for label, table in tables.items():
        axes[0].plot(table["layer"].to_list(), table["sink_rate"].to_list(), marker=".", color=looks[label].colour)
    axes[0].set(ylim=(-0.04, 1.04), ylabel="Sink rate (share of heads)")
    for axis, (site, name) in zip(axes[1:], PANELS, strict=False):
        for label, table in tables.items():
            draw_site(axis, table, site, looks[label].colour)
        shown = [
            value for table in tables.values() for end in ("token0", "early_mean") for value in table[f"{site}_{end}"]
        ]
        if style.spans_a_decade(shown):
            style.log_scale(axis.yaxis)
        else:
            axis.set_ylim(bottom=0)
        axis.set_ylabel(name)
    last = max(table["layer"].max() for table in tables.values())
    for axis in axes[:-1]:
        axis.set_xlim(-0.05 * last - 0.1, 1.05 * last + 0.1)
        axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axis.set_xlabel("Layer")
    axes[-1].axis("off")
    axes[-1].legend(handles=legend(looks, list(models), any(map(contracts, tables.values()))), loc="center left")
    return figure


def draw_site(axis: Axes, table: pl.DataFrame, site: str, colour: str) -> None:
    layer = table["layer"].to_list()
    axis.plot(layer, table[f"{site}_token0"].to_list(), marker=".", color=colour)
    axis.plot(layer, table[f"{site}_early_mean"].to_list(), color=colour, linestyle=EARLY, linewidth=1)
    if site == "value" and contracts(table):
        axis.plot(layer, table["value_raw_token0"].to_list(), color=colour, linestyle=RAW)


def contracts(table: pl.DataFrame) -> bool:
    """Whether the values that attention mixes differ from those projected."""
    return bool(((table["value_token0"] - table["value_raw_token0"]).abs() > 1e-4 * table["value_raw_token0"]).any())


def legend(looks: dict[str, style.Look], labels: list[str], contracted: bool) -> list[Line2D]:
    grey = "0.4"
    handles = [
        Line2D([], [], color=looks[label].colour, linewidth=2, label=style.wrapped(label, 30)) for label in labels
    ]
    handles.append(Line2D([], [], color=grey, marker=".", label="token 0"))
    handles.append(Line2D([], [], color=grey, linestyle=EARLY, linewidth=1, label="mean of positions 1 to 15"))
    if contracted:
        handles.append(Line2D([], [], color=grey, linestyle=RAW, label="token 0 before the valve"))
    return handles
