"""Where learned valves close: V-scale's theta by layer and head (2603.17771, Fig 13).

As there: a heat map of the learned log factor of the threshold C, layers upwards, value heads to the right.
"""

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spikesink.figures.drawing import style
from spikesink.figures.drawing.grid import grid, is_left
from spikesink.figures.mechanism.stacked import chosen, stacked

QUESTIONS = ("valve_strength",)
CAPTION = (
    "Learned log factor theta of V-scale's threshold by layer and key-value head. Where theta is positive the valve "
    "contracts longer vectors too, where it is negative only shorter ones than at the start of training. In the paper "
    "early layers are positive and late layers mostly negative. After Fig 13 of 2603.17771."
)


def data(models: dict[str, dict[str, pl.DataFrame]]) -> pl.DataFrame:
    """A learned factor per model, path, layer and head; empty where no valve is learned."""
    table = chosen(stacked(models, "valve_strength"), "model", "path", "layer", "head", "theta")
    return table.filter(pl.col("theta").is_not_null()).with_columns(pl.col("theta").cast(pl.Float64))


def draw(models: dict[str, dict[str, pl.DataFrame]], width: str = "auto") -> Figure:
    """A map per model and path with a learned valve, on one scale around 0; a note where there is none."""
    shown = data(models)
    if shown.is_empty():
        figure = style.new_figure(style.inches(width, style.COLUMN), 1.0)
        figure.text(0.5, 0.5, "No learned valve", ha="center")
        return figure
    maps = {
        f"{style.wrapped(label, 24)}{', keys' if path == 'key' else ''}": table
        for label in models
        for path in ("value", "key")
        if len(table := shown.filter((pl.col("model") == label) & (pl.col("path") == path)))
    }
    largest = shown["theta"].abs().max() or 1.0
    figure, axes = grid(list(maps), rows=1, row_height=2.0, extra_height=0.3, width=width, widest=1.9)
    for title, table in maps.items():
        (axis,) = axes[title]
        heads, layers = table["head"].max() + 1, table["layer"].max() + 1
        theta = np.full((layers, heads), np.nan)
        theta[table["layer"].to_numpy(), table["head"].to_numpy()] = table["theta"].to_numpy()
        mesh = axis.pcolormesh(theta, cmap="PuOr_r", vmin=-largest, vmax=largest)
        axis.grid(False)
        axis.set_title(title)
        axis.set_xlabel("Value head" if table["path"][0] == "value" else "Key head")
        if is_left(axis):
            axis.set_ylabel("Layer")
        for one, count in ((axis.xaxis, heads), (axis.yaxis, layers)):
            ticks = MaxNLocator(nbins=6, integer=True).tick_values(0, count - 1)
            whole = sorted({int(tick) for tick in ticks if 0 <= tick < count})
            one.set_ticks([tick + 0.5 for tick in whole], [str(tick) for tick in whole])
    panels = [axis for (axis,) in axes.values()]
    figure.colorbar(mesh, ax=panels, aspect=25, pad=0.02, label=r"Learned $\theta$")
    return figure
