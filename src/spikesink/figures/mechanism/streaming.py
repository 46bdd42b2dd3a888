"""Perplexity under streaming eviction: by position, and by size of the cache (StreamingLLM, 2309.17453)."""

import math
from itertools import cycle

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.bins import middle_of_bin
from spikesink.figures.drawing.canvas import legend, note, wrapped
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.grid import grid, is_left
from spikesink.figures.drawing.scales import log_scale, spans_a_decade, with_margin
from spikesink.figures.drawing.stacked import Models
from spikesink.figures.drawing.style import COLOURS, REFERENCE, SPIKE, Style
from spikesink.model.perplexity import perplexity

QUESTIONS = ("streaming",)
CAPTION = (
    "Perplexity of long text when a query attends to a limited number of keys, one run per model. Top: by position, "
    "with the smallest cache and without eviction (dashed; it leaves the panel where the model fails beyond its "
    "trained context); the vertical line marks the first eviction. Bottom: all positions after every cache's first "
    "eviction, by size of the cache. A plain window evicts position 0, which costs a model with an attention sink "
    "perplexity; keeping the first token or tokens as well may save it. After the window attention and streaming "
    "settings of StreamingLLM (Xiao et al., arXiv 2309.17453)."
)
FULL = "no eviction"
COLUMNS = {"model": TEXT, "panel": TEXT, "start": WHOLE, "cache": WHOLE, "position": REAL, "perplexity": REAL}
# The first is a window's, which evicts the sink's token. Lines may lie on each other: the one below is wider, or shows
# in the gaps of the one above.
WAYS = ({"linewidth": 2}, {}, *({"linestyle": (0, (dash, 3))} for dash in (3, 1, 5, 2)))
START_LOOKS = tuple(
    {"color": colour} | way for colour, way in zip((SPIKE, COLOURS[0], *COLOURS[2:]), WAYS, strict=True)
)


def data(models: Models) -> pl.DataFrame:
    """A perplexity per model, first tokens kept (``start``) and cache: by middle of a bin of positions, and by cache.

    Panel "position" has the smallest cache and, without a start, no eviction; panel "cache" the positions that no cache
    holds whole.
    """
    found = [pl.DataFrame(schema=COLUMNS)]
    for name, tables in models.items():
        if len(table := tables["streaming"]):
            for panel, shown in (("position", by_position(table)), ("cache", by_cache(table))):
                shown = shown.with_columns(model=pl.lit(name), panel=pl.lit(panel))
                found.append(shown.select(pl.col(column).cast(kind) for column, kind in COLUMNS.items()))
    return pl.concat(found)


def by_position(table: pl.DataFrame) -> pl.DataFrame:
    """Perplexity in bins of positions, with the smallest cache and without eviction."""
    cache = evicting(table)["cache"].min()
    whole = table.filter(pl.col("cache") > pl.col("position").max()).with_columns(start=pl.when(False).then("start"))
    rows = pl.concat([whole, table.filter(pl.col("cache") == cache)], how="vertical_relaxed")
    bins = rows.with_columns(position=middle_of_bin(pl.col("position"), pl.col("position").max() + 1))
    return perplexities(bins, "start", "cache", "position").sort("start", "position")


def by_cache(table: pl.DataFrame) -> pl.DataFrame:
    """Perplexity by cache, over the positions after every cache's first eviction."""
    small = evicting(table)
    late = small.filter(pl.col("position") >= small["cache"].max())
    return perplexities(late, "start", "cache").sort("start", "cache").with_columns(position=None)


def perplexities(table: pl.DataFrame, *by: str) -> pl.DataFrame:
    """The perplexity of every combination of ``by``, over its positions; null where it is too large for a number."""
    sums = table.group_by(*by).agg(pl.col("nll_nats", "tokens").sum())
    found = [perplexity(nll, tokens) for nll, tokens in sums.select("nll_nats", "tokens").iter_rows()]
    known = [value if value is not None and math.isfinite(value) else None for value in found]
    return sums.with_columns(perplexity=pl.Series(known, dtype=pl.Float64)).select(*by, "perplexity")


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """Two panels per model, on one scale for all models."""
    names = list(style)
    figure, axes = grid(names, rows=2, row_height=1.3, extra_height=0.4, width=width)
    starts = data["start"].drop_nulls().unique().sort().to_list()
    looks = dict(zip(starts, cycle(START_LOOKS), strict=False))
    for name in names:
        above, below = axes[name]
        ours = data.filter(pl.col("model") == name)
        above.set_title(wrapped(name, 24))
        if ours.is_empty():
            for axis in axes[name]:
                note(axis, "positional gate")
                axis.set(xticks=[], yticks=[])
            continue
        draw_positions(above, ours.filter(pl.col("panel") == "position"), looks)
        draw_caches(below, ours.filter(pl.col("panel") == "cache"), looks)
    for row, panel in enumerate(("position", "cache")):
        evicted = data.filter((pl.col("panel") == panel) & pl.col("start").is_not_null())["perplexity"].drop_nulls()
        scale_row([axes[name][row] for name in names if axes[name][row].lines], evicted)
    lines = [Line2D([], [], **REFERENCE, label=FULL)]
    for start, look in looks.items():
        label = "window" if start == 0 else f"first {start} + window"
        lines.append(Line2D([], [], **look, marker=".", label=label))
    legend(figure, lines)
    return figure


def evicting(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of caches that are smaller than the sequence."""
    return table.filter(pl.col("cache") <= pl.col("position").max())


def draw_positions(axis: Axes, shown: pl.DataFrame, looks: dict[int, dict]) -> None:
    """A line per number of first tokens kept, perplexity in bins of positions."""
    whole, evicted = shown.filter(pl.col("start").is_null()), shown.filter(pl.col("start").is_not_null())
    axis.plot(whole["position"].to_list(), whole["perplexity"].to_list(), **REFERENCE)
    for start, look in looks.items():
        line = evicted.filter(pl.col("start") == start)
        axis.plot(line["position"].to_list(), line["perplexity"].to_list(), **look)
    cache = evicted["cache"][0]
    axis.axvline(cache, color="0.7", linewidth=0.8)
    axis.set_xlabel(f"Position (cache: {cache} keys)")


def draw_caches(axis: Axes, shown: pl.DataFrame, looks: dict[int, dict]) -> None:
    """Perplexity of the positions that no cache holds whole, by size of the cache."""
    for start, look in looks.items():
        line = shown.filter(pl.col("start") == start)
        axis.plot(line["cache"].to_list(), line["perplexity"].to_list(), **look, marker=".")
    sizes = shown["cache"].unique().sort().to_list()
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.minorticks_off()
    axis.set_xlabel("Cache (keys)")


def scale_row(axes: list[Axes], evicted: pl.Series) -> None:
    """One scale for all panels of a row, logarithmic where perplexities span a decade; only the first has numbers.

    It shows the perplexities of all caches. Without eviction a model may fail beyond any scale.
    """
    log = spans_a_decade(evicted)
    for axis in axes:
        if len(evicted):
            axis.set_ylim(with_margin(evicted.min(), evicted.max(), log))
        first = is_left(axis) or axis is axes[0]
        axis.set_ylabel("Perplexity" if first else "")
        axis.tick_params(labelleft=first)
        if log:
            log_scale(axis.yaxis)
