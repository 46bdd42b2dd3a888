"""The life of massive activations: the three largest channel magnitudes over the blocks, and which blocks make them.

As Figs 1 and 7 of 2603.05498: the residual stream after each block above, the block's own output below.
"""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from spikesink.figures.drawing import style
from spikesink.figures.drawing.grid import grid, is_left
from spikesink.figures.mechanism.stacked import stacked

QUESTIONS = ("activations", "lifecycle")
CAPTION = (
    "Three largest channel magnitudes of the residual stream after each block (top) and of the block's own output "
    "(bottom), means over sequences. Shaded: the step-up blocks that write the massive activation, the step-down "
    "blocks that write it again with the opposite sign, and the plateau between, where it stays as it is. After "
    "Figs 1 and 7 and Table 1 of Sun et al., The Spike, the Sparse and the Sink (arXiv 2603.05498)."
)
ROWS = (("Residual stream", ("top1", "top2", "top3")), ("Block output", ("output_top1", "output_top2", "output_top3")))
SHADES = (0.0, 0.45, 0.7)
"""Share of white in the colours of the largest, second and third channel."""
LINE = style.BASELINE_COLOUR
REGIONS = {
    "step_up": (style.SPIKE, "step-up"),
    "plateau": ("0.88", "plateau"),
    "step_down": (style.NO_SPIKE, "step-down"),
}


def data(models: dict[str, dict[str, pl.DataFrame]]) -> pl.DataFrame:
    """A magnitude per model, quantity and block (0: the embedding), with the role of the block."""
    columns = [column for _, row in ROWS for column in row]
    roles = stacked(models, "lifecycle").select("model", "block", "role")
    states = stacked(models, "activations").rename({"state": "block"}).sort("block", maintain_order=True)
    long = states.unpivot(columns, index=["model", "block"], variable_name="quantity", value_name="magnitude")
    long = long.drop_nulls("magnitude").join(roles, on=["model", "block"], how="left", maintain_order="left")
    order = pl.DataFrame({"model": list(models)})
    return order.join(long, on="model", maintain_order="left_right")


def draw(models: dict[str, dict[str, pl.DataFrame]], width: str = "auto") -> Figure:
    """Two panels per model; the blocks of a step are numbered above."""
    names, shown = list(models), data(models)
    figure, axes = grid(names, rows=2, row_height=1.15, extra_height=0.3, width=width)
    for name in names:
        ours = shown.filter(pl.col("model") == name)
        roles = ours.select("block", "role").drop_nulls().unique().sort("block")
        for axis, (row, columns) in zip(axes[name], ROWS, strict=True):
            shade_regions(axis, roles)
            for column, share in zip(columns, SHADES, strict=True):
                line = ours.filter(pl.col("quantity") == column)
                axis.plot(line["block"], line["magnitude"], color=style.lighter(LINE, share), zorder=3 - share)
            if is_left(axis):
                axis.set_ylabel(f"{row}\n(magnitude)")
            axis.grid(False, axis="x")
            axis.set_xlim(-0.5, ours["block"].max() + 0.5)
            axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes[name][0].set_title(f"{style.wrapped(name, 30)}\n{style.wrapped(steps(roles), 24)}")
        axes[name][0].tick_params(labelbottom=False)
        axes[name][1].set_xlabel("Block")
    for row, (_, columns) in enumerate(ROWS):
        share_scale([axes[name][row] for name in names], shown.filter(pl.col("quantity").is_in(columns))["magnitude"])
    style.legend(figure, legend())
    return figure


def shade_regions(axis: Axes, lifecycle: pl.DataFrame) -> None:
    """Block i lies between the states i - 1 and i; a shade covers what a block of this role changes."""
    for role, (colour, _) in REGIONS.items():
        for block in lifecycle.filter(pl.col("role") == role)["block"]:
            axis.axvspan(block - 0.5, block + 0.5, color=colour, alpha=0.35, linewidth=0, zorder=0)


def share_scale(axes: list[Axes], magnitudes: pl.Series) -> None:
    """One scale for all models, logarithmic where magnitudes span more than a decade."""
    for axis in axes[1:]:
        axis.sharey(axes[0])
    axes[0].autoscale_view()
    if style.spans_a_decade(magnitudes.filter(magnitudes > 0)):
        style.log_scale(axes[0].yaxis)
    for axis in axes:
        axis.minorticks_off()
        axis.tick_params(labelleft=is_left(axis))


def steps(lifecycle: pl.DataFrame) -> str:
    """Which blocks are steps, in words."""
    if lifecycle["role"].eq("no_spike").all():
        return "no massive activation"
    found = []
    for role in ("step_up", "step_down"):
        blocks = lifecycle.filter(pl.col("role") == role)["block"].to_list()
        found.append(f"{'up' if role == 'step_up' else 'down'} {', '.join(map(str, blocks)) or 'none'}")
    return "; ".join(found)


def legend() -> list[Line2D | Patch]:
    names = ("largest channel", "second", "third")
    lines = [
        Line2D([], [], color=style.lighter(LINE, share), label=name) for name, share in zip(names, SHADES, strict=True)
    ]
    patches = [Patch(color=colour, alpha=0.35, linewidth=0, label=label) for colour, label in REGIONS.values()]
    # Filled by column: a line above a shade.
    return [handle for pair in zip(lines, patches, strict=True) for handle in pair]
