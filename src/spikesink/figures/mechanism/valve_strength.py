"""Where learned valves close: V-scale's theta by layer and head (2603.17771, Fig 13).

As there: a heat map of the learned log factor of the threshold C, layers upwards, value heads to the right.
"""

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from spikesink.figures.drawing.canvas import note_alone, wrapped
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.grid import grid, is_left
from spikesink.figures.drawing.scales import ticks_of_cells
from spikesink.figures.drawing.stacked import Models, stacked
from spikesink.figures.drawing.style import Style

QUESTIONS = ("valve_strength",)
CAPTION = (
    "Learned log factor theta of V-scale's threshold by layer and key-value head. Where theta is positive the valve "
    "contracts longer vectors too, where it is negative only shorter ones than at the start of training. In the paper "
    "early layers are positive and late layers mostly negative. Where a layer's second branch is attention too, its "
    "valves have a map of their own. After Fig 13 of 2603.17771."
)
COLUMNS = {"model": TEXT, "path": TEXT, "block": WHOLE, "layer": WHOLE, "head": WHOLE, "theta": REAL}
FIRST = pl.col("block") % 2 == 1
"""The first branch of a layer; the second is attention too in a model without a feed-forward branch."""


def data(models: Models) -> pl.DataFrame:
    """A learned factor per model, path, block and head; empty where no valve is learned."""
    read = {name: kind for name, kind in COLUMNS.items() if name != "model"}
    return stacked(models, "valve_strength", read).drop_nulls("theta")


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """A map per model, path and branch with a learned valve, on one scale around 0; a note where there is none."""
    if data.is_empty():
        return note_alone("No learned valve", width)
    maps = {
        f"{wrapped(label, 24)}{path_name}{branch_name}": table
        for label in style
        for path, path_name in (("value", ""), ("key", ", keys"))
        for branch, branch_name in ((FIRST, ""), (~FIRST, ",\nsecond branch"))
        if len(table := data.filter((pl.col("model") == label) & (pl.col("path") == path) & branch))
    }
    largest = data["theta"].abs().max() or 1.0
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
        ticks_of_cells(axis.xaxis, heads, 6)
        ticks_of_cells(axis.yaxis, layers, 6)
    panels = [axis for (axis,) in axes.values()]
    figure.colorbar(mesh, ax=panels, aspect=25, pad=0.02, label=r"Learned $\theta$")
    return figure
