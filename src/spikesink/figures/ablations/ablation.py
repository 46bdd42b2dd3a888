"""What an ablation does to perplexity, sink ratio and spike: one panel each, one row per variant, one mark per seed."""

import sys
from pathlib import Path

import polars as pl
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikesink.figures.ablations.quantities import (
    INTERVAL,
    PANELS,
    Panel,
    data,
    has_several,
    legend,
    marks_of,
    set_scale,
)
from spikesink.figures.ablations.sweeps import changes_heads_only, draw_sweeps
from spikesink.figures.command import command
from spikesink.figures.drawing import style
from spikesink.figures.drawing.grid import strip
from spikesink.runs.folder import FINISHED
from spikesink.study.names import BASELINE
from spikesink.tables.parts import read_runs, variant_names
from spikesink.tables.statistics.average import means_over_seeds


def draw(parts: Path, ablation: str, width: str = "auto") -> Figure:
    """Panels with a row per variant or, where only heads change, with the head dimension as their axis."""
    runs, shown = read_runs(parts, ablation), data(parts, ablation)
    # A second quantity that no run has, such as a loss window's perplexity, needs no mark and no legend.
    found = set(shown["quantity"])
    panels = [panel if panel.second in found else panel._replace(second=None) for panel in PANELS]
    return (draw_sweeps if changes_heads_only(runs) else draw_rows)(runs, shown, panels, ablation, width)


def draw_rows(runs: pl.DataFrame, shown: pl.DataFrame, panels: list[Panel], ablation: str, width: str) -> Figure:
    """One row per variant, the baseline on top and as a reference line."""
    names = variant_names(runs)
    several = has_several(shown)
    height = 0.27 if len(names) <= 8 else 0.2
    figure, axes = strip(len(panels), 0.4 + height * len(names), 0.1, width, sharey=True)
    for panel, axis in zip(panels, axes, strict=True):
        draw_panel(axis, panel, shown, names, several)
    ticks = {row["variant"]: tick_label(row) for row in means_over_seeds(runs).iter_rows(named=True)}
    axes[0].set_yticks(range(len(names)), [ticks[name] for name in names])
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    style.title(figure, f"Ablation: {ablation.replace('_', ' ')}")
    style.legend(figure, legend(panels, several))
    return figure


def draw_panel(axis: Axes, panel: Panel, shown: pl.DataFrame, names: list[str], several: bool) -> None:
    looks = style.looks(names)
    palette = {name: looks[name].colour for name in names}
    seeds, means, second = marks_of(shown, panel)
    reference = means.filter(pl.col("variant") == BASELINE)["value"]
    if len(reference):
        axis.axvline(reference[0], **style.REFERENCE)
    rows = {name: row for row, name in enumerate(names)}
    for variant, value in second.select("variant", "value").iter_rows():
        colour = style.lighter(palette[variant])
        axis.scatter(value, rows[variant], s=16, marker="D", facecolors="none", edgecolors=[colour], zorder=2)
    if several:
        marks = seeds.select("variant", "value").to_dict(as_series=False)
        common = {"order": names, "hue": "variant", "hue_order": names, "palette": palette, "legend": False}
        seaborn.stripplot(
            marks, x="value", y="variant", **common, ax=axis, orient="y", jitter=False, size=3, alpha=0.5, zorder=2.5
        )
    for variant, value, low, high in means.select("variant", "value", "low", "high").iter_rows():
        mark = {"marker": "|", "s": 80} if several else {"marker": "o", "s": 16}
        axis.scatter(value, rows[variant], color=palette[variant], **mark, zorder=4)
        if low is not None:
            axis.hlines(rows[variant], low, high, color=palette[variant], **INTERVAL)
    set_scale(axis.xaxis, panel, means, [*seeds["value"], *second["value"]])
    axis.set_xlabel(panel.axis)
    axis.set_ylabel("")


def tick_label(row: dict) -> str:
    """A variant's label, with its status where not every seed finished."""
    label = style.wrapped(row["label"], 28)
    return label if row["status"] == FINISHED else f"{label}\n{row['status']}"


if __name__ == "__main__":
    sys.exit(command("ablation", __doc__, draw, data))
