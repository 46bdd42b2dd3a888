"""Small multiples: one panel, or one column of panels, per variant."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikesink.figures.drawing import canvas

NARROWEST = 1.6
"""The least width in inches of a panel with its labels."""
STRIP_NARROWEST = 2.0
"""The same in a strip, where labels are longer."""
COLUMNS = int(canvas.PAGE / NARROWEST)
"""How many panels fit side by side on a page."""


def columns_for(panels: int, most: int = COLUMNS) -> int:
    """The number of columns, at most ``most``, that leaves the fewest empty places."""
    if panels <= most or most < 3:
        return min(panels, most)
    return min((most, most - 1), key=lambda columns: -panels % columns)


def grid(
    names: Sequence[str],
    rows: int,
    row_height: float,
    extra_height: float,
    width: str = "auto",
    widest: float = canvas.PAGE / COLUMNS,
) -> tuple[Figure, dict[str, list[Axes]]]:
    """A figure, and for every name its ``rows`` axes from top to bottom.

    Heights are in inches; ``width`` is a key of canvas.WIDTHS. Of width "auto" every panel takes ``widest`` inches, but
    the figure is no narrower than a text column and no wider than a page.
    """
    natural = min(canvas.PAGE, max(canvas.COLUMN, widest * len(names)))
    inches = canvas.inches(width, natural)
    columns = columns_for(len(names), int(inches / NARROWEST))
    bands = -(-len(names) // columns)
    figure = canvas.new_figure(inches, extra_height + row_height * rows * bands)
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


def strip(count: int, height: float, extra: float, width: str = "auto", **shared) -> tuple[Figure, list[Axes]]:
    """Panels of this height in inches, side by side as far as the width allows; in a column below each other."""
    inches = canvas.inches(width, canvas.PAGE)
    columns = columns_for(count, int(inches / STRIP_NARROWEST))
    rows = -(-count // columns)
    figure = canvas.new_figure(inches, extra + height * rows)
    axes = list(figure.subplots(rows, columns, squeeze=False, **shared).flatten())
    for axis in axes[count:]:
        axis.remove()
    return figure, axes[:count]


def is_left(axis: Axes) -> bool:
    """Whether the panel is in the first column."""
    return axis.get_subplotspec().is_first_col()
