"""Perplexity, sink ratio and spike over the head dimension, one line per way of changing it (2603.05498 Table 6).

Colours are the variants', as in the other figures of the ablation; dashes and the shapes of marks tell sweeps apart.
"""

from itertools import cycle

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.ablations.quantities import INTERVAL, Panel, has_several, legend, marks_of, set_scale
from spikesink.figures.drawing import style
from spikesink.figures.drawing.grid import strip
from spikesink.runs.folder import FINISHED
from spikesink.study.names import BASELINE
from spikesink.tables.parts import variant_names
from spikesink.tables.statistics.average import means_over_seeds

WIDTH, HEADS, HEAD_DIM, OTHER = "width", "heads", "head_dim", "other"
MARKERS = ("s", "^", "v", "P", "X", "<", ">", "p", "h", "*")
DASHES = ("solid", (0, (3, 1)))


def changes_heads_only(runs: pl.DataFrame) -> bool:
    """Whether head dimensions differ and every variant differs from the baseline in heads or head dimension."""
    shapes = runs.select("variant", "heads", "head_dim").unique()
    baseline = shapes.filter(pl.col("variant") == BASELINE)
    others = shapes.filter(pl.col("variant") != BASELINE)
    same = others.join(baseline, on=["heads", "head_dim"], how="semi")
    return shapes["head_dim"].n_unique() > 1 and same.is_empty()


def sweep_of(heads: int, head_dim: int, baseline: tuple[int, int]) -> str:
    """What a shape keeps of the baseline's (heads, head dimension): their product, the heads or the head dimension."""
    if heads * head_dim == baseline[0] * baseline[1]:
        return WIDTH
    if heads == baseline[0]:
        return HEADS
    return HEAD_DIM if head_dim == baseline[1] else OTHER


def sweeps(runs: pl.DataFrame) -> dict[str, tuple[bool, list[str]]]:
    """By the name in the legend: whether a line joins a sweep's variants, and these, the baseline where it belongs."""
    shape = runs.filter(pl.col("variant") == BASELINE).select("heads", "head_dim").row(0)
    shapes = runs.unique("variant", maintain_order=True).filter(pl.col("variant") != BASELINE)
    members: dict[str, dict[int, list[tuple[str, int]]]] = {WIDTH: {}, HEADS: {}, HEAD_DIM: {}, OTHER: {}}
    for variant, heads, head_dim in shapes.select("variant", "heads", "head_dim").iter_rows():
        members[sweep_of(heads, head_dim, shape)].setdefault(heads, []).append((variant, head_dim))
    found = {}
    for kind, name in (
        (WIDTH, f"same width, heads × head dim. = {shape[0] * shape[1]}"),
        (HEADS, f"same heads, {shape[0]}"),
    ):
        if members[kind]:
            found[name] = (True, [BASELINE, *(variant for same in members[kind].values() for variant, _ in same)])
    for kind in (HEAD_DIM, OTHER):
        for heads, same in sorted(members[kind].items()):
            head_dims = ", ".join(map(str, sorted({head_dim for _, head_dim in same})))
            name = f"{heads} head{'s' if heads > 1 else ''} × {head_dims}"
            found[name] = (False, [variant for variant, _ in same])
    return found


def draw_sweeps(runs: pl.DataFrame, shown: pl.DataFrame, panels: list[Panel], ablation: str, width: str) -> Figure:
    """Panels over the head dimension; what does not finish is left out and named in the title."""
    figure, axes = strip(len(panels), 1.75, 0.1, width)
    groups, several = sweeps(runs), has_several(shown)
    looks = style.looks(variant_names(runs))
    marks = {name: (marker, dash) for name, marker, dash in zip(groups, cycle(MARKERS), cycle(DASHES), strict=False)}
    dims = sorted(set(runs["head_dim"]))
    for panel, axis in zip(panels, axes, strict=True):
        axis.set_xscale("log", base=2)
        seeds, means, second = marks_of(shown, panel)
        reference = means.filter(pl.col("variant") == BASELINE)["value"]
        if len(reference):
            axis.axhline(reference[0], **style.REFERENCE)
        for name, (joined, members) in groups.items():
            marker, dash = marks[name]
            ours = [table.filter(pl.col("variant").is_in(members)) for table in (means, second)]
            if joined:
                draw_line(axis, ours[0], color="0.55", linestyle=dash, linewidth=1.0, zorder=2)
                draw_line(axis, ours[1], color="0.75", linestyle=dash, linewidth=0.7, zorder=1)
            for variant in members if BASELINE not in members else [*members[1:], BASELINE]:
                shape = "o" if variant == BASELINE else marker
                one = [table.filter(pl.col("variant") == variant) for table in (means, second, seeds)]
                draw_variant(axis, *one, looks[variant].colour, shape, several)
        if not any(BASELINE in members for _, members in groups.values()):
            one = [table.filter(pl.col("variant") == BASELINE) for table in (means, second, seeds)]
            draw_variant(axis, *one, looks[BASELINE].colour, "o", several)
        set_scale(axis.yaxis, panel, means, [*seeds["value"], *second["value"]])
        axis.set_xticks(dims, [str(dim) for dim in dims])
        axis.xaxis.minorticks_off()
        axis.set_xlabel("Head dimension")
        axis.set_ylabel(panel.axis)
    failed = means_over_seeds(runs).filter(pl.col("status") != FINISHED)
    missing = "; ".join(f"{label} {status}" for label, status in failed.select("label", "status").iter_rows())
    style.title(figure, f"Ablation: {ablation.replace('_', ' ')}" + (f" ({missing})" if missing else ""))
    handles = [
        Line2D([], [], color="0.55", marker=marks[name][0], linestyle=marks[name][1] if joined else "none", label=name)
        for name, (joined, _) in groups.items()
    ]
    style.legend(figure, [*legend(panels, several), *handles])
    return figure


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
    edge = {"facecolors": "none", "edgecolors": [style.lighter(colour)], "marker": "D", "s": 14, "zorder": 1.5}
    axis.scatter(second["head_dim"].to_list(), second["value"].to_list(), **edge)
