"""When sink, gradient sink and spike appear: their course over training, layer by layer, and their onsets.

No figure of the papers: 2603.17771 leaves the order of onsets open. Rows are quantities, columns models.
"""

import matplotlib
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import COLUMN, legend, note_alone, wrapped
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.grid import grid, is_left
from spikesink.figures.drawing.scales import log_scale, spans_a_decade
from spikesink.figures.drawing.stacked import Models
from spikesink.figures.drawing.style import BASELINE_COLOUR, REFERENCE, SPIKE, Style
from spikesink.measures.onsets import COURSES

QUESTIONS = ("snapshot_summary", "onsets")
CAPTION = (
    "Over training, one run per model: mean attention on position 0; gradient sink ratio of token 0 over its value "
    "under uniform attention; token 0's norm in the residual stream over that of positions 1 to 15. Coloured lines "
    "are layers, the black line is the model: the mean over layers, of the gradient sink ratio the median. Dashed: "
    "what it rises from, uniform attention or the first snapshot. The bar stands at half the rise and spans the "
    "snapshots between which the onset lies. Two onsets whose bars overlap cannot be ordered. If sinks induce "
    "gradient sinks and these massive activations, as 2603.17771 says, bars move to the right from top to bottom."
)
ROWS = (
    ("sink_mass", "Attention on\nposition 0"),
    ("gradient_sink_over_uniform", "Gradient sink ratio\nover uniform"),
    ("token0_over_early", "Token 0 over\nearly norm"),
)
COLUMNS = {"model": TEXT, "quantity": TEXT, "layer": WHOLE, "step": WHOLE, "value": REAL} | {
    "rest": REAL,
    "half": REAL,
    "after": WHOLE,
    "by": WHOLE,
}
ONSET = {"color": SPIKE, "linewidth": 3.5, "solid_capstyle": "butt", "alpha": 0.75, "zorder": 5}


def data(models: Models) -> pl.DataFrame:
    """A value per model, quantity, layer and step; without a layer it is the model's, with the facts of its onset.

    A layer's value is the mean over its heads.
    """
    found = [pl.DataFrame(schema=COLUMNS)]
    for label, tables in models.items():
        for quantity, _ in ROWS if len(tables["snapshot_summary"]) else ():
            values = tables["snapshot_summary"].drop_nulls(quantity)
            layers = values.group_by("layer", "step").agg(value=pl.col(quantity).mean()).sort("layer", "step")
            blocks = values.group_by("block", "step").agg(value=pl.col(quantity).mean()).sort("step", "block")
            whole = [
                {"step": step, "value": COURSES[quantity].over_blocks(own["value"].to_list())}
                for (step,), own in blocks.group_by("step", maintain_order=True)
            ]
            onset = tables["onsets"].filter((pl.col("quantity") == quantity) & pl.col("block").is_null())
            parts = [
                layers,
                pl.DataFrame(whole, schema={"step": WHOLE, "value": REAL}).join(
                    onset.select("rest", "half", "after", "by"), how="cross"
                ),
            ]
            shown = pl.concat([part.with_columns(pl.col("step").cast(WHOLE)) for part in parts], how="diagonal")
            shown = shown.with_columns(model=pl.lit(label), quantity=pl.lit(quantity))
            found.append(shown.select(pl.col(name).cast(kind) for name, kind in COLUMNS.items()))
    return pl.concat(found)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """A column per model that has snapshots, a row per quantity, one scale per row; a note where none has."""
    names = data["model"].unique(maintain_order=True).to_list()
    if not names:
        return note_alone("No snapshots", width)
    figure, axes = grid(names, len(ROWS), 1.35, 0.3, width, widest=COLUMN)
    layers = sorted(data["layer"].drop_nulls().unique())
    colours = layer_colours(layers)
    for label in names:
        for axis, first, (quantity, name) in zip(axes[label], axes[names[0]], ROWS, strict=True):
            ours = data.filter((pl.col("model") == label) & (pl.col("quantity") == quantity))
            if axis is not first:
                axis.sharey(first)
            for layer in layers:
                course = ours.filter(pl.col("layer") == layer)
                axis.plot(course["step"].to_list(), course["value"].to_list(), color=colours[layer], linewidth=0.8)
            draw_model(axis, ours.filter(pl.col("layer").is_null()))
            if is_left(axis):
                axis.set_ylabel(name)
            log_scale(axis.xaxis)
            axis.tick_params(labelleft=is_left(axis), labelbottom=quantity == ROWS[-1][0])
        axes[label][0].set_title(wrapped(label, 24))
        axes[label][-1].set_xlabel("Step")
    for axis, (quantity, _) in zip(axes[names[0]], ROWS, strict=True):
        axis.autoscale_view()
        if quantity != "sink_mass" and spans_a_decade(data.filter(pl.col("quantity") == quantity)["value"]):
            log_scale(axis.yaxis)
    legend(figure, handles(layers, colours))
    return figure


def layer_colours(layers: list[int]) -> dict[int, str]:
    """Colours from dark to light with depth; the lightest end of the map is too pale for lines."""
    colours = matplotlib.colormaps["viridis"]
    return {layer: to_hex(colours(0.85 * index / max(1, len(layers) - 1))) for index, layer in enumerate(layers)}


def draw_model(axis: Axes, course: pl.DataFrame) -> None:
    """The model's course, what it rises from, and a bar at half its rise over the snapshots that enclose the onset."""
    axis.plot(course["step"].to_list(), course["value"].to_list(), color=BASELINE_COLOUR, linewidth=1.4, zorder=4)
    if course.is_empty():
        return
    rest, half, after, by = course.select("rest", "half", "after", "by").row(0)
    if rest is not None:
        axis.axhline(rest, **REFERENCE)
    if by is not None:
        axis.plot([max(after, course["step"].min()), by], [half, half], **ONSET)


def handles(layers: list[int], colours: dict[int, str]) -> list[Line2D]:
    shown = layers if len(layers) <= 6 else [layers[0], layers[len(layers) // 2], layers[-1]]
    found = [Line2D([], [], color=colours[layer], label=f"layer {layer}") for layer in shown]
    return [
        *found,
        Line2D([], [], color=BASELINE_COLOUR, linewidth=1.4, label="model"),
        Line2D([], [], **REFERENCE, label="at rest"),
        Line2D([], [], **ONSET, label="onset: half-rise"),
    ]
