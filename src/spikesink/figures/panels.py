"""One panel per model and block: a column per model, a row per block."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikesink.figures import style

ROLES = {"step_up": "step-up", "step_down": "step-down", "no_spike": "no spike"}


def panels(tables: dict[str, pl.DataFrame], height: float, extra: float) -> tuple[Figure, dict[tuple[str, int], Axes]]:
    """A figure and the axes of every (model, block) in tables with columns block and role; heights in inches.

    A model whose table is empty has a panel that says so, which is not in the result.
    """
    blocks = {name: list(table["block"].unique().sort()) if len(table) else [] for name, table in tables.items()}
    rows = max(1, *map(len, blocks.values()))
    width = style.COLUMN if len(tables) == 1 else min(style.PAGE, style.COLUMN * len(tables))
    figure = style.new_figure(width, extra + height * rows)
    grid = figure.subplots(rows, len(tables), squeeze=False)
    found = {}
    for column, name in enumerate(tables):
        for row in range(rows):
            axis = grid[row, column]
            if row < len(blocks[name]):
                block = blocks[name][row]
                role = tables[name].filter(pl.col("block") == block)["role"][0]
                axis.set_title(f"{style.wrapped(name, 40)}\nblock {block} ({ROLES.get(role, role)})")
                found[name, block] = axis
            elif row == 0:
                axis.set_axis_off()
                axis.set_title(style.wrapped(name, 40))
                axis.text(0.5, 0.5, "no SwiGLU block", transform=axis.transAxes, ha="center")
            else:
                axis.remove()
    return figure, found
