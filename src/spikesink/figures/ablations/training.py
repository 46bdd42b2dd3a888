"""Training curves: loss, gradient norm and the loss's difference to the baseline over tokens, one line per variant."""

import math
from pathlib import Path

import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from spikesink.figures.drawing.canvas import legend, title, wrapped
from spikesink.figures.drawing.ends import label_ends
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.grid import strip
from spikesink.figures.drawing.scales import log_scale, round_ticks
from spikesink.figures.drawing.seeds import ablation_of, meaning_of_band, named_variants, with_band
from spikesink.figures.drawing.style import BASELINE_COLOUR, REFERENCE, Style, lighter, line
from spikesink.runs.folder import FINISHED
from spikesink.study.names import BASELINE
from spikesink.tables.parts import read_part, read_runs

CAPTION = (
    "Training loss, gradient norm before clipping, and the loss's difference to the baseline over tokens. Lines are "
    "means over seeds, of gradient norms geometric, smoothed by a centred mean over a fortieth of the curve. The band "
    "is their 95 % t interval, of gradient norms on the logarithmic scale; with two seeds it is their range. The "
    "curves as logged lie behind. The difference is taken at equal seed and tokens, and its interval is that of the "
    "paired differences. Its scale is that of the training without the first tenth; how far lines leave it is said "
    "above the panel. Variants of a seed with the baseline's context and text see the same tokens in the same order. "
    "The others do not, and with another context or loss window the difference is also one between different "
    "positions. With a loss window the loss covers that window alone. Look for variants that learn more slowly or "
    "spike in gradient norm. A cross ends a run that did not finish."
)
PARTS = ("runs", "curves")
COLUMNS = {"ablation": TEXT, "variant": TEXT, "label": TEXT, "outcome": TEXT, "quantity": TEXT, "mark": TEXT} | {
    "seed": WHOLE,
    "status": TEXT,
    "tokens": WHOLE,
    "seeds": WHOLE,
    "value": REAL,
    "low": REAL,
    "high": REAL,
}
BOUNDS = {"loss": (0.0, math.inf)}
"""What a quantity's interval cannot leave."""
WINDOWS = 40
"""A curve is smoothed by a centred mean over its length divided by this."""
NOTE = 0.17
"""Height in inches of the line above a panel."""
SETTLED = 0.1
"""The scale of the difference to the baseline ignores this first share of the training, which is transient."""


def data(parts: Path, ablation: str) -> pl.DataFrame:
    """By variant and quantity over tokens: every run as logged and smoothed, and the mean over seeds with its band.

    A variant without a curve has one row without a value.
    """
    runs, curves = read_runs(parts, ablation), with_smoothed(read_part(parts, "curves"))
    paired = against_baseline(curves)
    finished = curves.filter(pl.col("status") == FINISHED)
    found = []
    for quantity in ("loss", "gradient_norm", "difference"):
        table, smoothed = (paired, quantity) if quantity == "difference" else (finished, f"{quantity}_smooth")
        band = with_band(table, ("variant", "tokens"), smoothed, quantity == "gradient_norm", BOUNDS.get(quantity))
        marks = [band.with_columns(mark=pl.lit("mean"))]
        if quantity != "difference":
            for mark, column in (("run", quantity), ("run_smoothed", smoothed)):
                marks.append(curves.select("variant", "seed", "tokens", mark=pl.lit(mark), value=column))
        found += [one.with_columns(quantity=pl.lit(quantity)) for one in marks]
    curved = pl.concat(found, how="diagonal")
    table = named_variants(runs, ablation).join(curved, on="variant", how="left", maintain_order="left_right")
    status = runs.select("variant", "seed", "status")
    return table.join(status, on=["variant", "seed"], how="left", maintain_order="left").select(*COLUMNS)


def with_smoothed(curves: pl.DataFrame) -> pl.DataFrame:
    """The curves with loss_smooth and gradient_norm_smooth, centred means over a fortieth of each run's rows.

    Values that are not finite are in no mean.
    """

    def smooth(run: pl.DataFrame) -> pl.DataFrame:
        window = max(1, len(run) // WINDOWS)
        return run.sort("step").with_columns(
            pl.when(pl.col(name).is_finite())
            .then(name)
            .rolling_mean(window, min_samples=1, center=True)
            .alias(f"{name}_smooth")
            for name in ("loss", "gradient_norm")
        )

    parts = [smooth(run) for run in curves.partition_by("variant", "seed", maintain_order=True)]
    return pl.concat(parts) if parts else smooth(curves)


def against_baseline(curves: pl.DataFrame) -> pl.DataFrame:
    """Rows of finished runs with ``difference``: smoothed loss minus the baseline's at the same seed and tokens.

    Variants of a seed with the baseline's context and text see the same tokens in the same order: their difference is
    free of the data's noise. Over another context or loss window it is also one between different positions.
    """
    done = curves.filter(pl.col("status") == FINISHED)
    baseline = done.filter(pl.col("variant") == BASELINE).select("seed", "tokens", baseline_loss="loss_smooth")
    return done.join(baseline, on=["seed", "tokens"], maintain_order="left").with_columns(
        difference=pl.col("loss_smooth") - pl.col("baseline_loss")
    )


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """Smoothed means over seeds with a band, the curves as logged behind them; variants are named at their ends."""
    labels = dict(data.select("variant", "label").unique(maintain_order=True).iter_rows())
    shown = data.drop_nulls("mark").with_columns(mega_tokens=pl.col("tokens") / 1e6)
    figure, (loss, gradient, difference) = strip(3, 1.9, 0.1, width)
    for axis, quantity in ((loss, "loss"), (gradient, "gradient_norm")):
        members = shown.filter(pl.col("quantity") == quantity)
        if axis is gradient:
            log_scale(axis.yaxis)
        draw_raw(axis, members, style)
        draw_means(axis, members.filter(pl.col("mark") == "mean"), style)
    draw_failed(loss, shown, style)
    ends = draw_difference(difference, shown.filter(pl.col("quantity") == "difference"), style)
    loss.set_ylabel("Training loss (nats)")
    gradient.set_ylabel("Gradient norm")
    difference.set_ylabel("Loss − baseline (nats)")
    for axis in (loss, gradient, difference):
        axis.set_xlabel("Tokens (millions)")
        round_ticks(axis.xaxis, 5)
    title(figure, f"Training: {ablation_of(data)}")
    named = label_ends(difference, {labels[name]: (y, style[name].colour) for name, y in ends.items()})
    unnamed = {name: label for name, label in labels.items() if not named or name not in ends}
    failed = (data["outcome"] != FINISHED).any()
    legend(figure, handles(unnamed, style, failed, data["seeds"].max() or 0))
    return figure


def draw_means(axis: Axes, means: pl.DataFrame, style: Style) -> None:
    """A line per variant through the means over seeds, and with several seeds a band, which widens no axis."""
    for (variant,), rows in means.group_by("variant", maintain_order=True):
        x, y = rows["mega_tokens"].to_list(), rows["value"].to_list()
        axis.plot(x, y, color=style[variant].colour, linestyle=line(style[variant]), zorder=3)
    limits = axis.get_ylim()
    for (variant,), rows in means.drop_nulls("low").group_by("variant", maintain_order=True):
        band = (rows[name].to_list() for name in ("mega_tokens", "low", "high"))
        axis.fill_between(*band, color=style[variant].colour, alpha=0.2, linewidth=0, zorder=2)
    axis.set_ylim(limits)


def draw_raw(axis: Axes, shown: pl.DataFrame, style: Style) -> None:
    """Every run as it was logged, thin and light, unless the smoothed curve is the same."""
    raw, smoothed = (shown.filter(pl.col("mark") == mark) for mark in ("run", "run_smoothed"))
    if raw["value"].equals(smoothed["value"]):
        return
    for (variant, _), run in raw.group_by("variant", "seed", maintain_order=True):
        colour = lighter(style[variant].colour, 0.7)
        axis.plot(run["mega_tokens"].to_list(), run["value"].to_list(), color=colour, linewidth=0.4, zorder=1)


def draw_failed(axis: Axes, shown: pl.DataFrame, style: Style) -> None:
    """Runs that did not finish: thin lines that end in a cross."""
    failed = shown.filter(
        (pl.col("quantity") == "loss") & (pl.col("mark") == "run_smoothed") & (pl.col("status") != FINISHED)
    ).drop_nulls("value")
    for (variant, _), run in failed.group_by("variant", "seed", maintain_order=True):
        x, y = run["mega_tokens"].to_list(), run["value"].to_list()
        axis.plot(x, y, color=style[variant].colour, linewidth=0.7, marker="x", markevery=[len(x) - 1], zorder=4)


def draw_difference(axis: Axes, means: pl.DataFrame, style: Style) -> dict[str, float]:
    """Lines against the baseline's at 0. Returns where every variant's line ends.

    A note above says how far lines reach that leave the scale: showing them would flatten the rest of the training.
    """
    axis.axhline(0, **REFERENCE)
    others = means.filter(pl.col("variant") != BASELINE)
    if others.is_empty():
        return {}
    draw_means(axis, others, style)
    settled = others.filter(pl.col("tokens") >= SETTLED * pl.col("tokens").max())["value"]
    low, high = min(0, settled.min()), max(0, settled.max())
    margin = 0.08 * (high - low) or 0.01
    axis.set_ylim(low - margin, high + margin)
    reached = (others["value"].min(), others["value"].max())
    cut = [value for value in reached if not low - margin <= value <= high + margin]
    if cut:
        far = " and ".join(f"{value:.2g}".replace("-", "−") for value in cut)
        axis.set_title(f"off the scale early: to {far}", fontsize=6.5)
        axis.figure.set_figheight(axis.figure.get_figheight() + NOTE)
    ends = others.group_by("variant", maintain_order=True).agg(pl.col("value").last())
    return {BASELINE: 0.0, **dict(ends.iter_rows())}


def handles(labels: dict[str, str], style: Style, failed: bool, seeds: int) -> list[Artist]:
    """The legend: the named variants, and what crosses and bands mean where there are any."""
    found: list[Artist] = []
    for name, label in labels.items():
        look = style[name]
        found.append(Line2D([], [], color=look.colour, linestyle=line(look), label=wrapped(label, 28)))
    if failed:
        found.append(Line2D([], [], color=BASELINE_COLOUR, linewidth=0.7, marker="x", label="did not finish"))
    if seeds > 1:
        found.append(Patch(color=BASELINE_COLOUR, alpha=0.2, linewidth=0, label=f"band: {meaning_of_band(seeds)}"))
    return found
