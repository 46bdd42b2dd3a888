"""How an ablation's variants differ from the baseline, for a reader: differences and ratios over seeds."""

import polars as pl

from spikesink.quantities import QUANTITIES
from spikesink.quantities.quantity import Quantity
from spikesink.study.names import BASELINE
from spikesink.tables.render.layout import Column
from spikesink.tables.render.numbers import ABSENT, bracketed, probability, writer

SHOWN = ("perplexity", "sink_ratio", "sink_mass_mean", "spike_over_median", "spike_over_elsewhere", "spike")
RATIO = ",.3f"
"""How a ratio is written of what has fixed decimals, such as perplexity."""


def changes(variants: pl.DataFrame) -> list[Column]:
    """Change, correlation, effect size and corrected p value of the quantities SHOWN; the baseline has no row."""
    rows = variants.filter(pl.col("variant") != BASELINE).to_dicts()
    shown = [
        Column("", "variant", [row["label"] for row in rows]),
        Column("", "pairs", [str(row["pairs"]) for row in rows]),
    ]
    for name in SHOWN:
        quantity = QUANTITIES[name]
        form = RATIO if quantity.scale == "log" and "digits" not in quantity.format else quantity.format
        group, write = quantity.words + kind(quantity), writer(form)
        low, high = f"{name}_change_low", f"{name}_change_high"
        change = [bracketed(row[f"{name}_change"], row[low], row[high], write) for row in rows]
        effect = [short(row[f"{name}_effect_size"], 1) for row in rows]
        shown += [
            Column(group, "change", change),
            Column(group, "r", [short(row[f"{name}_correlation"], 2) for row in rows]),
            Column(group, "d", effect),
            Column(group, "p", [probability(row[f"{name}_p_holm"]) for row in rows]),
        ]
    return shown


def kind(quantity: Quantity) -> str:
    """What a change of the quantity is, for a heading: a ratio, percentage points, or in its own unit."""
    if quantity.scale == "log":
        return " (ratio)"
    return " (points)" if quantity.unit.startswith("%") else ""


def short(value: float | None, places: int) -> str:
    return ABSENT if value is None else f"{value:.{places}f}"


def change_notes(variants: pl.DataFrame) -> list[str]:
    """What the columns are, one sentence or two each."""
    others = (variants["variant"] != BASELINE).sum()
    return [
        "Change: difference of the means over seeds with its 95 % interval; of perplexities and spikes the ratio of "
        "geometric means, on the logarithmic scale. Runs of equal seed share initial weights and data order. They are "
        "compared in pairs where r, the correlation with the baseline over seeds, is clearly positive, else as "
        "independent (Welch).",
        "d: the change over the standard deviation, of the pairs' differences or else of single runs.",
        f"p: t test, two-sided, corrected by Holm over the {others} variants of this ablation; "
        "statistics.csv has every quantity, corrected over all variants of the study.",
    ]
