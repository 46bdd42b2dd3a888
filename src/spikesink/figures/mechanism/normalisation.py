"""How the normalisation changes spike tokens, block by block (2603.05498 Fig 5 and Eq 23-24).

Fig 5 shows the cosine similarity among spike tokens before and after the step-up block; here it is drawn at the input
of every block, with the sparsity and the bound that the paper derives.
"""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import legend, wrapped
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.grid import grid, is_left
from spikesink.figures.drawing.scales import whole_ticks
from spikesink.figures.drawing.stacked import Models, stacked
from spikesink.figures.drawing.style import STARTS, Style

QUESTIONS = ("normalisation",)
CAPTION = (
    "Tokens at position 0 and all others where they enter a block, after its norm and before the gain (the last point "
    "is the final norm). Top: mean cosine similarity between pairs of tokens; spike tokens become one vector at the "
    "step-up block. Middle: share of the squared norm in the measures.spike_channels largest channels, by default "
    "three. Bottom: largest entry as a share of its bound, the root of the width for RMSNorm. After a BOS, position 0 "
    "is the same token in all sequences and its cosine is trivially 1: the curve for text starts the same sequences "
    "after their BOS. After Fig 5 and Eq 23-24 of Sun et al., The Spike, the Sparse and the Sink (arXiv 2603.05498)."
)
COLUMNS = {"model": TEXT, "start": TEXT, "group": TEXT, "block": WHOLE, "cosine": REAL, "energy_top": REAL} | {
    "share_of_bound": REAL
}
ROWS = (
    ("cosine", "Cosine\nsimilarity"),
    ("energy_top", "Energy in the\nlargest channels"),
    ("share_of_bound", "Largest entry\n/ bound"),
)
LINES = {
    ("bos", "spike"): ("position 0: BOS", STARTS["bos"], (0, (4, 1.5))),
    ("text", "spike"): ("position 0: text", STARTS["text"], "solid"),
    ("text", "others"): ("other positions", "0.6", "solid"),
}


def data(models: Models) -> pl.DataFrame:
    """A row per model, start, group and block: the three quantities drawn."""
    return stacked(models, "normalisation", {name: kind for name, kind in COLUMNS.items() if name != "model"})


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """Three panels per model, on one scale for all models."""
    names = list(style)
    figure, axes = grid(names, rows=len(ROWS), row_height=0.9, extra_height=0.3, width=width)
    for name in names:
        table = data.filter(pl.col("model") == name)
        axes[name][0].set_title(wrapped(name, 24))
        for axis, (column, label) in zip(axes[name], ROWS, strict=True):
            draw_lines(axis, table, column)
            lowest = data["cosine"].min() if column == "cosine" else 0
            axis.set_ylim(min(0, lowest) - 0.08, 1.08)
            axis.tick_params(labelbottom=column == ROWS[-1][0], labelleft=is_left(axis))
            if is_left(axis):
                axis.set_ylabel(label)
        axes[name][-1].set_xlabel("Block")
    drawn = set(data.select("start", "group").iter_rows())
    lines = [
        Line2D([], [], color=colour, linestyle=dash, marker=".", label=label)
        for key, (label, colour, dash) in LINES.items()
        if key in drawn
    ]
    legend(figure, lines)
    return figure


def draw_lines(axis: Axes, table: pl.DataFrame, column: str) -> None:
    """A line per start and group over blocks; blocks where the quantity has no value are left out."""
    for (start, group), (_, colour, dash) in LINES.items():
        members = table.filter((pl.col("start") == start) & (pl.col("group") == group)).drop_nulls(column).sort("block")
        axis.plot(members["block"].to_list(), members[column].to_list(), color=colour, linestyle=dash, marker=".")
    axis.set_xlim(0.5, table["block"].max() + 0.5)
    whole_ticks(axis.xaxis)
