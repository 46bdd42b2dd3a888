"""When sink, gradient sink and spike appear: their course over training, one line per layer, and their onsets.

No figure of the papers: 2603.17771 leaves the order of onsets open. Rows are quantities, columns models.
"""

import matplotlib
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import COLUMN, legend, note_alone, wrapped
from spikesink.figures.drawing.files import REAL, TEXT, TRUTH, WHOLE
from spikesink.figures.drawing.grid import grid, is_left
from spikesink.figures.drawing.scales import log_scale, spans_a_decade, whole_ticks
from spikesink.figures.drawing.stacked import Models
from spikesink.figures.drawing.style import REFERENCE, Style

QUESTIONS = ("snapshot_summary", "onsets")
CAPTION = (
    "Over training, layer by layer: attention on position 0 of the layer's strongest head, gradient sink ratio of "
    "token 0, and token 0's norm in the residual stream over that of positions 1 to 15. Marks stand at the onset, the "
    "first snapshot from which the quantity stays above its threshold (dashed where all layers share it; for the "
    "attention, the layer's earliest head). If sinks induce gradient sinks and these massive activations, as "
    "2603.17771 says, marks move to the right from top to bottom."
)
ROWS = (
    ("sink_mass", "Attention on position 0"),
    ("gradient_sink_ratio", "Gradient sink ratio"),
    ("token0_over_early", "Token 0 / early norm"),
)
COLUMNS = {"model": TEXT, "quantity": TEXT, "layer": WHOLE, "step": WHOLE, "value": REAL} | {
    "is_onset": TRUTH,
    "threshold": REAL,
}


def data(models: Models) -> pl.DataFrame:
    """A value per model, quantity, layer and step, whether it is the onset, and the threshold that all heads share.

    The value is the largest head's, which for quantities of the layer is the layer's; the onset is the earliest head's.
    """
    found = [pl.DataFrame(schema=COLUMNS)]
    for label, tables in models.items():
        for quantity, _ in ROWS if len(tables["snapshot_summary"]) else ():
            onsets = tables["onsets"].filter(pl.col("quantity") == quantity)
            thresholds = onsets["threshold"].drop_nulls().unique()
            first = onsets.group_by("layer").agg(pl.col("onset").min())
            course = tables["snapshot_summary"].group_by("layer", "step").agg(value=pl.col(quantity).max())
            course = (
                course.drop_nulls().sort("layer", "step").join(first, on="layer", how="left", maintain_order="left")
            )
            shown = course.select(
                *("layer", "step", "value"),
                model=pl.lit(label),
                quantity=pl.lit(quantity),
                is_onset=(pl.col("step") == pl.col("onset")).fill_null(False),
                threshold=pl.lit(thresholds[0] if len(thresholds) == 1 else None),
            )
            found.append(shown.select(pl.col(name).cast(kind) for name, kind in COLUMNS.items()))
    return pl.concat(found)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """A column per model that has snapshots, a row per quantity, one scale per row; a note where none has."""
    names = data["model"].unique(maintain_order=True).to_list()
    if not names:
        return note_alone("No snapshots", width)
    figure, axes = grid(names, len(ROWS), 1.35, 0.3, width, widest=COLUMN)
    layers = sorted(data["layer"].unique())
    colours = layer_colours(layers)
    for label in names:
        for axis, first, (quantity, name) in zip(axes[label], axes[names[0]], ROWS, strict=True):
            ours = data.filter((pl.col("model") == label) & (pl.col("quantity") == quantity))
            if axis is not first:
                axis.sharey(first)
            for layer in layers:
                draw_layer(axis, ours.filter(pl.col("layer") == layer), colours[layer])
            if len(ours) and ours["threshold"][0] is not None:
                axis.axhline(ours["threshold"][0], **REFERENCE)
            if is_left(axis):
                axis.set_ylabel(name)
            axis.tick_params(labelleft=is_left(axis), labelbottom=quantity == ROWS[-1][0])
            whole_ticks(axis.xaxis, 5)
        axes[label][0].set_title(wrapped(label, 24))
        axes[label][-1].set_xlabel("Step")
    for axis, (quantity, _) in zip(axes[names[0]], ROWS, strict=True):
        axis.autoscale_view()
        if quantity != "sink_mass" and spans_a_decade(data.filter(pl.col("quantity") == quantity)["value"]):
            log_scale(axis.yaxis)
    legend(figure, handles(layers, colours))
    return figure


def layer_colours(layers: list[int]) -> dict[int, str]:
    """From dark to light with depth; the lightest end of the map is too pale for lines."""
    colours = matplotlib.colormaps["viridis"]
    return {layer: to_hex(colours(0.85 * index / max(1, len(layers) - 1))) for index, layer in enumerate(layers)}


def draw_layer(axis: Axes, course: pl.DataFrame, colour: str) -> None:
    """The layer's course and a mark at its onset."""
    axis.plot(course["step"].to_list(), course["value"].to_list(), color=colour, linewidth=1)
    at = course.filter("is_onset")
    rim = {"markersize": 5, "markeredgecolor": "black", "markeredgewidth": 0.7, "linestyle": "none"}
    axis.plot(at["step"].to_list(), at["value"].to_list(), color=colour, marker="o", **rim, zorder=4)


def handles(layers: list[int], colours: dict[int, str]) -> list[Line2D]:
    shown = layers if len(layers) <= 8 else [layers[0], layers[len(layers) // 2], layers[-1]]
    found = [Line2D([], [], color=colours[layer], label=f"layer {layer}") for layer in shown]
    mark = {"color": "0.7", "marker": "o", "markersize": 5, "markeredgecolor": "black", "linestyle": "none"}
    return [*found, Line2D([], [], **mark, label="onset"), Line2D([], [], **REFERENCE, label="threshold")]
