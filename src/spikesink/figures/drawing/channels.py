"""The life of massive activations in panels: the three largest channel magnitudes over the blocks.

As Figs 1 and 7 of 2603.05498: a panel for the residual stream after each block, and one for the block's own output.
"""

from collections.abc import Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from spikesink.figures.drawing.grid import is_left
from spikesink.figures.drawing.scales import log_scale, share_y, whole_ticks
from spikesink.figures.drawing.style import BASELINE_COLOUR, lighter

ROWS = (("Residual stream", ("top1", "top2", "top3")), ("Block output", ("output_top1", "output_top2", "output_top3")))
"""By panel from top to bottom: its name, and its quantities from the largest channel to the third."""
LOOKS = ((0.0, "solid"), (0.35, (0, (5, 1.2))), (0.35, (0, (1, 1))))
"""Share of white in the colour, and dashes, of the largest, second and third channel."""


def draw_channels(axis: Axes, lines: Sequence[tuple[list[int], list[float]]], colour: str) -> None:
    """A line per channel over the blocks: the largest solid, the second dashed, the third dotted."""
    for (blocks, magnitudes), (shade, dashes) in zip(lines, LOOKS, strict=True):
        axis.plot(blocks, magnitudes, color=lighter(colour, shade), linestyle=dashes, zorder=3 - shade)


def finish_rows(columns: Sequence[Sequence[Axes]], magnitudes: Sequence[pl.Series]) -> None:
    """One logarithmic scale per row of panels, and the labels of the axes at the left and below.

    ``columns`` holds the two panels of every variant or model, ``magnitudes`` all values that each row shows.
    """
    for row, (name, _) in enumerate(ROWS):
        panels = [column[row] for column in columns]
        share_y(panels)
        if (magnitudes[row] > 0).any():
            log_scale(panels[0].yaxis)
        for axis in panels:
            axis.minorticks_off()
            whole_ticks(axis.xaxis)
            axis.tick_params(labelbottom=row == len(ROWS) - 1)
            if is_left(axis):
                axis.set_ylabel(f"{name}\n(magnitude)")
            if row == len(ROWS) - 1:
                axis.set_xlabel("Block")


def channel_legend() -> list[Line2D]:
    """What the dashes of the lines mean."""
    names = ("largest channel", "second", "third")
    return [
        Line2D([], [], color=lighter(BASELINE_COLOUR, shade), linestyle=dashes, label=name)
        for name, (shade, dashes) in zip(names, LOOKS, strict=True)
    ]
