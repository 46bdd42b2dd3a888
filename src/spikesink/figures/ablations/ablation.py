"""What an ablation does to perplexity, sinks and spike: a panel each, a mark per seed, their mean per variant.

Means and intervals are those of the tables (``spikesink.tables.statistics.statistics``): of perplexities and spikes
geometric means.
"""

from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from spikesink.figures.drawing.canvas import legend, title
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.metrics import PANELS, SECONDS, metrics_legend, panels_of
from spikesink.figures.drawing.rows import draw_panels
from spikesink.figures.drawing.seeds import ablation_of, named_variants
from spikesink.figures.drawing.style import Style
from spikesink.figures.drawing.sweeps import changes_heads_only, draw_sweeps
from spikesink.tables.parts import read_runs
from spikesink.tables.statistics.statistics import statistics

CAPTION = (
    "Perplexity, sinks and spike of every variant: one mark per seed, their mean with its 95 % t interval over seeds, "
    "as in the table, and the baseline's mean as a dashed line. Of perplexities and spikes, means are geometric and "
    "intervals are on the logarithmic scale. Where at least half of the seeds are at 0 or 100 % the interval is no "
    "shorter than Gaffke's for bounded values: five seeds without a sink rule out little. An interval that would "
    "widen an axis by more than the values span (on a logarithmic axis by more than a factor of 3) is cut at its "
    "edge by an arrowhead. With one seed the mark is that run. Perplexity is exp(total negative log-likelihood / "
    "scored tokens) on held-out text in chunks of the run's own context (arXiv 2603.05498, App. A). The sink ratio is "
    "the percentage of heads in which a key of the first half receives more mean attention than the threshold (0.3 at "
    "T = 64; Eq. 27-28). It moves in jumps of one head, so a panel beside it has the mean attention on position 0 "
    "over heads, and as open diamonds the largest head's. The spike is the largest magnitude in the residual stream "
    "over all hidden states, which grows with the scale of the stream. So two panels say how far it stands out: over "
    "the median of the ordinary tokens in its hidden state (relative spike), and position 0 over all later positions "
    "(outlier ratio). Look for variants that move the relative spike without the sinks, or the sinks without it."
)
PARTS = ("runs",)
COLUMNS = {"ablation": TEXT, "variant": TEXT, "label": TEXT, "outcome": TEXT, "heads": WHOLE, "head_dim": WHOLE} | {
    "quantity": TEXT,
    "mark": TEXT,
    "seed": WHOLE,
    "status": TEXT,
    "seeds": WHOLE,
    "value": REAL,
    "low": REAL,
    "high": REAL,
}


def data(parts: Path, ablation: str) -> pl.DataFrame:
    """Per quantity and variant every run's value (mark "seed") and their mean with its 95 % interval (mark "mean").

    A run that did not finish has a status and no value. A panel's second quantity has a mean only.
    """
    runs = read_runs(parts, ablation).with_columns(
        perplexity_loss_window=pl.when(pl.col("loss_window_first").is_not_null()).then("perplexity_loss_window"),
    )
    facts = ("variant", "label", "heads", "head_dim")
    seeds = pl.concat(
        runs.select(
            *facts, "seed", "status", quantity=pl.lit(panel.quantity), mark=pl.lit("seed"), value=panel.quantity
        )
        for panel in PANELS
    )
    found = statistics(runs, [*(panel.quantity for panel in PANELS), *SECONDS])
    interval = (pl.when(~pl.col("quantity").is_in(SECONDS)).then(end).alias(end) for end in ("low", "high"))
    shape = runs.group_by("variant").agg(pl.col("label", "heads", "head_dim").drop_nulls().first())
    means = found.filter(pl.col("centre").is_not_null()).join(shape, on="variant", maintain_order="left")
    means = means.select(*facts, "seeds", "quantity", mark=pl.lit("mean"), value="centre").hstack(
        means.select(*interval)
    )
    named = named_variants(runs, ablation).drop("label")
    table = pl.concat([means, seeds], how="diagonal").join(named, on="variant", how="left", maintain_order="left")
    return table.select(*COLUMNS)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """Panels with a row per variant or, where only heads change, with the head dimension as their axis."""
    return draw_sweeps(data, style, width) if changes_heads_only(data) else draw_rows(data, style, width)


def draw_rows(data: pl.DataFrame, style: Style, width: str) -> Figure:
    """One row per variant, the baseline on top and as a reference line."""
    variants = data.filter(pl.col("mark") == "seed").unique("variant", maintain_order=True)
    panels = panels_of(data)
    figure, _ = draw_panels(panels, variants, data, style, width, room=0.4)
    title(figure, f"Ablation: {ablation_of(data)}")
    legend(figure, metrics_legend(panels, data))
    return figure
