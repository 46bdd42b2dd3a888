"""The paper that all figures share: widths, an empty figure, a title above all panels, a legend below them."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spikesink.study.glyphs import fonts

COLUMN, PAGE = 3.35, 6.9
"""Widths of a text column and of a page's text in inches."""
WIDTHS = {"auto": None, "column": COLUMN, "page": PAGE}
"""The widths that a figure can be asked for; "auto" is the figure's natural width."""
LEGEND_LINE = 24
"""Characters in a line of a legend whose labels do not fit beside each other."""


def inches(width: str, natural: float) -> float:
    """The width in inches for a key of WIDTHS; ``natural`` is what "auto" means for this figure."""
    return WIDTHS[width] or natural


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches in the project's style; its parts make room for each other."""
    use_style_sheet()
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # a figure without a canvas measures the same texts again at every step
    return figure


def lay_out(figure: Figure) -> None:
    """Give all parts of a figure their places, if it has a layout. To draw it for that takes half as long again."""
    if engine := figure.get_layout_engine():
        engine.execute(figure)


def use_style_sheet() -> None:
    """Load style.mplstyle, so that a user's matplotlibrc changes nothing. Other fonts show what DejaVu Sans lacks."""
    matplotlib.rc_file(Path(__file__).with_name("style.mplstyle"))
    matplotlib.rcParams["font.family"] = [*fonts()]


def note_alone(text: str, width: str) -> Figure:
    """A figure that holds one sentence: why there is nothing to draw."""
    figure = new_figure(inches(width, COLUMN), 1.0)
    figure.text(0.5, 0.5, text, ha="center")
    return figure


def note(axis: Axes, text: str) -> None:
    """Write into a panel why it is empty."""
    written = axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", zorder=4)
    written.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})


def wrapped(text: str, width: int) -> str:
    """The text in lines of at most this many characters; only a longer word breaks, where it can at a hyphen."""
    has_longer = any(len(word) > width for word in text.split())
    return "\n".join(textwrap.wrap(text, width, break_on_hyphens=has_longer)) or text


def title(figure: Figure, text: str) -> None:
    """Write a title above all panels, in as many lines as it needs, and make the figure higher by them.

    It takes the place of a title that was there before.
    """
    lines, before = wrapped(text, int(14 * figure.get_figwidth())), figure.get_suptitle()
    figure.suptitle(lines)
    more = lines.count("\n") - (before.count("\n") if before else -1)
    figure.set_figheight(figure.get_figheight() + 0.18 * more)


def legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """Write a legend below all panels, in as few rows as the width allows, and make the figure higher by them."""
    for rows in range(1, len(handles) + 1):
        columns = -(-len(handles) // rows)
        drawn = figure.legend(handles=handles, loc="outside lower center", ncols=columns)
        names = [handle.get_label() for handle in handles]
        whole = all("\n" not in name for name in names)
        if columns == 1 and len(names) > 3 and whole and any(len(name) > LEGEND_LINE for name in names):
            for handle, name in zip(handles, names, strict=True):
                handle.set_label(wrapped(name, LEGEND_LINE))
            drawn.remove()
            return legend(figure, handles)
        if columns == 1 or drawn.get_window_extent().width <= figure.bbox.width:
            figure.set_figheight(figure.get_figheight() + drawn.get_window_extent().height / figure.dpi)
            return None
        drawn.remove()
    return None
