"""Training curves: loss, gradient norm and the loss's difference to the baseline over tokens, one line per variant."""

import sys
from pathlib import Path

import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from spikesink.figures.command import command
from spikesink.figures.drawing import style
from spikesink.figures.drawing.ends import label_ends
from spikesink.figures.drawing.grid import strip
from spikesink.figures.drawing.seeds import meaning, over_seeds
from spikesink.runs.folder import FINISHED
from spikesink.study.names import BASELINE
from spikesink.tables.parts import labels, read_part, read_runs, variant_names

WINDOWS = 40
"""A curve is smoothed by a centred mean over its length divided by this."""
SETTLED = 0.1
"""The difference to the baseline is scaled to what follows this share of the training: before, it is transient."""


def data(parts: Path, ablation: str) -> pl.DataFrame:
    """By quantity and variant over tokens: every run as logged and smoothed, and the mean over seeds with its band."""
    runs, curves = read_runs(parts, ablation), with_smoothed(read_part(parts, "curves"))
    paired = against_baseline(curves)
    finished = curves.filter(pl.col("status") == FINISHED)
    found = []
    for quantity in ("loss", "gradient_norm", "difference"):
        table, smoothed = (paired, quantity) if quantity == "difference" else (finished, f"{quantity}_smooth")
        means = over_seeds(table, ("variant", "tokens"), smoothed).with_columns(mark=pl.lit("mean"))
        marks = [means]
        if quantity != "difference":
            for mark, column in (("run", quantity), ("run_smoothed", smoothed)):
                marks.append(curves.select("variant", "seed", "tokens", mark=pl.lit(mark), value=column))
        found += [one.with_columns(quantity=pl.lit(quantity)) for one in marks]
    order = (
        runs.select("variant").unique(maintain_order=True).with_columns(label=pl.col("variant").replace(labels(runs)))
    )
    status = runs.select("variant", "seed", "status")
    table = order.join(pl.concat(found, how="diagonal"), on="variant", maintain_order="left_right")
    return table.join(status, on=["variant", "seed"], how="left", maintain_order="left").select(
        "variant", "label", "quantity", "mark", "seed", "status", "tokens", "seeds", "value", "low", "high"
    )


def draw(parts: Path, ablation: str, width: str = "auto") -> Figure:
    """Smoothed means over seeds with a band, the curves as logged behind them; variants are named at their ends."""
    runs, shown = read_runs(parts, ablation), data(parts, ablation)
    names, label = variant_names(runs), labels(runs)
    looks = style.looks(names)
    shown = shown.with_columns(mega_tokens=pl.col("tokens") / 1e6)
    figure, (loss, gradient, difference) = strip(3, 1.9, 0.1, width)
    for axis, quantity in ((loss, "loss"), (gradient, "gradient_norm")):
        members = shown.filter(pl.col("quantity") == quantity)
        draw_raw(axis, members, looks)
        draw_means(axis, members.filter(pl.col("mark") == "mean"), looks)
        if style.spans_a_decade(members["value"].drop_nulls()) and axis is gradient:
            style.log_scale(axis.yaxis)
    draw_failed(loss, shown, looks)
    ends = draw_difference(difference, shown.filter(pl.col("quantity") == "difference"), looks)
    loss.set_ylabel("Training loss (nats)")
    gradient.set_ylabel("Gradient norm")
    difference.set_ylabel("Loss − baseline (nats)")
    for axis in (loss, gradient, difference):
        axis.set_xlabel("Tokens (millions)")
        axis.xaxis.set_major_locator(MaxNLocator(nbins=5))
    style.title(figure, f"Training: {ablation.replace('_', ' ')}")
    named = label_ends(difference, {label[name]: (y, looks[name].colour) for name, y in ends.items()})
    unnamed = [name for name in names if not named or name not in ends]
    failed = (runs["status"] != FINISHED).any()
    seeds = shown["seeds"].max() or 0
    style.legend(figure, legend(unnamed, label, looks, failed, seeds))
    return figure


def with_smoothed(curves: pl.DataFrame) -> pl.DataFrame:
    """Adds loss_smooth and gradient_norm_smooth, centred means over a fortieth of each run's rows."""

    def smooth(run: pl.DataFrame) -> pl.DataFrame:
        window = max(1, len(run) // WINDOWS)
        return run.sort("step").with_columns(
            pl.col(name).rolling_mean(window, min_samples=1, center=True).alias(f"{name}_smooth")
            for name in ("loss", "gradient_norm")
        )

    parts = [smooth(run) for run in curves.partition_by("variant", "seed", maintain_order=True)]
    return pl.concat(parts) if parts else smooth(curves)


def against_baseline(curves: pl.DataFrame) -> pl.DataFrame:
    """Rows of finished runs with ``difference``: smoothed loss minus the baseline's at the same seed and tokens.

    Variants of a seed see the same tokens in the same order, so the difference is paired and loses the data's noise.
    """
    done = curves.filter(pl.col("status") == FINISHED)
    baseline = done.filter(pl.col("variant") == BASELINE).select("seed", "tokens", baseline_loss="loss_smooth")
    return done.join(baseline, on=["seed", "tokens"], maintain_order="left").with_columns(
        difference=pl.col("loss_smooth") - pl.col("baseline_loss")
    )


def draw_means(axis: Axes, means: pl.DataFrame, looks: dict[str, style.Look]) -> None:
    """A line per variant through the means over seeds, and with several seeds a band, which widens no axis."""
    for (variant,), rows in means.group_by("variant", maintain_order=True):
        x, y = rows["mega_tokens"].to_list(), rows["value"].to_list()
        look = looks[variant]
        axis.plot(x, y, color=look.colour, linestyle=style.line(look), zorder=3)
    limits = axis.get_ylim()
    for (variant,), rows in means.drop_nulls("low").group_by("variant", maintain_order=True):
        band = (rows[name].to_list() for name in ("mega_tokens", "low", "high"))
        axis.fill_between(*band, color=looks[variant].colour, alpha=0.2, linewidth=0, zorder=2)
    axis.set_ylim(limits)


def draw_raw(axis: Axes, shown: pl.DataFrame, looks: dict[str, style.Look]) -> None:
    """Every run as it was logged, thin and light, where the smoothed curve is another one."""
    raw, smoothed = (shown.filter(pl.col("mark") == mark) for mark in ("run", "run_smoothed"))
    if raw["value"].equals(smoothed["value"]):
        return
    for (variant, _), run in raw.group_by("variant", "seed", maintain_order=True):
        colour = style.lighter(looks[variant].colour, 0.7)
        axis.plot(run["mega_tokens"].to_list(), run["value"].to_list(), color=colour, linewidth=0.4, zorder=1)


def draw_failed(axis: Axes, shown: pl.DataFrame, looks: dict[str, style.Look]) -> None:
    """Runs that did not finish: thin lines that end in a cross."""
    failed = shown.filter(
        (pl.col("quantity") == "loss") & (pl.col("mark") == "run_smoothed") & (pl.col("status") != FINISHED)
    )
    for (variant, _), run in failed.group_by("variant", "seed", maintain_order=True):
        x, y = run["mega_tokens"].to_list(), run["value"].to_list()
        axis.plot(x, y, color=looks[variant].colour, linewidth=0.7, marker="x", markevery=[len(x) - 1], zorder=4)


def draw_difference(axis: Axes, means: pl.DataFrame, looks: dict[str, style.Look]) -> dict[str, float]:
    """Lines against the baseline's at 0; returns where every variant's line ends."""
    axis.axhline(0, **style.REFERENCE)
    others = means.filter(pl.col("variant") != BASELINE)
    if others.is_empty():
        return {}
    draw_means(axis, others, looks)
    settled = others.filter(pl.col("tokens") >= SETTLED * pl.col("tokens").max())["value"]
    low, high = min(0, settled.min()), max(0, settled.max())
    margin = 0.08 * (high - low) or 0.01
    axis.set_ylim(low - margin, high + margin)
    ends = others.group_by("variant", maintain_order=True).agg(pl.col("value").last())
    return {BASELINE: 0.0, **dict(ends.iter_rows())}


def legend(
    names: list[str], label: dict[str, str], looks: dict[str, style.Look], failed: bool, seeds: int
) -> list[Artist]:
    handles = []
    for name in names:
        text = style.wrapped(label[name], 28)
        handles.append(Line2D([], [], color=looks[name].colour, linestyle=style.line(looks[name]), label=text))
    if failed:
        handles.append(Line2D([], [], color=style.BASELINE_COLOUR, linewidth=0.7, marker="x", label="did not finish"))
    if seeds > 1:
        handles.append(Patch(color=style.BASELINE_COLOUR, alpha=0.2, linewidth=0, label=f"band: {meaning(seeds)}"))
    return handles


if __name__ == "__main__":
    sys.exit(command("training", __doc__, draw, data))
