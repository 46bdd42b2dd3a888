"""Texts that are longer than figures expect: high titles get room, and names of axes that are too long are broken."""

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

from spikesink.figures.drawing.canvas import lay_out, wrapped

ROUNDS = 3
"""So often names are broken at most: one of two lines makes other axes shorter, whose names may then be too long."""
TITLE_LINES = 2
"""Lines of a panel's title that the heights of figures have room for."""
LINE = 1.2
"""Height of a line of text over the size of its letters."""


def fit_labels(figure: Figure) -> None:
    """Lay the figure out, break names of axes that are too long, and lay it out again where there were any.

    Before that the figure gets higher by the lines of titles that it has no room for; they would be taken from panels.
    """
    figure.set_figheight(figure.get_figheight() + height_of_titles(figure))
    lay_out(figure)
    for _ in range(ROUNDS):
        if not any([break_lines(label, room) for axis in figure.axes for label, room in labels(axis)]):
            return
        lay_out(figure)


def height_of_titles(figure: Figure) -> float:
    """Height in inches of title lines beyond ``TITLE_LINES``, of the longest title in each row of panels."""
    beyond: dict[int, float] = {}
    for axis in figure.axes:
        if (place := axis.get_subplotspec()) is not None:
            row, lines = place.rowspan.start, 1 + axis.get_title().count("\n")
            beyond[row] = max(beyond.get(row, 0), lines - TITLE_LINES)
    return sum(beyond.values()) * LINE * FontProperties(size=rcParams["axes.titlesize"]).get_size_in_points() / 72


def labels(axis: Axes) -> list[tuple[Text, float]]:
    """The names of both axes, and their lengths in pixels, which the names may take."""
    box = axis.get_window_extent()
    return [(axis.xaxis.label, box.width), (axis.yaxis.label, box.height)]


def break_lines(label: Text, room: float) -> bool:
    """Break a text in few, even lines that fit into so many pixels; returns whether it changed. Formulas stay whole.

    What stands in brackets, as a unit, has a line of its own if it fits.
    """
    box, text = label.get_window_extent(), label.get_text()
    length = box.height if label.get_rotation() == 90 else box.width
    if not text or not label.get_visible() or length <= room:
        return False
    longest, words = max(map(len, text.split("\n"))), text.replace("\n", " ")
    most = max(1, int(longest * room / length))
    lines = wrapped(words, most)
    even = wrapped(words, -(-len(words) // (1 + lines.count("\n"))) + 2)
    lines = even if even.count("\n") == lines.count("\n") else lines
    at_unit = words.replace(" (", "\n(", 1)
    lines = at_unit if at_unit.count("\n") == 1 and max(map(len, at_unit.split("\n"))) <= most else lines
    if lines == text or any(line.replace(r"\$", "").count("$") % 2 for line in lines.split("\n")):
        return False
    label.set_text(lines)
    return True
