"""Perplexity, sink ratio and spike over the head dimension, one line per way of changing it (2603.05498 Table 6)."""

from itertools import cycle
from typing import TYPE_CHECKING

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures import style
from spikesink.tables.average import over_seeds
from spikesink.tables.collect import BASELINE, FINISHED

if TYPE_CHECKING:
    from spikesink.figures.ablation import Panel

WIDTH, HEADS, HEAD_DIM, OTHER = "width", "heads", "head_dim", "other"
BASELINE_LOOK = style.looks([BASELINE])[BASELINE]


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


def sweeps(runs: pl.DataFrame) -> dict[str, tuple[str, bool, pl.DataFrame]]:
    """Runs by sweep: name in the legend, whether a line joins them, and the runs, the baseline's where it belongs."""
    shape = runs.filter(pl.col("variant") == BASELINE).select("heads", "head_dim").row(0)
    kinds = [sweep_of(heads, head_dim, shape) for heads, head_dim in runs.select("heads", "head_dim").iter_rows()]
    runs = runs.with_columns(pl.Series("sweep", kinds))
    baseline = pl.col("variant") == BASELINE
    found = {}
    for kind, name in (
        (WIDTH, f"same width, heads × head dim. = {shape[0] * shape[1]}"),
        (HEADS, f"same heads, {shape[0]}"),
    ):
        members = runs.filter((pl.col("sweep") == kind) & ~baseline)
        if not members.is_empty():
            found[kind] = (name, True, pl.concat([runs.filter(baseline), members]))
    for kind in (HEAD_DIM, OTHER):
        members = runs.filter((pl.col("sweep") == kind) & ~baseline).sort("heads", maintain_order=True)
        for (heads,), same in members.group_by("heads", maintain_order=True):
            head_dims = ", ".join(str(head_dim) for head_dim in same["head_dim"].unique().sort())
            found[f"{kind} {heads}"] = (f"{heads} head{'s' if heads > 1 else ''} × {head_dims}", False, same)
    return found


def draw_sweeps(runs: pl.DataFrame, panels: list["Panel"], ablation: str) -> Figure:
    """Panels over the head dimension; what does not finish is left out and named in the title."""
    figure = style.new_figure(style.PAGE, 2.6)
    axes = figure.subplots(1, len(panels))
    finished = runs.filter(pl.col("status") == FINISHED)
    groups = sweeps(runs)
    marks = zip(groups, cycle(style.COLOURS), cycle(style.MARKERS), strict=False)
    looks = {name: style.Look(colour, (), marker) for name, colour, marker in marks}
    dims = sorted(set(runs["head_dim"]))
    for panel, axis in zip(panels, axes, strict=True):
        quantities = [quantity for quantity in (panel.second, panel.quantity) if quantity]
        axis.set_xscale("log", base=2)
        for name, (_, joined, members) in groups.items():
            members = members.filter(pl.col("status") == FINISHED)
            for quantity in quantities:
                draw_sweep(axis, members, quantity, looks[name], joined, second=quantity == panel.second)
        baseline = finished.filter(pl.col("variant") == BASELINE)
        if not baseline.is_empty():
            axis.axhline(baseline[panel.quantity].mean(), **style.REFERENCE)
            points(axis, baseline, panel.quantity, BASELINE_LOOK)
        if panel.percent:
            axis.set_ylim(-4, 104)
        elif style.spans_a_decade(value for quantity in quantities for value in finished[quantity]):
            style.log_scale(axis.yaxis)
        axis.set_xticks(dims, [str(dim) for dim in dims])
        axis.xaxis.minorticks_off()
        axis.set_xlabel("Head dimension")
        axis.set_ylabel(panel.axis)
    failed = over_seeds(runs).filter(pl.col("status") != FINISHED)
    missing = "; ".join(f"{label} {status}" for label, status in failed.select("label", "status").iter_rows())
    figure.suptitle(f"Ablation: {ablation.replace('_', ' ')}" + (f" ({missing})" if missing else ""))
    figure.legend(handles=legend(groups, looks, panels), loc="outside lower center", ncols=3)
    return figure


def draw_sweep(axis: Axes, runs: pl.DataFrame, quantity: str, look: style.Look, joined: bool, second: bool) -> None:
    """Marks per seed and a line through their means; of a second quantity only the means, lighter and open."""
    if runs.is_empty():
        return
    means = runs.group_by("head_dim", maintain_order=True).agg(pl.col(quantity).mean()).sort("head_dim")
    colour = style.lighter(look.colour) if second else look.colour
    line = ("-" if joined else "none") if not second else (0, (1, 1)) if joined else "none"
    axis.plot(
        means["head_dim"].to_list(),
        means[quantity].to_list(),
        color=colour,
        linestyle=line,
        linewidth=0.8 if second else 1.2,
        marker="D" if second else "none",
        markerfacecolor="none",
        zorder=2,
    )
    if not second:
        points(axis, runs.filter(pl.col("variant") != BASELINE), quantity, look)


def points(axis: Axes, runs: pl.DataFrame, quantity: str, look: style.Look) -> None:
    """One mark per run."""
    axis.scatter(
        runs["head_dim"].to_list(), runs[quantity].to_list(), s=11, marker=look.marker, color=look.colour, zorder=3
    )


def legend(groups: dict, looks: dict[str, style.Look], panels: list["Panel"]) -> list[Line2D]:
    handles = [Line2D([], [], **style.REFERENCE, marker="o", label="baseline")]
    for name, (label, joined, _) in groups.items():
        look = looks[name]
        line = "solid" if joined else "none"
        handles.append(Line2D([], [], color=look.colour, marker=look.marker, linestyle=line, label=label))
    for panel in panels:
        if panel.second:
            light = style.lighter(style.BASELINE_COLOUR)
            marks = {"marker": "D", "markerfacecolor": "none", "linestyle": "none"}
            handles.append(Line2D([], [], color=light, label=panel.second_name, **marks))
    return handles
