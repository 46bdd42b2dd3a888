"""How strong is every output channel's quadratic form? |U_k|_F in all feed-forward blocks (2603.05498 Figs 3 and 8)."""

import polars as pl
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from spikesink.figures.drawing import style
from spikesink.figures.drawing.grid import grid, is_left

QUESTIONS = ("amplifier_norms", "spike_channels", "lifecycle")
CAPTION = (
    "Frobenius norm of the quadratic form U_k of every output channel k, one point per channel and feed-forward "
    "block, coloured by block. Rings: the channels that carry massive activations, in the blocks that make or "
    "remove them; they stand out from the other channels of their block. After Figs 3 and 8 of Sun et al. (arXiv "
    "2603.05498)."
)


def data(models: dict[str, dict[str, pl.DataFrame]]) -> pl.DataFrame:
    """A norm per model, block and output channel, and whether a spike channel has it in a step block."""
    found = []
    for name, tables in models.items():
        norms = tables["amplifier_norms"]
        if len(norms):
            spikes = spiking(norms, tables["spike_channels"], tables["lifecycle"]).select("block", "channel")
            ringed = norms.join(
                spikes.with_columns(ring=True), on=["block", "channel"], how="left", maintain_order="left"
            )
            found.append(
                ringed.select(pl.lit(name).alias("model"), "block", "channel", "norm", pl.col("ring").fill_null(False))
            )
    return (
        pl.concat(found)
        if found
        else pl.DataFrame(schema={"model": pl.String(), "block": pl.Int64(), "norm": pl.Float64()})
    )


def draw(models: dict[str, dict[str, pl.DataFrame]], width: str = "auto") -> Figure:
    """One panel per model, one scale and one colour scale for all."""
    names, shown = list(models), data(models)
    figure, axes = grid(names, rows=1, row_height=2.0, extra_height=0.1, width=width)
    panels = [axes[name][0] for name in names]
    blocks = shown["block"].unique().sort().to_list()
    colours = ScalarMappable(Normalize(min(blocks, default=2), max(blocks, default=3)), "viridis")
    for axis, name in zip(panels, names, strict=True):
        norms = shown.filter(pl.col("model") == name)
        axis.set_title(style.wrapped(name, 30))
        axis.set_xlabel("Output channel k")
        if is_left(axis):
            axis.set_ylabel("$\\|U_k\\|_F$")
        if norms.is_empty():
            axis.text(0.5, 0.5, "no SwiGLU block", transform=axis.transAxes, ha="center")
            continue
        norms = norms.sort("norm")  # so that no block hides another
        rasterized = len(norms) > 2000
        look = {"cmap": colours.cmap, "norm": colours.norm, "s": 5, "linewidths": 0, "rasterized": rasterized}
        axis.scatter(norms["channel"], norms["norm"], c=norms["block"], **look)
        marked = norms.filter("ring")
        axis.scatter(marked["channel"], marked["norm"], s=26, facecolors="none", edgecolors=style.SPIKE, zorder=4)
        axis.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10], integer=True))
    for axis in panels:
        axis.sharey(panels[0])
        axis.tick_params(labelleft=is_left(axis))
    panels[0].autoscale_view()
    if style.spans_a_decade(shown["norm"]):
        style.log_scale(panels[0].yaxis)
    if blocks:
        bar = figure.colorbar(colours, ax=panels, aspect=30, pad=0.01, label="Block")
        bar.set_ticks(spaced(blocks, 6))
        bar.ax.minorticks_off()
    mark = {"color": "none", "markeredgecolor": style.SPIKE, "marker": "o", "markersize": 5}
    style.legend(figure, [Line2D([], [], **mark, label="spike channel in a step-up or step-down block")])
    return figure


def spaced(items: list[int], count: int) -> list[int]:
    """At most so many items, evenly spaced from the first to the last."""
    last = min(count, len(items)) - 1
    return [items[round(index * (len(items) - 1) / max(last, 1))] for index in range(last + 1)]


def spiking(norms: pl.DataFrame, channels: pl.DataFrame, lifecycle: pl.DataFrame) -> pl.DataFrame:
    """The norms of spike channels in step blocks."""
    if channels.is_empty():
        return norms.clear()
    steps = lifecycle.filter(pl.col("role").is_in(["step_up", "step_down"]))["block"]
    return norms.filter(pl.col("channel").is_in(channels["channel"].implode()) & pl.col("block").is_in(steps.implode()))
