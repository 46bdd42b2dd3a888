"""The look that all figures share: style file, widths, colours, and how a figure and its data become files."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axis import XAxis, YAxis
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

COLUMN, PAGE = 3.35, 6.9
"""Widths of a text column and of a page's text in inches."""
WIDTHS = {"auto": None, "column": COLUMN, "page": PAGE}
"""What a figure can be made for; auto is its natural width."""

BASELINE_COLOUR = "#404040"
# Okabe and Ito's colour-blind-safe set without its yellow, which is too light for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
# For published models, Tol's muted set: no variant has these.
PRETRAINED_COLOURS = ("#882255", "#44AA99", "#999933", "#332288")
SPIKE, NO_SPIKE = "#D55E00", "#0072B2"
"""In figures whose colours are not models: token 0 and what spikes, and the largest of what does not."""
STARTS = {"bos": "#0072B2", "text": "#009E73"}
"""What stands at position 0."""
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


def look(place: int) -> Look:
    """How the variant at this place of its ablation is drawn; place 0 is the baseline."""
    if place == 0:
        return Look(BASELINE_COLOUR, (), "o")
    turn = (place - 1) // len(COLOURS) % len(DASHES)
    return Look(COLOURS[(place - 1) % len(COLOURS)], DASHES[turn], MARKERS[turn])


def looks(variants: Iterable[str]) -> dict[str, Look]:
    """A look per variant, the same in every figure of an ablation: baseline dark grey, the others by order."""
    others = [variant for variant in variants if variant != "baseline"]
    return {variant: look(place) for place, variant in enumerate(["baseline", *others])}


def looks_at(places: Mapping[str, int | None]) -> dict[str, Look]:
    """Looks of models from several ablations by their places there; None is a published model.

    Where two models have one colour, the later is lighter, with a dash and a marker of its own.
    """
    found: dict[str, Look] = {}
    for model, place in places.items():
        published = sum(1 for other in found if places[other] is None)
        own = look(place) if place is not None else Look(PRETRAINED_COLOURS[published % 4], (), "o")
        same = sum(1 for other in found if places[other] is not None and look(places[other]).colour == own.colour)
        if same:
            turn = same % len(DASHES)
            own = Look(to_hex(lighter(own.colour, 0.25 + 0.1 * turn)), DASHES[turn], MARKERS[turn])
        found[model] = own
    return found


def line(look: Look) -> str | tuple:
    """A look's dash pattern as matplotlib's linestyle."""
    return (0, look.dashes) if look.dashes else "solid"


def lighter(colour: str, share: float = 0.55) -> tuple[float, float, float]:
    """The colour mixed with this share of white."""
    return tuple(channel + (1 - channel) * share for channel in to_rgb(colour))


def wrapped(text: str, width: int) -> str:
    """A label in lines of at most this many characters."""
    return "\n".join(textwrap.wrap(text, width, break_on_hyphens=False)) or text


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


def inches(width: str, natural: float) -> float:
    """The width for a key of WIDTHS, where auto is the figure's natural one."""
    return WIDTHS[width] or natural


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in this style, sizes in inches; its parts make room for each other."""
    use()
    return Figure(figsize=(width, height), layout="constrained")


def title(figure: Figure, text: str) -> None:
    """A title over all panels, in as many lines as the width asks for, for which the figure grows."""
    lines = wrapped(text, int(14 * figure.get_figwidth()))
    figure.suptitle(lines)
    figure.set_figheight(figure.get_figheight() + 0.18 * (1 + lines.count("\n")))


def legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """A legend below all panels, in as few rows as the width allows, for which the figure grows."""
    for rows in range(1, len(handles) + 1):
        columns = -(-len(handles) // rows)
        drawn = figure.legend(handles=handles, loc="outside lower center", ncols=columns)
        if columns == 1 and len(handles) > 3 and all("\n" not in handle.get_label() for handle in handles):
            for handle in handles:
                handle.set_label(wrapped(handle.get_label(), 24))
            drawn.remove()
            return legend(figure, handles)
        if columns == 1 or drawn.get_window_extent().width <= figure.bbox.width:
            figure.set_figheight(figure.get_figheight() + drawn.get_window_extent().height / figure.dpi)
            return None
        drawn.remove()
    return None


def save(figure: Figure, data: pl.DataFrame, stem: str) -> None:
    """Write STEM.pdf (TrueType fonts), STEM.png (200 dpi) and the values drawn, STEM.csv.

    The files are as wide as the figure, so that a paper shows the text at the style's size. The same figure gives the
    same bytes.
    """
    Path(stem).parent.mkdir(parents=True, exist_ok=True)
    # The layout and the box around all text are found once, not anew for every file.
    figure.align_ylabels()
    figure.draw_without_rendering()
    figure.set_layout_engine(None)
    drawn, width = figure.get_tightbbox(), figure.get_figwidth()
    box = Bbox.from_extents(min(0, drawn.x0), drawn.y0 - 0.03, max(width, drawn.x1), drawn.y1 + 0.03)
    # Of a PDF the resolution is that of clouds of many points alone.
    figure.savefig(f"{stem}.pdf", bbox_inches=box, dpi=400, metadata={"CreationDate": None})
    figure.savefig(f"{stem}.png", bbox_inches=box)
    data.write_csv(f"{stem}.csv")
