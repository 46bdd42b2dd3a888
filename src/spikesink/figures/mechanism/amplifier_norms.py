"""How strong is every output channel's quadratic form? |U_k|_F in all feed-forward blocks (2603.05498 Figs 3 and 8)."""

import polars as pl
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import legend, note, wrapped
from spikesink.figures.drawing.files import REAL, TEXT, TRUTH, WHOLE
from spikesink.figures.drawing.grid import grid, is_left
from spikesink.figures.drawing.scales import share_y, whole_ticks
from spikesink.figures.drawing.stacked import Models, stacked
from spikesink.figures.drawing.style import SPIKE, Style

QUESTIONS = ("amplifier_norms", "spike_channels", "lifecycle")
CAPTION = (
    "Frobenius norm of the quadratic form U_k of every output channel k, one point per channel and feed-forward "
    "block, coloured by block. Rings: the channels that carry massive activations, in the blocks that make or "
    "remove them; they stand out from the other channels of their block. After Figs 3 and 8 of Sun et al. (arXiv "
    "2603.05498)."
)
COLUMNS = {"model": TEXT, "block": WHOLE, "channel": WHOLE, "norm": REAL, "ring": TRUTH}


def data(models: Models) -> pl.DataFrame:
    """A norm per model, block and output channel, and whether a spike channel has it in a step block."""
    norms = stacked(models, "amplifier_norms", {"block": WHOLE, "channel": WHOLE, "norm": REAL})
    channels = stacked(models, "spike_channels", {"channel": WHOLE})
    steps = stacked(models, "lifecycle", {"block": WHOLE, "role": TEXT})
    steps = steps.filter(pl.col("role").is_in(["step_up", "step_down"]))
    rings = channels.join(steps, on="model").select("model", "block", "channel", ring=True).unique()
    ringed = norms.join(rings, on=["model", "block", "channel"], how="left", maintain_order="left")
    return ringed.with_columns(pl.col("ring").fill_null(False)).select(*COLUMNS)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """One panel per model, one scale and one colour scale for all."""
    names = list(style)
    figure, axes = grid(names, rows=1, row_height=2.0, extra_height=0.1, width=width)
    panels = [axes[name][0] for name in names]
    blocks = data["block"].unique().sort().to_list()
    colours = ScalarMappable(Normalize(min(blocks, default=2), max(blocks, default=3)), "viridis")
    for axis, name in zip(panels, names, strict=True):
        norms = data.filter(pl.col("model") == name)
        axis.set_title(wrapped(name, 30))
        axis.set_xlabel("Output channel k")
        if is_left(axis):
            axis.set_ylabel("$\\|U_k\\|_F$")
        if norms.is_empty():
            note(axis, "no SwiGLU block")
            continue
        norms = norms.sort("norm")  # so that no block hides another
        rasterized = len(norms) > 2000
        look = {"cmap": colours.cmap, "norm": colours.norm, "s": 5, "linewidths": 0, "rasterized": rasterized}
        axis.scatter(norms["channel"], norms["norm"], c=norms["block"], **look)
        marked = norms.filter("ring")
        axis.scatter(marked["channel"], marked["norm"], s=26, facecolors="none", edgecolors=SPIKE, zorder=4)
        whole_ticks(axis.xaxis, 4)
    share_y(panels, data["norm"])
    if blocks:
        bar = figure.colorbar(colours, ax=panels, aspect=30, pad=0.01, label="Block")
        bar.set_ticks(thinned(blocks, 6))
        bar.ax.minorticks_off()
    mark = {"color": "none", "markeredgecolor": SPIKE, "marker": "o", "markersize": 5}
    legend(figure, [Line2D([], [], **mark, label="spike channel in a step-up or step-down block")])
    return figure


def thinned(items: list[int], most: int) -> list[int]:
    """At most this many of the items, evenly spaced from the first to the last."""
    last = min(most, len(items)) - 1
    return [items[round(index * (len(items) - 1) / max(last, 1))] for index in range(last + 1)]
