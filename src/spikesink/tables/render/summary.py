"""A study in a few columns of plain text: perplexity, sinks and spike of every variant, means as in the tables."""

from pathlib import Path

import polars as pl

from spikesink.quantities import QUANTITIES
from spikesink.runs.folder import FINISHED
from spikesink.study.aligned import aligned
from spikesink.tables.contracts import IDENTITY, RUNS
from spikesink.tables.inputs import read_table
from spikesink.tables.render.numbers import writer, written
from spikesink.tables.statistics.average import means_over_seeds
from spikesink.tables.statistics.statistics import statistics

NAMES = ("perplexity", "sink_ratio", "sink_mass_mean", "sink_mass_max", "spike_over_median", "spike")
SHOWN = [QUANTITIES[name] for name in NAMES]
HEADER = ("ablation", "variant", *(quantity.heading for quantity in SHOWN))


OF_MODELS = {
    "spike": "spike",
    "spike_position": "position",
    "step_up_blocks": "step up",
    "step_down_blocks": "step down",
    "vocabulary_spike_pct": "vocabulary %",
    "sink_ratio": "sink ratio %",
    "sink_mass_mean": "mean sink",
}
"""Columns of mechanism.csv and their short headings."""


def summary_of_models(path: Path) -> str:
    """The published models of a mechanism.csv in a few columns of plain text. Raises InputError."""
    models = read_table(
        path,
        {"model": pl.String(), **dict.fromkeys(OF_MODELS, pl.String())},
        "tabulate the models again",
        required=["model"],
    )
    lines = [("model", *OF_MODELS.values())]
    for row in models.iter_rows(named=True):
        lines.append((row["model"], *(in_short(row[name], name) for name in OF_MODELS)))
    return "\n".join(aligned(lines, names=1))


def in_short(value: str | None, name: str) -> str:
    """A cell of mechanism.csv, rounded where it is a number."""
    form = QUANTITIES[name].format
    if value is None or form == "list":
        return written(value, str)
    return written(int(value) if form == "d" else float(value), writer(form))


def summary(path: Path) -> str:
    """The table of a runs.csv as aligned plain text. Raises InputError."""
    runs = read_table(path, RUNS, "tabulate the runs again", required=IDENTITY)
    variants, found = means_over_seeds(runs), statistics(runs, NAMES).select("variant", "quantity", "centre")
    means = {(variant, quantity): mean for variant, quantity, mean in found.iter_rows()}
    lines, last = [HEADER], None
    for row in variants.iter_rows(named=True):
        cells = [written(means[row["variant"], quantity.name], writer(quantity.format)) for quantity in SHOWN]
        note = "" if row["status"] == FINISHED else row["status"]
        lines.append(("" if row["ablation"] == last else row["ablation"], row["variant"], *cells, note))
        last = row["ablation"]
    text = aligned(lines, names=2)
    seeds = variants["seeds"].max()
    text.append(
        f"Means over {seeds} seeds, of perplexity and spikes geometric." if seeds > 1 else "One seed per variant."
    )
    text.append("Sink ratio: heads with a key above the threshold. Mean, largest head: mean attention on position 0.")
    text.append("× median: the spike over the median of the ordinary tokens in its hidden state.")
    return "\n".join(text)
