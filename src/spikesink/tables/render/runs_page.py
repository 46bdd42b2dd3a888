"""All runs of a study as a page."""

import polars as pl

from spikesink.quantities import QUANTITIES
from spikesink.tables.render.html import html
from spikesink.tables.render.layout import Column
from spikesink.tables.render.numbers import writer, written

SHOWN = (
    "perplexity",
    "sink_ratio",
    "sink_mass_max",
    "spike",
    "spike_over_median",
    "spike_position",
    "parameters",
    "tokens",
)
NOTES = [
    "Sink ratio: heads in which a key of the first half receives more than the threshold of mean attention (arXiv "
    "2603.05498 Eq 27-28); largest head: its mean attention on position 0; spike: largest magnitude in the residual "
    "stream, and how many medians of its hidden state that is. A run that did not finish has no numbers.",
    "The digest is of a run's settings and code; under provenance it leads to both. All columns are in runs.csv.",
]


def runs_page(runs: pl.DataFrame) -> str:
    """HTML that loads nothing, from the table of ``all_runs``: one row per run, rounded for reading."""
    rows = runs.to_dicts()
    words = {"ablation": "ablation", "label": "variant", "seed": "seed"}
    columns = [Column("", heading, [str(row[name]) for row in rows]) for name, heading in words.items()]
    for name in SHOWN:
        write = writer(QUANTITIES[name].format)
        columns.append(Column("", QUANTITIES[name].heading, [written(row[name], write) for row in rows]))
    columns += [Column("", name, [written(row[name], str) for row in rows]) for name in ("status", "digest")]
    return html({f"All runs of study {runs['study'][0]}": (columns, NOTES)}, "runs")
