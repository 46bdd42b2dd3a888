"""The quantities of an ablation that its figures compare: their panels, their values over seeds, and their scales.

Means and intervals are those of the tables (``spikesink.tables.statistics.statistics``): of spikes geometric means.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import polars as pl
from matplotlib.axis import XAxis, YAxis
from matplotlib.lines import Line2D

from spikesink.figures.drawing import style
from spikesink.runs.folder import FINISHED
from spikesink.tables.parts import read_runs
from spikesink.tables.statistics.statistics import statistics


class Panel(NamedTuple):
    """A quantity of runs.parquet on an axis, and the mean of a second quantity beside it."""

    quantity: str
    axis: str
    second: str | None = None
    second_name: str = ""
    percent: bool = False


PANELS = (
    Panel("perplexity", "Perplexity", "perplexity_loss_window", "perplexity in the loss window"),
    Panel(
        "sink_ratio",
        "Sink ratio (% of heads)",
        "sink_mass_max_pct",
        "largest head's attention on position 0 (%)",
        True,
    ),
    Panel("spike", "Spike (magnitude)"),
)
PERCENT = (-4, 104)
INTERVAL = {"linewidth": 1.0, "zorder": 3}


def data(parts: Path, ablation: str) -> pl.DataFrame:
    """Per panel and variant every run's value (mark "seed") and their mean with its 95 % interval (mark "mean").

    A run that did not finish has a status and no value; of a second quantity only the mean is drawn.
    """
    runs = read_runs(parts, ablation).with_columns(
        sink_mass_max_pct=100 * pl.col("sink_mass_max"),
        perplexity_loss_window=pl.when(pl.col("loss_window_first").is_not_null()).then("perplexity_loss_window"),
    )
    seconds = [panel.second for panel in PANELS if panel.second]
    facts = ("variant", "label", "heads", "head_dim")
    seeds = pl.concat(
        runs.select(
            *facts, "seed", "status", quantity=pl.lit(panel.quantity), mark=pl.lit("seed"), value=panel.quantity
        )
        for panel in PANELS
    )
    found = statistics(runs, [*(panel.quantity for panel in PANELS), *seconds])
    interval = (pl.when(~pl.col("quantity").is_in(seconds)).then(end).alias(end) for end in ("low", "high"))
    shape = runs.group_by("variant").agg(pl.col("label", "heads", "head_dim").drop_nulls().first())
    means = found.filter(pl.col("centre").is_not_null()).join(shape, on="variant", maintain_order="left")
    means = means.select(*facts, "seeds", "quantity", mark=pl.lit("mean"), value="centre").hstack(
        means.select(*interval)
    )
    return pl.concat([means, seeds], how="diagonal").select(
        *facts, "quantity", "mark", "seed", "status", "seeds", "value", "low", "high"
    )


def marks_of(shown: pl.DataFrame, panel: Panel) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """A panel's finished runs, their means, and the means of its second quantity."""
    own, mean = pl.col("quantity") == panel.quantity, pl.col("mark") == "mean"
    return (
        shown.filter(own & ~mean & (pl.col("status") == FINISHED)),
        shown.filter(own & mean),
        shown.filter(mean & (pl.col("quantity") == (panel.second or ""))),
    )


def set_scale(axis: XAxis | YAxis, panel: Panel, means: pl.DataFrame, values: Iterable[float | None]) -> None:
    """Limits that show all values, and their intervals as far as these widen the axis by no more than they span.

    On a logarithmic axis, which values apart by a factor of ten get, by no more than a factor of 3 on either side:
    an interval over two seeds may span many decades.
    """
    limits = axis.axes.set_xlim if axis.axis_name == "x" else axis.axes.set_ylim
    if panel.percent:
        limits(*PERCENT)
        return
    values = [*means["value"], *(value for value in values if value is not None)]
    if not values:
        return
    low, high = min(values), max(values)
    log = style.spans_a_decade(values)
    span = high - low or 0.1 * abs(high) or 1.0
    floor, ceiling = (low / 3, high * 3) if log else (low - span, high + span)
    low = min([low, *(max(end, floor) for end in means["low"].drop_nulls())])
    high = max([high, *(min(end, ceiling) for end in means["high"].drop_nulls())])
    if log:
        limits(low / 1.2, high * 1.2)
        style.log_scale(axis)
    else:
        edge = 0.06 * (high - low) or 0.06 * span
        limits(low - edge, high + edge)


def has_several(shown: pl.DataFrame) -> bool:
    """Whether any variant has several finished seeds."""
    return (shown["seeds"].max() or 0) > 1


def legend(panels: list[Panel], several: bool) -> list[Line2D]:
    """What the marks mean, whatever their colour."""
    grey = style.BASELINE_COLOUR
    handles = [Line2D([], [], **style.REFERENCE, label="baseline")]
    if several:
        handles.append(Line2D([], [], color=grey, marker="o", markersize=3, linestyle="none", label="one seed"))
        handles.append(Line2D([], [], color=grey, marker="|", markersize=8, linewidth=1, label="mean, 95 % interval"))
    for panel in panels:
        if panel.second:
            light = style.lighter(grey)
            style_of = {"marker": "D", "markersize": 4, "markerfacecolor": "none", "linestyle": "none"}
            handles.append(Line2D([], [], color=light, label=panel.second_name, **style_of))
    return handles
