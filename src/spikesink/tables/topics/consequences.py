"""What is left of a model that is streamed or edited (2309.17453; 2402.17762; 2603.17771)."""

from typing import Any

import polars as pl

from spikesink.model.perplexity import perplexity
from spikesink.quantities.of_consequences import EDITED
from spikesink.tables.inputs import with_absent

READS = ("streaming", "interventions")
MEASURED = dict.fromkeys(EDITED.values(), pl.Float64())
"""Columns of interventions; a study that was published before one existed lacks it."""
NOTHING = 1e-3
"""A share of the spike's norm; an intervention that takes less from the stream is none."""


def columns(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """Perplexities with the smallest cache, and what interventions leave of perplexity, sinks, spike and gradient sink.

    ``spikesink.measures.questions.streaming`` and ``interventions`` say what was done. Where the spike is the same in
    all sequences, as behind a BOS, it is its mean: set to its mean it is left alone, which says nothing.
    """
    changed = with_absent(tables["interventions"], MEASURED)
    changed = changed.filter(pl.col("start") == changed["start"][0])
    means = changed.group_by("intervention").agg(pl.col(*MEASURED).mean())
    found = {row["intervention"]: row for row in means.iter_rows(named=True)}
    spread, spike = (found.get(name, {}).get("removed_norm") for name in ("mean_spike", "zero_spike"))
    if spread is None or spike is None or spread < NOTHING * spike:
        found.pop("mean_spike", None)
    return streaming(tables["streaming"]) | {
        name: found.get(intervention, {}).get(column) for (name, intervention), column in EDITED.items()
    }


def streaming(table: pl.DataFrame) -> dict[str, Any]:
    if table.is_empty():
        return {}
    smallest = table.filter(pl.col("cache") == table["cache"].min())
    sums = smallest.group_by("start").agg(pl.col("nll_nats", "tokens").sum())
    perplexities = {start: perplexity(nll, tokens) for start, nll, tokens in sums.iter_rows()}
    return {
        "streaming_window": perplexities.get(0),
        "streaming_with_one": perplexities.get(1),
        "streaming_with_first": perplexities[max(perplexities)],
    }
