"""All runs of a study as a page."""

import polars as pl

from spikesink.quantities import QUANTITIES
from spikesink.tables.render.beside import ABILITIES, BEYOND
from spikesink.tables.render.html import html
from spikesink.tables.render.layout import Column
from spikesink.tables.render.numbers import writer, written

SHOWN = (
    "perplexity",
    "perplexity_spread",
    "sink_ratio",
    "sink_ratio_later_layers",
    "sink_mass_mean",
    "sink_mass_max",
    "sink_ratio_trained",
    "sink_mass_mean_trained",
    "spike_over_median",
    "spike_over_elsewhere",
    "spike",
    "spike_position",
    *ABILITIES,
    *BEYOND,
    "parameters",
    "tokens",
)
NOTES = [
    "Sink ratio: heads in which a key of the first half receives more than the threshold of mean attention (arXiv "
    "2603.05498 Eq 27-28), at one length for all runs; mean and largest head: mean attention on position 0; trained "
    "positions: from queries inside the run's own context and loss window. Spike: largest magnitude in the residual "
    "stream; × median: over the median of the ordinary tokens in its hidden state; × elsewhere: largest magnitude at "
    "position 0 over that at later positions. ± over documents: standard error of the perplexity over held-out "
    "documents. Induction: tokens of the second copy of random tokens that are predicted; retrieval: planted values "
    "likelier after their key than three others (chance: 25 %). A run that did not finish has no numbers.",
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
