"""One panel per model and block: a column per model, a row per block; the blocks of one model stand side by side."""

from collections.abc import Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikesink.figures.drawing.canvas import COLUMN, note, wrapped
from spikesink.figures.drawing.grid import grid

ROLES = {"step_up": "step-up", "step_down": "step-down", "no_spike": "no spike"}


def panels(
    names: Sequence[str], table: pl.DataFrame, height: float, width: str
) -> tuple[Figure, dict[tuple[str, int], Axes]]:
    """A figure and the axes of every (model, block) in a table with columns model, block and role.

    The height of a panel is in inches; ``width`` is a key of canvas.WIDTHS. A model that is not in the table has a
    panel that says so, which is not in the result.
    """
    roles = {} if table.is_empty() else {row[:2]: row[2] for row in table.select("model", "block", "role").rows()}
    blocks = {name: sorted(block for model, block in roles if model == name) for name in names}
    if len(names) == 1 and len(blocks[names[0]]) > 1:
        figure, columns = grid([str(block) for block in blocks[names[0]]], 1, height, 0.1, width, widest=COLUMN)
        axes = {names[0]: [axis for (axis,) in columns.values()]}
    else:
        figure, axes = grid(names, max(1, *map(len, blocks.values())), height, 0.1, width, widest=COLUMN)
    found = {}
    for name, members in axes.items():
        for axis, block in zip(members, blocks[name], strict=False):
            role = roles[name, block]
            axis.set_title(f"{wrapped(name, 30)}\nblock {block} ({ROLES.get(role, role)})")
            found[name, block] = axis
        for axis in members[max(1, len(blocks[name])) :]:
            axis.remove()
        if not blocks[name]:
            members[0].set_axis_off()
            members[0].set_title(wrapped(name, 30))
            note(members[0], "no SwiGLU block")
    return figure, found
