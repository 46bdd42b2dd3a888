"""Where learned valves close: V-scale's theta by layer and head (2603.17771, Fig 13).

As there: a heat map of the learned log factor of the threshold C, layers upwards, value heads to the right.
"""

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spikesink.figures import style

QUESTIONS = ("valve_strength",)
CAPTION = (
    "Learned log factor theta of V-scale's threshold by layer and key-value head. Where theta is positive the valve "
    "contracts longer vectors too, where it is negative only shorter ones than at the start of training. In the paper "
    "early layers are positive and late layers mostly negative. After Fig 13 of 2603.17771."
)


def draw(models: dict[str, dict[str, pl.DataFrame]]) -> Figure:
    """A map per model and path with a learned valve, on one scale around 0; a note where there is none."""
    maps = [
        (label, path, table.filter((pl.col("path") == path) & pl.col("theta").is_not_null()))
        for label, table in ((label, tables["valve_strength"]) for label, tables in models.items())
        if "theta" in table.columns
        for path in ("value", "key")
    ]
    maps = [(label, path, table) for label, path, table in maps if len(table)]
    figure = style.new_figure(max(style.COLUMN, min(style.PAGE, 1.9 * len(maps))), 2.3)
    if not maps:
        figure.text(0.5, 0.5, "No learned valve", ha="center")
        return figure
    largest = max(table["theta"].abs().max() for _, _, table in maps) or 1.0
    axes = figure.subplots(1, len(maps), squeeze=False)[0]
    for axis, (label, path, table) in zip(axes, maps, strict=True):
        heads, layers = table["head"].max() + 1, table["layer"].max() + 1
        theta = np.full((layers, heads), np.nan)
        theta[table["layer"].to_numpy(), table["head"].to_numpy()] = table["theta"].to_numpy()
        mesh = axis.pcolormesh(theta, cmap="PuOr_r", vmin=-largest, vmax=largest)
        axis.grid(False)
        axis.set_title(style.wrapped(label, 24) + (", keys" if path == "key" else ""))
        axis.set_xlabel("Value head" if path == "value" else "Key head")
        for one, count in ((axis.xaxis, heads), (axis.yaxis, layers)):
            ticks = MaxNLocator(nbins=6, integer=True).tick_values(0, count - 1)
            shown = sorted({int(tick) for tick in ticks if 0 <= tick < count})
            one.set_ticks([tick + 0.5 for tick in shown], [str(tick) for tick in shown])
    axes[0].set_ylabel("Layer")
    figure.colorbar(mesh, ax=list(axes), aspect=25, pad=0.02, label=r"Learned $\theta$")
    return figure
