"""When sink, gradient sink and spike appear: their course over training, one line per layer, and their onsets.

No figure of the papers: 2603.17771 leaves the order of onsets open. Rows are quantities, columns models.
"""

import matplotlib
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from spikesink.figures import style

QUESTIONS = ("snapshot_summary", "onsets")
CAPTION = (
    "Over training, layer by layer: attention on position 0 of the layer's strongest head, gradient sink ratio of "
    "token 0, and token 0's norm in the residual stream over that of positions 1 to 15. Marks stand at the onset, the "
    "first snapshot from which the quantity stays above its threshold (dashed where all layers share it; for the "
    "attention, the layer's earliest head). If sinks induce gradient sinks and these massive activations, as "
    "2603.17771 has it, marks move to the right from top to bottom."
)
ROWS = (
    ("alpha_0", "Attention on position 0"),
    ("gradient_sink_ratio", "Gradient sink ratio"),
    ("spike_ratio", "Token 0 / early norm"),
)


def draw(models: dict[str, dict[str, pl.DataFrame]]) -> Figure:
    """A column per model that has snapshots, a row per quantity, one scale per row; a note where none has."""
    models = {label: tables for label, tables in models.items() if not tables["snapshot_summary"].is_empty()}
    if not models:
        figure = style.new_figure(style.COLUMN, 1.0)
        figure.text(0.5, 0.5, "No snapshots", ha="center")
        return figure
    figure = style.new_figure(style.COLUMN if len(models) == 1 else style.PAGE, 0.6 + 1.35 * len(ROWS))
    axes = figure.subplots(len(ROWS), len(models), squeeze=False, sharex=True, sharey="row")
    layers = sorted({layer for tables in models.values() for layer in tables["snapshot_summary"]["layer"]})
    colours = layer_colours(layers)
    for column, (label, tables) in enumerate(models.items()):
        for row, (quantity, name) in enumerate(ROWS):
            axis = axes[row, column]
            for layer in layers:
                draw_layer(axis, tables, quantity, layer, colours[layer])
            thresholds = tables["onsets"].filter(pl.col("quantity") == quantity)["threshold"].drop_nulls().unique()
            if len(thresholds) == 1:
                axis.axhline(thresholds[0], **style.REFERENCE)
            if column == 0:
                axis.set_ylabel(name)
        axes[0, column].set_title(style.wrapped(label, 72 // len(models)))
        axes[-1, column].set_xlabel("Step")
        axes[-1, column].xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    for row, (quantity, _) in enumerate(ROWS):
        values = [value for tables in models.values() for value in tables["snapshot_summary"][quantity].drop_nulls()]
        if quantity != "alpha_0" and style.spans_a_decade(values):
            style.log_scale(axes[row, 0].yaxis)
    figure.legend(handles=legend(layers, colours), loc="outside lower center", ncols=6)
    return figure


def layer_colours(layers: list[int]) -> dict[int, str]:
    """From dark to light with depth; the lightest end of the map is too pale for lines."""
    colours = matplotlib.colormaps["viridis"]
    return {layer: to_hex(colours(0.85 * index / max(1, len(layers) - 1))) for index, layer in enumerate(layers)}


def draw_layer(axis: Axes, tables: dict[str, pl.DataFrame], quantity: str, layer: int, colour: str) -> None:
    """The largest head's course, which for quantities of the layer is the layer's, and its earliest onset."""
    members = tables["snapshot_summary"].filter(pl.col("layer") == layer)
    course = members.group_by("step").agg(pl.col(quantity).max()).drop_nulls().sort("step")
    axis.plot(course["step"].to_list(), course[quantity].to_list(), color=colour, linewidth=1)
    onset = tables["onsets"].filter((pl.col("layer") == layer) & (pl.col("quantity") == quantity))["onset"].min()
    at = course.filter(pl.col("step") == onset) if onset is not None else course.clear()
    axis.plot(
        at["step"].to_list(),
        at[quantity].to_list(),
        color=colour,
        marker="o",
        markersize=5,
        markeredgecolor="black",
        markeredgewidth=0.7,
        linestyle="none",
        zorder=4,
    )


def legend(layers: list[int], colours: dict[int, str]) -> list[Line2D]:
    shown = layers if len(layers) <= 8 else [layers[0], layers[len(layers) // 2], layers[-1]]
    handles = [Line2D([], [], color=colours[layer], label=f"layer {layer}") for layer in shown]
    mark = {"color": "0.7", "marker": "o", "markersize": 5, "markeredgecolor": "black", "linestyle": "none"}
    return [*handles, Line2D([], [], **mark, label="onset"), Line2D([], [], **style.REFERENCE, label="threshold")]
