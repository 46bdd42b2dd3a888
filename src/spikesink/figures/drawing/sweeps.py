"""Perplexity, sinks and spike over the head dimension, one line per way of changing it (2603.05498 Table 6).

Colours are the variants', as in the other figures of the ablation. Dashes and the shapes of marks tell sweeps apart. A
sweep holds the variants that keep one thing of the baseline: its width, its number of heads or its head dimension.
"""

from itertools import cycle
from typing import NamedTuple

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import legend, title
from spikesink.figures.drawing.grid import strip
from spikesink.figures.drawing.metrics import (
    INTERVAL,
    Panel,
    has_several_seeds,
    mark_cuts,
    marks_of,
    metrics_legend,
    panels_of,
    set_limits,
)
from spikesink.figures.drawing.seeds import ablation_of
from spikesink.figures.drawing.style import REFERENCE, Style, lighter
from spikesink.runs.folder import FINISHED
from spikesink.study.names import BASELINE

WIDTH, HEADS, HEAD_DIM, OTHER = "width", "heads", "head_dim", "other"
MARKERS = ("s", "^", "v", "P", "X", "<", ">", "p", "h", "*")
DASHES = ("solid", (0, (3, 1)))


class Sweep(NamedTuple):
    """Variants that keep the same thing of the baseline; its name is for the legend."""

    name: str
    variants: list[str]
    joined: bool
    """Whether a line joins the variants; the baseline is then one of them."""
    marker: str = ""
    dash: str | tuple = ""


def changes_heads_only(data: pl.DataFrame) -> bool:
    """Whether head dimensions differ and no two variants have the same heads and head dimension."""
    shapes = data.select("variant", "heads", "head_dim").unique()
    return shapes["head_dim"].n_unique() > 1 and not shapes.select("heads", "head_dim").is_duplicated().any()


def sweep_of(heads: int, head_dim: int, baseline: tuple[int, int]) -> str:
    """What a shape keeps of the baseline's (heads, head dimension): their product, the heads or the head dimension."""
    if heads * head_dim == baseline[0] * baseline[1]:
        return WIDTH
    if heads == baseline[0]:
        return HEADS
    return HEAD_DIM if head_dim == baseline[1] else OTHER


def sweeps(variants: pl.DataFrame) -> list[Sweep]:
    """The sweeps among variants with their heads and head_dim, one row each."""
    shape = variants.filter(pl.col("variant") == BASELINE).select("heads", "head_dim").row(0)
    members: dict[str, dict[int, list[tuple[str, int]]]] = {WIDTH: {}, HEADS: {}, HEAD_DIM: {}, OTHER: {}}
    for variant, heads, head_dim in variants.select("variant", "heads", "head_dim").iter_rows():
        if variant != BASELINE:
            members[sweep_of(heads, head_dim, shape)].setdefault(heads, []).append((variant, head_dim))
    found = []
    for kind, name in (
        (WIDTH, f"same width, heads × head dim. = {shape[0] * shape[1]}"),
        (HEADS, f"same heads, {shape[0]}"),
    ):
        if members[kind]:
            names = [variant for same in members[kind].values() for variant, _ in same]
            found.append(Sweep(name, [BASELINE, *names], joined=True))
    for kind in (HEAD_DIM, OTHER):
        for heads, same in sorted(members[kind].items()):
            head_dims = ", ".join(map(str, sorted({head_dim for _, head_dim in same})))
            name = f"{heads} head{'s' if heads > 1 else ''} × {head_dims}"
            found.append(Sweep(name, [variant for variant, _ in same], joined=False))
    looks = zip(found, cycle(MARKERS), cycle(DASHES), strict=False)
    return [sweep._replace(marker=marker, dash=dash) for sweep, marker, dash in looks]


def draw_sweeps(data: pl.DataFrame, style: Style, width: str) -> Figure:
    """Panels over the head dimension; variants that did not finish are named in the title."""
    variants = data.filter(pl.col("mark") == "seed").unique("variant", maintain_order=True)
    panels, found = panels_of(data), sweeps(variants)
    figure, axes = strip(len(panels), 1.75, 0.1, width)
    dims = sorted(set(variants["head_dim"]))
    for panel, axis in zip(panels, axes, strict=True):
        draw_panel(axis, panel, data, found, style)
        axis.set_xticks(dims, [str(dim) for dim in dims])
        axis.xaxis.minorticks_off()
        axis.set_xlabel("Head dimension")
        axis.set_ylabel(panel.label)
    failed = variants.filter(pl.col("outcome") != FINISHED)
    missing = "; ".join(f"{label} {outcome}" for label, outcome in failed.select("label", "outcome").iter_rows())
    title(figure, f"Ablation: {ablation_of(data)}" + (f" ({missing})" if missing else ""))
    handles = [
        Line2D([], [], color="0.55", marker=one.marker, linestyle=one.dash if one.joined else "none", label=one.name)
        for one in found
    ]
    legend(figure, [*metrics_legend(panels, data), *handles])
    return figure


def draw_panel(axis: Axes, panel: Panel, data: pl.DataFrame, found: list[Sweep], style: Style) -> None:
    """The lines of the sweeps, and a mark per variant with its seeds and its second quantity."""
    axis.set_xscale("log", base=2)
    seeds, means, second = marks_of(data, panel)
    several = has_several_seeds(data)

    def draw_one(variant: str, marker: str) -> None:
        one = [table.filter(pl.col("variant") == variant) for table in (means, second, seeds)]
        draw_variant(axis, *one, style[variant].colour, marker, several)

    reference = means.filter(pl.col("variant") == BASELINE)["value"]
    if len(reference):
        axis.axhline(reference[0], **REFERENCE)
    for sweep in found:
        if sweep.joined:
            ours = [table.filter(pl.col("variant").is_in(sweep.variants)) for table in (means, second)]
            draw_line(axis, ours[0], color="0.55", linestyle=sweep.dash, linewidth=1.0, zorder=2)
            draw_line(axis, ours[1], color="0.75", linestyle=sweep.dash, linewidth=0.7, zorder=1)
        for variant in sweep.variants if BASELINE not in sweep.variants else [*sweep.variants[1:], BASELINE]:
            draw_one(variant, "o" if variant == BASELINE else sweep.marker)
    if not any(BASELINE in sweep.variants for sweep in found):
        draw_one(BASELINE, "o")
    set_limits(axis.yaxis, panel, means, [*seeds["value"], *second["value"]])
    ends = means.drop_nulls("low").select("head_dim", "low", "high", "variant").iter_rows()
    mark_cuts(axis.yaxis, [(*interval, style[variant].colour) for *interval, variant in ends])


def draw_line(axis: Axes, means: pl.DataFrame, **look) -> None:
    """A line through the means of a sweep."""
    means = means.sort("head_dim")
    axis.plot(means["head_dim"].to_list(), means["value"].to_list(), **look)


def draw_variant(
    axis: Axes, means: pl.DataFrame, second: pl.DataFrame, seeds: pl.DataFrame, colour: str, marker: str, several: bool
) -> None:
    """The mean with its interval, small marks for its seeds, and an open mark for the second quantity."""
    common = {"marker": marker, "zorder": 4, "color": colour}
    axis.scatter(means["head_dim"].to_list(), means["value"].to_list(), s=16, **common)
    for at, low, high in means.drop_nulls("low").select("head_dim", "low", "high").iter_rows():
        axis.vlines(at, low, high, color=colour, **INTERVAL)
    if several:
        x, y = seeds["head_dim"].to_list(), seeds["value"].to_list()
        axis.scatter(x, y, s=5, color=colour, alpha=0.5, linewidths=0, zorder=2.5)
    edge = {"facecolors": "none", "edgecolors": [lighter(colour)], "marker": "D", "s": 14, "zorder": 1.5}
    axis.scatter(second["head_dim"].to_list(), second["value"].to_list(), **edge)
