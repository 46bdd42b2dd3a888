"""Names of axes that are longer than their axis: they are broken into lines, so that they touch no neighbour's."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from spikesink.figures.drawing.canvas import wrapped

ROUNDS = 3
"""So often names are broken at most: one of two lines makes other axes shorter, whose names may then be too long."""


def fit_labels(figure: Figure) -> None:
    """Lay the figure out, break names of axes that are too long, and lay it out again where there were any."""
    figure.draw_without_rendering()
    for _ in range(ROUNDS):
        if not any([break_lines(label, room) for axis in figure.axes for label, room in labels(axis)]):
            return
        figure.draw_without_rendering()


def labels(axis: Axes) -> list[tuple[Text, float]]:
    """The names of both axes, and their lengths in pixels, which the names may take."""
    box = axis.get_window_extent()
    return [(axis.xaxis.label, box.width), (axis.yaxis.label, box.height)]


def break_lines(label: Text, room: float) -> bool:
    """Break a text in few, even lines that fit into so many pixels; returns whether it changed. Formulas stay whole."""
    box, text = label.get_window_extent(), label.get_text()
    length = box.height if label.get_rotation() == 90 else box.width
    if not text or not label.get_visible() or length <= room:
        return False
    longest, words = max(map(len, text.split("\n"))), text.replace("\n", " ")
    lines = wrapped(words, max(1, int(longest * room / length)))
    even = wrapped(words, -(-len(words) // (1 + lines.count("\n"))) + 2)
    lines = even if even.count("\n") == lines.count("\n") else lines
    if lines == text or any(line.replace(r"\$", "").count("$") % 2 for line in lines.split("\n")):
        return False
    label.set_text(lines)
    return True
