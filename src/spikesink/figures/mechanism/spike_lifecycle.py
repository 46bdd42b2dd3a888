"""The life of massive activations: the three largest channel magnitudes over the blocks, and which blocks make them.

As Figs 1 and 7 of 2603.05498: the residual stream after each block above, the block's own output below.
"""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from spikesink.figures.drawing.canvas import legend, wrapped
from spikesink.figures.drawing.channels import ROWS, channel_legend, draw_channels, finish_rows
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.grid import grid
from spikesink.figures.drawing.stacked import Models, stacked
from spikesink.figures.drawing.style import BASELINE_COLOUR, NO_SPIKE, SPIKE, Style

QUESTIONS = ("activations", "lifecycle")
CAPTION = (
    "Three largest channel magnitudes of the residual stream after each block (top) and of the block's own output "
    "(bottom), means over sequences. Shaded: the step-up blocks that write the massive activation, the step-down "
    "blocks that write it again with the opposite sign, and the plateau between, where it stays as it is. After "
    "Figs 1 and 7 and Table 1 of Sun et al., The Spike, the Sparse and the Sink (arXiv 2603.05498)."
)
COLUMNS = {"model": TEXT, "block": WHOLE, "quantity": TEXT, "magnitude": REAL, "role": TEXT}
REGIONS = {
    "step_up": (SPIKE, "step-up"),
    "plateau": ("0.88", "plateau"),
    "step_down": (NO_SPIKE, "step-down"),
}


def data(models: Models) -> pl.DataFrame:
    """A magnitude per model, quantity and block (0: the embedding), with the role of the block."""
    quantities = [quantity for _, channels in ROWS for quantity in channels]
    roles = stacked(models, "lifecycle", {"block": WHOLE, "role": TEXT})
    states = stacked(models, "activations", {"state": WHOLE} | dict.fromkeys(quantities, REAL))
    states = states.rename({"state": "block"}).sort("block", maintain_order=True)
    long = states.unpivot(quantities, index=["model", "block"], variable_name="quantity", value_name="magnitude")
    long = long.drop_nulls("magnitude").join(roles, on=["model", "block"], how="left", maintain_order="left")
    order = pl.DataFrame({"model": list(models)})
    return order.join(long, on="model", maintain_order="left_right").select(*COLUMNS)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """Two panels per model; the blocks of a step are numbered above."""
    figure, axes = grid(list(style), rows=2, row_height=1.15, extra_height=0.3, width=width)
    for name, panels in axes.items():
        ours = data.filter(pl.col("model") == name)
        roles = ours.select("block", "role").drop_nulls().unique().sort("block")
        for axis, (_, channels) in zip(panels, ROWS, strict=True):
            shade_regions(axis, roles)
            lines = [ours.filter(pl.col("quantity") == quantity) for quantity in channels]
            points = [(line["block"].to_list(), line["magnitude"].to_list()) for line in lines]
            draw_channels(axis, points, BASELINE_COLOUR)
            axis.grid(False, axis="x")
            axis.set_xlim(-0.5, ours["block"].max() + 0.5)
        panels[0].set_title(f"{wrapped(name, 30)}\n{wrapped(steps(roles), 24)}")
    shown = [data.filter(pl.col("quantity").is_in(channels))["magnitude"] for _, channels in ROWS]
    finish_rows(list(axes.values()), shown)
    legend(figure, handles(data))
    return figure


def shade_regions(axis: Axes, roles: pl.DataFrame) -> None:
    """Shade the blocks by role. Block i lies between the states i - 1 and i."""
    for role, (colour, _) in REGIONS.items():
        for block in roles.filter(pl.col("role") == role)["block"]:
            axis.axvspan(block - 0.5, block + 0.5, color=colour, alpha=0.35, linewidth=0, zorder=0)


def steps(roles: pl.DataFrame) -> str:
    """Which blocks are steps, in words."""
    if roles["role"].eq("no_spike").all():
        return "no massive activation"
    found = []
    for role in ("step_up", "step_down"):
        blocks = roles.filter(pl.col("role") == role)["block"].to_list()
        # The first block, or "none", stays in the line of its direction.
        found.append(f"{role.removeprefix('step_')}\N{NO-BREAK SPACE}{', '.join(map(str, blocks)) or 'none'}")
    return "; ".join(found)


def handles(data: pl.DataFrame) -> list[Line2D | Patch]:
    """The legend: the lines, then the shades that any panel has."""
    shown = [REGIONS[role] for role in REGIONS if role in data["role"]]
    patches = [Patch(color=colour, alpha=0.35, linewidth=0, label=label) for colour, label in shown]
    return [*channel_legend(), *patches]
