"""What an ablation does to perplexity, sink ratio and spike: one panel each, one row per variant, one mark per seed."""

import sys
from pathlib import Path
from typing import NamedTuple

import polars as pl
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures import style
from spikesink.figures.command import command
from spikesink.figures.sweeps import changes_heads_only, draw_sweeps
from spikesink.tables.average import over_seeds
from spikesink.tables.collect import BASELINE, FINISHED
from spikesink.tables.parts import read_runs


class Panel(NamedTuple):
    """A quantity of runs.parquet on an axis, and a lighter second quantity beside it."""

    quantity: str
    axis: str
    second: str | None = None
    second_name: str = ""
    percent: bool = False


PANELS = (
    Panel("perplexity", "Perplexity", "perplexity_loss_window", "perplexity in the loss window"),
    Panel(
        "sink_ratio_pct",
        "Sink ratio (% of heads)",
        "sink_mass_max_pct",
        "largest head's attention on position 0 (%)",
        True,
    ),
    Panel("spike", "Spike (magnitude)"),
)
PERCENT = (-4, 104)


def draw(parts: Path, ablation: str) -> Figure:
    """Panels with a row per variant or, where only heads change, with the head dimension as their axis."""
    runs = read_runs(parts, ablation).with_columns(
        sink_mass_max_pct=100 * pl.col("sink_mass_max"),
        perplexity_loss_window=pl.when(pl.col("loss_window_first").is_not_null()).then("perplexity_loss_window"),
    )
    # A second quantity that no run has, such as a loss window's perplexity, needs no mark and no legend.
    empty = {name for name in runs.columns if runs[name].null_count() == len(runs)}
    panels = [panel._replace(second=None) if panel.second in empty else panel for panel in PANELS]
    if changes_heads_only(runs):
        return draw_sweeps(runs, panels, ablation)
    return draw_rows(runs, panels, ablation)


def draw_rows(runs: pl.DataFrame, panels: list[Panel], ablation: str) -> Figure:
    """One row per variant, the baseline on top and as a reference line."""
    variants = over_seeds(runs)
    names = variants["variant"].to_list()
    several = variants["seeds"].max() > 1
    figure = style.new_figure(style.PAGE, 0.95 + 0.27 * len(names))
    axes = figure.subplots(1, len(panels), sharey=True)
    for panel, axis in zip(panels, axes, strict=True):
        draw_panel(axis, panel, runs.filter(pl.col("status") == FINISHED), names, several)
    axes[0].set_yticks(range(len(names)), [tick_label(row) for row in variants.iter_rows(named=True)])
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    figure.suptitle(f"Ablation: {ablation.replace('_', ' ')}")
    figure.legend(handles=legend(panels, several), loc="outside lower center", ncols=5)
    return figure


def draw_panel(axis: Axes, panel: Panel, runs: pl.DataFrame, names: list[str], several: bool) -> None:
    looks = style.looks(names)
    palette = {name: looks[name].colour for name in names}
    values = runs[panel.quantity].to_list() + (runs[panel.second].to_list() if panel.second else [])
    # Not left to seaborn, which would take a geometric mean on a logarithmic axis.
    means = runs.group_by("variant", maintain_order=True).agg(pl.col(panel.quantity).mean())
    reference = means.filter(pl.col("variant") == BASELINE)[panel.quantity]
    if len(reference):
        axis.axvline(reference[0], **style.REFERENCE)
    if panel.second:
        for row, name in enumerate(names):
            second = runs.filter(pl.col("variant") == name)[panel.second].to_list()
            colour = style.lighter(palette[name])
            axis.scatter(
                second, [row] * len(second), s=16, marker="D", facecolors="none", edgecolors=[colour], zorder=2
            )
    common = {
        "x": panel.quantity,
        "y": "variant",
        "order": names,
        "hue": "variant",
        "hue_order": names,
        "palette": palette,
        "orient": "y",
        "legend": False,
        "ax": axis,
    }
    if several:
        data = runs.select("variant", panel.quantity).to_dict(as_series=False)
        seaborn.stripplot(data, **common, jitter=False, size=3, alpha=0.6, zorder=3)
    mark = {"markers": "|", "markersize": 9} if several else {"markers": "o", "markersize": 4}
    seaborn.pointplot(means.to_dict(as_series=False), **common, **mark, errorbar=None, linestyle="none")
    if panel.percent:
        axis.set_xlim(*PERCENT)
    elif style.spans_a_decade(values):
        style.log_scale(axis.xaxis)
    axis.set_xlabel(panel.axis)
    axis.set_ylabel("")


def tick_label(row: dict) -> str:
    """A variant's label, with its status where not every seed finished."""
    label = style.wrapped(row["label"], 28)
    return label if row["status"] == FINISHED else f"{label}\n{row['status']}"


def legend(panels: list[Panel], several: bool) -> list[Line2D]:
    grey = style.BASELINE_COLOUR
    handles = [Line2D([], [], **style.REFERENCE, label="baseline")]
    if several:
        handles.append(Line2D([], [], color=grey, marker="o", markersize=3, linestyle="none", label="one seed"))
        handles.append(Line2D([], [], color=grey, marker="|", markersize=8, linestyle="none", label="mean"))
    for panel in panels:
        if panel.second:
            light = style.lighter(grey)
            style_of = {"marker": "D", "markersize": 4, "markerfacecolor": "none", "linestyle": "none"}
            handles.append(Line2D([], [], color=light, label=panel.second_name, **style_of))
    return handles


if __name__ == "__main__":
    sys.exit(command("ablation", __doc__, draw))
