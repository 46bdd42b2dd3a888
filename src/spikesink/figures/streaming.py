"""Perplexity under streaming eviction: by position, and by size of the cache (StreamingLLM, 2309.17453)."""

import math

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures import style
from spikesink.figures.grid import grid, is_left

QUESTIONS = ("streaming",)
CAPTION = (
    "Perplexity of long text when a query attends to a limited number of keys. Top: by position, with the smallest "
    "cache and without eviction (dashed; it leaves the panel where the model fails beyond its trained context); the "
    "vertical line marks the first eviction. Bottom: all positions after every cache's first eviction, by size of the "
    "cache. A model with an attention sink loses by a plain window, which evicts position 0, what keeping the first "
    "tokens gives back. After the window attention and streaming settings of StreamingLLM (Xiao et al., arXiv "
    "2309.17453)."
)
BINS = 16
FULL = "no eviction"


def draw(models: dict[str, dict[str, pl.DataFrame]]) -> Figure:
    """Two panels per model, on one scale for all models."""
    names = list(models)
    figure, axes = grid(names, rows=2, row_height=1.3, extra_height=0.8)
    starts = sorted({start for tables in models.values() for start in kept(tables["streaming"])})
    colours = {start: style.COLOURS[(1, 0, 2, 3, 4, 5)[index % 6]] for index, start in enumerate(starts)}
    for name, tables in models.items():
        above, below = axes[name]
        above.set_title(style.wrapped(name, 24))
        if tables["streaming"].is_empty():
            for axis in axes[name]:
                axis.text(0.5, 0.5, "positional gate", transform=axis.transAxes, ha="center")
                axis.set(xticks=[], yticks=[])
            continue
        draw_positions(above, tables["streaming"], colours)
        draw_caches(below, tables["streaming"], colours)
    for row in (0, 1):
        label_row([axes[name][row] for name in names if axes[name][row].lines])
    handles = [Line2D([], [], **style.REFERENCE, label=FULL)]
    for start, colour in colours.items():
        label = "window" if start == 0 else f"first {start} + window"
        handles.append(Line2D([], [], color=colour, marker=".", label=label))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 2 if len(names) < 3 else 5))
    return figure


def kept(table: pl.DataFrame) -> list[int]:
    """Numbers of first tokens kept."""
    return [] if table.is_empty() else evicting(table)["start"].unique().to_list()


def evicting(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of caches that are smaller than the sequence."""
    return table.filter(pl.col("cache") <= pl.col("position").max())


def perplexity(rows: pl.DataFrame) -> float:
    return math.exp(rows["nll_nats"].sum() / rows["tokens"].sum())


def draw_positions(axis: Axes, table: pl.DataFrame, colours: dict[int, str]) -> None:
    """A line per number of first tokens kept, perplexity in bins of positions."""
    cache = evicting(table)["cache"].min()
    width = max(1, (table["position"].max() + 1) // BINS)
    whole = table.filter(pl.col("cache") > pl.col("position").max())
    lines = [(whole, style.REFERENCE)]
    for start, colour in colours.items():
        lines.append((table.filter((pl.col("cache") == cache) & (pl.col("start") == start)), {"color": colour}))
    for rows, look in lines:
        bins = rows.with_columns(bin=pl.col("position") // width).group_by("bin", maintain_order=True)
        means = bins.agg(pl.col("nll_nats").sum() / pl.col("tokens").sum()).sort("bin")
        axis.plot([(one + 0.5) * width for one in means["bin"]], [math.exp(nll) for nll in means["nll_nats"]], **look)
    axis.axvline(cache, color="0.7", linewidth=0.8)
    axis.set_xlabel(f"Position (cache: {cache} keys)")
    evicted = [value for line in axis.lines[1 : 1 + len(colours)] for value in line.get_ydata()]
    low, high = min(evicted), max(evicted)
    axis.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))


def draw_caches(axis: Axes, table: pl.DataFrame, colours: dict[int, str]) -> None:
    """Perplexity of the positions that no cache holds whole, by size of the cache."""
    late = table.filter(pl.col("position") >= evicting(table)["cache"].max())
    sizes = sorted(evicting(table)["cache"].unique())
    for start, colour in colours.items():
        rows = [late.filter((pl.col("cache") == size) & (pl.col("start") == start)) for size in sizes]
        known = [(size, perplexity(one)) for size, one in zip(sizes, rows, strict=True) if len(one)]
        axis.plot(*zip(*known, strict=True), color=colour, marker=".")
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.minorticks_off()
    axis.set_xlabel("Cache (keys)")


def label_row(axes: list[Axes]) -> None:
    """One scale for all panels of a row, logarithmic where it spans more than a decade; the first one says it."""
    limits = [limit for axis in axes for limit in axis.get_ylim()]
    for axis in axes:
        axis.set_ylim(min(limits), max(limits))
        first = is_left(axis) or axis is axes[0]
        axis.set_ylabel("Perplexity" if first else "")
        axis.tick_params(labelleft=first)
        if style.spans_a_decade(limits):
            style.log_scale(axis.yaxis)
