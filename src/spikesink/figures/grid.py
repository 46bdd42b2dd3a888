"""Small multiples: one panel, or one column of panels, per variant."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikesink.figures import style

COLUMNS = 4
"""At most so many panels side by side on a page; with few variants the figure is narrower, down to a text column."""


def columns_for(panels: int) -> int:
    """How many columns leave the fewest holes."""
    if panels <= COLUMNS:
        return panels
    return min((COLUMNS, COLUMNS - 1), key=lambda columns: -panels % columns)


def grid(names: list[str], rows: int, row_height: float, extra_height: float) -> tuple[Figure, dict[str, list[Axes]]]:
    """A figure, and for every name its ``rows`` axes from top to bottom; heights in inches."""
    columns = columns_for(len(names))
    bands = -(-len(names) // columns)
    width = max(style.COLUMN, style.PAGE * min(1, len(names) / COLUMNS))
    figure = style.new_figure(width, extra_height + row_height * rows * bands)
    axes = figure.subplots(rows * bands, columns, squeeze=False)
    found = {}
    for index in range(bands * columns):
        band, column = divmod(index, columns)
        members = list(axes[band * rows : (band + 1) * rows, column])
        if index < len(names):
            found[names[index]] = members
        else:
            for axis in members:
                axis.remove()
    return figure, found


def is_left(axis: Axes) -> bool:
    """Whether the panel is in the first column."""
    return axis.get_subplotspec().is_first_col()
