"""Training curves: loss, its difference to the baseline, and gradient norm over tokens, one line per variant."""

import sys
from pathlib import Path

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures import style
from spikesink.figures.command import command
from spikesink.tables.collect import BASELINE, FINISHED
from spikesink.tables.parts import labels, read_part, read_runs, variants

WINDOWS = 40
"""A curve is smoothed by a centred mean over its length divided by this."""
SETTLED = 0.1
"""The difference to the baseline is scaled to what follows this share of the training: before, it is transient."""


def draw(parts: Path, ablation: str) -> Figure:
    """Smoothed means over seeds with a band of one standard deviation, the raw curves behind them."""
    runs, curves = read_runs(parts, ablation), read_part(parts, "curves")
    names, label = variants(runs), labels(runs)
    looks = style.looks(names)
    curves = with_smoothed(curves.with_columns(mega_tokens=pl.col("tokens") / 1e6))
    figure = style.new_figure(style.PAGE, 2.35 + 0.14 * -(-len(names) // 4))
    loss, difference, gradient = figure.subplots(1, 3)
    for axis, quantity in ((loss, "loss"), (gradient, "gradient_norm")):
        draw_raw(axis, curves, quantity, looks)
        draw_lines(axis, curves.filter(pl.col("status") == FINISHED), f"{quantity}_smooth", looks)
    draw_failed(loss, curves, looks)
    draw_difference(difference, curves, looks)
    if style.spans_a_decade(curves["gradient_norm"]):
        style.log_scale(gradient.yaxis)
    loss.set_ylabel("Training loss (nats)")
    difference.set_ylabel("Loss − baseline (nats)")
    gradient.set_ylabel("Gradient norm before clipping")
    for axis in (loss, difference, gradient):
        axis.set_xlabel("Tokens (millions)")
    figure.suptitle(f"Training: {ablation.replace('_', ' ')}")
    failed = (runs["status"] != FINISHED).any()
    figure.legend(handles=legend(names, label, looks, failed), loc="outside lower center", ncols=4)
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


def draw_lines(axis: Axes, curves: pl.DataFrame, quantity: str, looks: dict[str, style.Look]) -> None:
    """A line per variant through the means over seeds, and a band of one standard deviation with several seeds."""
    value = pl.col(quantity)
    for (variant,), runs in curves.group_by("variant", maintain_order=True):
        mean = (
            runs.group_by("mega_tokens", maintain_order=True)
            .agg(value.mean(), deviation=value.std())
            .sort("mega_tokens")
        )
        x, y = mean["mega_tokens"].to_numpy(), mean[quantity].to_numpy()
        look = looks[variant]
        axis.plot(x, y, color=look.colour, linestyle=style.line(look), zorder=3)
        if runs["seed"].n_unique() > 1:
            deviation = mean["deviation"].fill_null(0).to_numpy()
            axis.fill_between(x, y - deviation, y + deviation, color=look.colour, alpha=0.2, linewidth=0, zorder=2)


def draw_raw(axis: Axes, curves: pl.DataFrame, quantity: str, looks: dict[str, style.Look]) -> None:
    """Every run as it was logged, thin and light, where the smoothed curve is another one."""
    if curves[quantity].equals(curves[f"{quantity}_smooth"]):
        return
    for (variant, _), run in curves.group_by("variant", "seed", maintain_order=True):
        colour = style.lighter(looks[variant].colour, 0.7)
        axis.plot(run["mega_tokens"].to_list(), run[quantity].to_list(), color=colour, linewidth=0.4, zorder=1)


def draw_failed(axis: Axes, curves: pl.DataFrame, looks: dict[str, style.Look]) -> None:
    """Runs that did not finish: thin lines that end in a cross."""
    for (variant, _), run in curves.filter(pl.col("status") != FINISHED).group_by(
        "variant", "seed", maintain_order=True
    ):
        x, y = run["mega_tokens"].to_list(), run["loss_smooth"].to_list()
        axis.plot(x, y, color=looks[variant].colour, linewidth=0.7, marker="x", markevery=[len(x) - 1])


def draw_difference(axis: Axes, curves: pl.DataFrame, looks: dict[str, style.Look]) -> None:
    paired = against_baseline(curves)
    axis.axhline(0, **style.REFERENCE)
    others = paired.filter(pl.col("variant") != BASELINE)
    if others.is_empty():
        return
    draw_lines(axis, others, "difference", looks)
    settled = others.filter(pl.col("tokens") >= SETTLED * pl.col("tokens").max())["difference"]
    low, high = min(0, settled.min()), max(0, settled.max())
    margin = 0.08 * (high - low) or 0.01
    axis.set_ylim(low - margin, high + margin)


def legend(names: list[str], label: dict[str, str], looks: dict[str, style.Look], failed: bool) -> list[Line2D]:
    handles = []
    for name in names:
        text = style.wrapped(label[name], 28)
        handles.append(Line2D([], [], color=looks[name].colour, linestyle=style.line(looks[name]), label=text))
    if failed:
        handles.append(Line2D([], [], color=style.BASELINE_COLOUR, linewidth=0.7, marker="x", label="did not finish"))
    return handles


if __name__ == "__main__":
    sys.exit(command("training", __doc__, draw))
