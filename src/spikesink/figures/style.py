"""The look that all figures share: style file, widths, colours, and how a figure becomes files."""

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.axis import XAxis, YAxis
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

COLUMN, PAGE = 3.35, 6.9
"""Widths of a text column and of a page's text in inches."""

BASELINE_COLOUR = "#404040"
# Okabe and Ito's colour-blind-safe set without its yellow, which is too light for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
# When colours repeat, lines and marks still differ.
DASHES = ((), (4, 1.5), (1, 1), (5, 1, 1, 1))
MARKERS = ("o", "s", "^", "D")
REFERENCE = {"color": BASELINE_COLOUR, "linewidth": 0.8, "linestyle": (0, (4, 2)), "zorder": 1}
"""How the baseline is drawn where it is a reference for others."""


class Look(NamedTuple):
    """How a variant is drawn: colour, dash pattern in line widths (empty: solid), marker."""

    colour: str
    dashes: tuple[float, ...]
    marker: str


def use() -> None:
    """Load the style, whatever a user's own matplotlibrc says."""
    matplotlib.rc_file(Path(__file__).with_name("style.mplstyle"))


def looks(variants: Iterable[str]) -> dict[str, Look]:
    """A look per variant, the same in every figure of an ablation: baseline dark grey, the others by order."""
    others = [variant for variant in variants if variant != "baseline"]
    found = {"baseline": Look(BASELINE_COLOUR, (), "o")}
    for index, variant in enumerate(others):
        turn = index // len(COLOURS) % len(DASHES)
        found[variant] = Look(COLOURS[index % len(COLOURS)], DASHES[turn], MARKERS[turn])
    return found


def line(look: Look) -> str | tuple:
    """A look's dash pattern as matplotlib's linestyle."""
    return (0, look.dashes) if look.dashes else "solid"


def lighter(colour: str, share: float = 0.55) -> tuple[float, float, float]:
    """The colour mixed with this share of white."""
    return tuple(channel + (1 - channel) * share for channel in to_rgb(colour))


def wrapped(text: str, width: int) -> str:
    """A label in lines of at most this many characters."""
    return "\n".join(textwrap.wrap(text, width)) or text


def spans_a_decade(values: Iterable[float]) -> bool:
    """Whether positive values lie more than a factor of ten apart: then a logarithmic axis reads better."""
    values = [value for value in values if value is not None]
    return bool(values) and min(values) > 0 and max(values) > 10 * min(values)


def log_scale(axis: XAxis | YAxis) -> None:
    """A logarithmic axis with plain numbers at the ticks, few enough not to touch."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0,) if high > 150 * low else (1.0, 3.0), numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in this style, sizes in inches; its parts make room for each other."""
    use()
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, stem: str) -> None:
    """Write STEM.pdf (TrueType fonts) and STEM.png (200 dpi); the same figure gives the same bytes."""
    Path(stem).parent.mkdir(parents=True, exist_ok=True)
    # The layout and the box around all text are found once, not anew for every file.
    figure.draw_without_rendering()
    figure.set_layout_engine(None)
    box = figure.get_tightbbox().padded(0.03)
    figure.savefig(f"{stem}.pdf", bbox_inches=box, metadata={"CreationDate": None})
    figure.savefig(f"{stem}.png", bbox_inches=box)
