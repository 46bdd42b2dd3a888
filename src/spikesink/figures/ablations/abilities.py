"""What the variants of an ablation can still do: a panel per ability, a mark per seed, their mean per variant."""

from pathlib import Path

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikesink.figures.drawing.canvas import legend, note_alone, title
from spikesink.figures.drawing.files import REAL, TEXT, WHOLE
from spikesink.figures.drawing.metrics import Panel, metrics_legend
from spikesink.figures.drawing.rows import draw_panels
from spikesink.figures.drawing.seeds import ablation_of, named_variants
from spikesink.figures.drawing.style import Style
from spikesink.tables.parts import read_runs
from spikesink.tables.statistics.statistics import statistics

CAPTION = (
    "What every variant can still do: one mark per seed, their mean with its 95 % t interval over seeds, and the "
    "baseline's mean as a dashed line. Of perplexities, means are geometric and intervals are on the logarithmic "
    "scale. Where at least half of the seeds are at 0 or 100 % the interval is no shorter than Gaffke's for bounded "
    "values. A panel of percentages shows a part of the range where all values lie close together; an arrowhead cuts "
    "an interval that is longer. Loss early − late: how much lower the loss is in the last quarter of the context than "
    "in the first. Induction: how many of random "
    "tokens that come a second time are predicted (after Olsson et al., arXiv 2209.11895). Retrieval: how often a "
    "value planted in held-out text is likelier after its key than the values of three other keys (after the "
    "multi-key needles of Chen et al., arXiv 2603.17771); the dotted line is chance. Perplexity: of held-out text "
    "from twice to four times the trained context. With Bigram-Backcopy also the loss after triggers, the excess "
    "risk over the oracle, and the largest difference of a head's attention on the BOS between other tokens and "
    "triggers (Guo et al., arXiv 2410.13835)."
)
PARTS = ("runs",)
COLUMNS = {"ablation": TEXT, "variant": TEXT, "label": TEXT, "outcome": TEXT, "quantity": TEXT, "mark": TEXT} | {
    "seed": WHOLE,
    "status": TEXT,
    "seeds": WHOLE,
    "value": REAL,
    "low": REAL,
    "high": REAL,
}
SHOWN = (
    "context_gain",
    "induction_accuracy",
    "retrieval_choice",
    "perplexity_4x",
    "backcopy_loss_trigger",
    "backcopy_excess_risk",
    "backcopy_dormancy",
)
"""The panels in their order; one that no run has a value of is left out."""
CHANCE = {"retrieval_choice": 25.0}
CHANCE_LINE = {"color": "0.5", "linewidth": 0.8, "linestyle": (0, (1, 1.5)), "zorder": 1}


def data(parts: Path, ablation: str) -> pl.DataFrame:
    """Per quantity and variant every run's value (mark "seed") and their mean with its 95 % interval (mark "mean").

    A variant of which nothing was measured has one row without a quantity.
    """
    runs = read_runs(parts, ablation)
    measured = [name for name in SHOWN if runs[name].is_finite().any()]
    found = [pl.DataFrame(schema={name: COLUMNS[name] for name in COLUMNS if name not in ("ablation", "outcome")})]
    for name in measured:
        one = runs.filter(pl.col(name).is_not_null())
        found.append(
            one.select("variant", "seed", "status", quantity=pl.lit(name), mark=pl.lit("seed"), value=pl.col(name))
        )
    means = statistics(runs, measured).filter(pl.col("centre").is_not_null())
    found.append(means.select("variant", "quantity", "seeds", "low", "high", mark=pl.lit("mean"), value="centre"))
    values = pl.concat(found, how="diagonal_relaxed").drop("label")
    named = named_variants(runs, ablation)
    return named.join(values, on="variant", how="left", maintain_order="left_right").select(*COLUMNS)


def draw(data: pl.DataFrame, style: Style, width: str = "auto") -> Figure:
    """A row per variant, the baseline on top and as a reference line."""
    present = set(data["quantity"])
    panels = [Panel(name) for name in SHOWN if name in present]
    if not panels:
        return note_alone(f"What the variants of {ablation_of(data)} can do was not measured", width)
    variants = data.unique("variant", maintain_order=True)
    figure, axes = draw_panels(panels, variants, data, style, width, room=0.45)
    for panel, axis in zip(panels, axes, strict=True):
        if panel.quantity in CHANCE:
            axis.axvline(CHANCE[panel.quantity], **CHANCE_LINE)
            low, high = axis.get_xlim()
            axis.set_xlim(min(low, CHANCE[panel.quantity] - 1), max(high, CHANCE[panel.quantity] + 1))
    title(figure, f"Abilities: {ablation_of(data)}")
    handles = metrics_legend(panels, data)
    if present & CHANCE.keys():
        handles.append(Line2D([], [], **CHANCE_LINE, label="chance"))
    legend(figure, handles)
    return figure
